"""`dreamd demo`: its work, the picture that it paints, and the sheet that it ends with.

Knows the daemon as a user does, by its command and its folders. Knows no engine.
"""
