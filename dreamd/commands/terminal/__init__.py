"""How commands speak with a person at a terminal: the options they share, what they print, and progress.

Knows click and rich. Knows no command's work.
"""
