"""The gallery: results that are sought and shown, small and whole, what people do with them, and what they carry away.

Knows the journal, the outbox and its trash. Knows no HTTP. `thumbnailer` alone decodes pictures and films, in
its own process.
"""
