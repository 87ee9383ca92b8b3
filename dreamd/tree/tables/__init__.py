"""What people have marked in the journal's tables, and questions after results.

Knows the tables that `database` makes. Opens no file.
"""
