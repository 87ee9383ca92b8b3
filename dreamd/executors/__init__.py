"""The daemon's side of workers: what runs batches of jobs, and where.

Knows messages and processes. Knows no torch, no recipe and no folder of the tree.
"""
