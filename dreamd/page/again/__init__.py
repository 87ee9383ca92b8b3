"""Dreaming a picture again with other recipes, and looking at what comes of it side by side.

`sources` says what of a job can be dreamed again, `wishes` with which recipes, `dreaming` posts it, `comparisons` keeps
which jobs came of it, `looking` shows them. Knows the journal and the folders; knows no HTTP and no decoder.
"""
