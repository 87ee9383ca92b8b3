"""The page and the API, served by a process of its own: `server` runs `app`, which has `access` before `handlers`.

Knows the daemon by its files alone: the snapshot, the journal and the folders. Knows no loop and no worker.
"""
