"""What this machine gives a process: its processors and how they lie together, and its memory.

Knows /proc and /sys. Knows no torch, no config and no worker.
"""
