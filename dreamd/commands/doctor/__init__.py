"""`dreamd doctor`: looks at everything that usually goes wrong, and says of each that it is well or what to do.

Knows what the daemon needs. Knows no daemon: all is looked at from outside, by one who may be another user.
"""
