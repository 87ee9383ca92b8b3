"""Durable steps on files that never follow a symlink: names, open folders, syncs, renames that replace nothing.

Knows no folder of dreamd's, no job and no picture. What the operating system refuses becomes words in `problems`.
"""
