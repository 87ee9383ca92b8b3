"""Weights that pictures wait for: which are missing, and their downloads, each in a process of its own.

Knows the weights' room and what a person has ordered. Knows of jobs only that some are held for a reason.
"""
