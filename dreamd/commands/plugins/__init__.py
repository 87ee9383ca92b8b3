"""`dreamd plugins`, and the plugins of a config for every command that needs them: loaded, or as far as they are known.

Knows plugins by what they bring. Knows no daemon.
"""
