"""The API for programs, below `/api/v1`: promises that hold from version to version, told by its OpenAPI document.

Each of `operations` is told once, for its route and for the document; `service` lists them all. Knows HTTP,
the journal and the folders. The page's own addresses, in `handlers`, promise nothing to anybody else.
"""
