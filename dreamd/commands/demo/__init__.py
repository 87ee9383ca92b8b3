"""`dreamd demo`: its work, and the picture that it paints.

Knows the daemon as a user does, by its command and its folders. Knows no engine.
"""
