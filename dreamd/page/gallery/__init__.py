"""The gallery: results that are sought and shown, what people do with them, and what they carry away.

Knows the journal, the outbox and its trash. Knows no HTTP and decodes no picture.
"""
