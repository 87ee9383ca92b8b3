"""The recipes of one tree: to choose from (`cards`), as text (`editor`), as controls (`form`, what each stands at:
`standing`), and the weights that they need. Reads files; knows no requests.
"""
