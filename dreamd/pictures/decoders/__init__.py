"""Decoders: a prepared file's values as they are, by the library that keeps their depth.

Pillow decodes what has 8 bit, libvips PNG, TIFF and AVIF of more, libheif HEIC. Knows no colour spaces.
"""
