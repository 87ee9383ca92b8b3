"""`dreamd recipe`, and the recipe that a person names on any command line: found, checked or written.

Knows files of recipes. Knows no dreams.
"""
