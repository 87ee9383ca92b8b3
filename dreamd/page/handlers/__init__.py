"""What a browser or a scraper may ask for, and what comes of it: one file a kind of request.

A handler looks at files, or does what a command of `dreamd` does, in a thread: none keeps another waiting. Knows HTTP.
Knows no rule for who may ask: the guard in `access` has decided that already.
"""
