"""What comes in: which settled pictures are claimed when, and why some are left in the inbox.

Knows the watcher and the steps of a job. Knows no worker's word and no journal.
"""
