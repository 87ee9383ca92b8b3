"""The loop that has an inbox's pictures dreamed, and all that it decides.

Knows folders, jobs and messages. Knows no torch and no pixels.
"""
