"""Decoding: a file is prepared for its decoder, decoded, put upright, and its colours become sRGB.

Its face is `decode.decode`. Knows no limit of its own and no place in a folder; what a person is told of a broken file
is said by `reading`.
"""
