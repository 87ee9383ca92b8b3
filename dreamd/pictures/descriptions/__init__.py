"""Descriptions: what authors and cameras wrote into a picture, made true of its dream and carried over.

Knows no pixel: EXIF, XMP, IPTC and texts, bytes in and bytes out.
"""
