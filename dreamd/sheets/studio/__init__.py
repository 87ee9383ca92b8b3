"""The process in which the page dreams small: `main` takes orders, `trials` and `atlases` do them one after another.

Knows orders, recipes and small pictures. Knows no daemon, no jobs and no folder of a tree but that of the sheets.
"""
