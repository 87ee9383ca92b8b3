"""Who may speak to the page, and what a browser may do with what it gets.

Stands before every handler. A page of another site that a person has open must reach nothing here: not by a name that
it made point to this machine (`hosts`), not by a form or script of its own or by showing a picture (`origin`). Where
others than this machine can connect, everybody must show the token (`entrance`), and who guesses it waits (`guesses`).
Knows no handler and no folder.
"""
