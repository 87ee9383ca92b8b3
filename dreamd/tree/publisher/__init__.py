"""The process that publishes results together, and the lines that it is spoken to with.

Threads of the daemon would fight its loop for the interpreter. Knows folders and jobs; knows no journal, and imports
little, since it is started while results wait.
"""
