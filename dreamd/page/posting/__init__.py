"""Pictures that are posted with a recipe of their own: where they are put, what is given out for them, and the tidying.

The API posts what programs send, and `again` what is dreamed again. Knows the journal and the folders. Knows no HTTP.
"""
