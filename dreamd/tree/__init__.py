"""Where things lie in a tree, and the steps of a picture between its folders.

The folders are the truth, the journal is the memory. Knows no worker, no loop and no pixels.
"""
