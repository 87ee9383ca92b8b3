"""Weight files: where they come from, the cache they lie in, how they are fetched, and how they are read.

Knows no network, no recipe and no folder of a tree. Only `loading` imports torch, and nothing light imports `loading`.
"""
