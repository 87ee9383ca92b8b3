"""Picture files to pixels and back: any mode, depth, profile and orientation becomes sRGB with alpha.

`containers` takes files apart before a decoder sees them, `decoders` make values of them, `colours` makes sRGB of
values and values of sRGB, and `decoding` joins all that; `encoders` write; `descriptions` carries over what
authors and cameras wrote.

Knows no recipe, no job and no torch.
"""
