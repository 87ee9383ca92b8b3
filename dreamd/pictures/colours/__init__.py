"""Colours: from the values of any RGB or grey space to sRGB in floats, and back without loss.

Knows arrays and numbers. Knows no files and no decoders.
"""
