"""When a file in the inbox is whole: events, rescans, and the signs that a file has settled.

Its face is `watcher.Watcher`, which joins the parts: the watch on the folders, the walk over them, the files that
settle and the recipe files. Knows files and times. Knows no job, no recipe's content, and no folder but the inbox.
"""
