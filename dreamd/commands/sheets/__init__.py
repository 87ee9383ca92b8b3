"""`dreamd atlas` and `dreamd sweep`: contact sheets of many small dreams, to choose by looking.

Knows the room `sheets`. Knows no daemon: all is dreamed in this process.
"""
