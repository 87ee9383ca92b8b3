"""Picture files to pixels and back: any mode, profile and orientation becomes 8-bit sRGB with alpha.

`containers` takes files apart before a decoder sees them; `descriptions` carries over what authors and cameras wrote.

Knows no recipe, no job and no torch.
"""
