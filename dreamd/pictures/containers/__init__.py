"""Containers: how files of each format hold what they hold, read without decoding a pixel.

Knows no pixel and no Pillow image: bytes in, and out come a stream that a decoder can be trusted with and whatever the
file says about its picture. Lengths that a file declares are never believed beyond a limit.
"""
