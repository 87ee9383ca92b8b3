"""dreamd: a daemon that dreams the pictures dropped into a folder."""

__version__ = "0.2.0"
