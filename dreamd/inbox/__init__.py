"""When a file in the inbox is whole: events, rescans, and the signs that a file has settled.

Knows files and times. Knows no job, no recipe's content, and no folder but the inbox.
"""
