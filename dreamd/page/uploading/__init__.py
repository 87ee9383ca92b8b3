"""Pictures that a browser drops, on their way into the inbox: so many at a time, none for ever.

Knows folders and streams of bytes. Knows no job and no recipe.
"""
