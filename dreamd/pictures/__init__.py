"""Picture files to pixels and back: any mode, profile and orientation becomes 8-bit sRGB with alpha.

Knows no recipe, no job and no torch.
"""
