"""The page and the API, served by a process of its own.

Knows the daemon by its files alone: the status file, the journal and the folders. Knows no loop and no worker.
"""
