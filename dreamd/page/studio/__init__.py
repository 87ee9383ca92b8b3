"""What the page has dreamed small: trials of recipes before they are saved, and atlases of networks.

The studio's process does it (`dreamd/sheets/studio`), which is started when it is asked for and ends when it is idle.
Knows no torch, and nothing of the inbox, the outbox and the journal: a trial is in memory only.
"""
