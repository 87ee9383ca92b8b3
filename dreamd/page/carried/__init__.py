"""Recipes that files carry: a sidecar, or a picture that dreamd made and wrote its recipe into.

`recipes` takes a file that a browser holds, and `reader` is the process that looks into pictures. Knows no job and no
folder's recipe.
"""
