"""The recipes of one tree: to choose from (`cards`), as text (`editor`), as controls (`form`), and their weights.

What controls stand at is `standing`, found out by `standings`; `said_lists` has parts and stages as they are written.
Reads files; knows no requests.
"""
