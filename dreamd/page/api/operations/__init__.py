"""What the API can be asked: `operation` says what an operation is, and each other module answers some of them.

Knows HTTP, and whatever the page knows.
"""
