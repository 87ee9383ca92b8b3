"""Pictures larger than memory: which pixels a cell sees, what fits, and the gradient tile by tile.

Knows networks and bytes. Knows no schedule and no ascent.
"""
