"""Films in a worker: the loop over their frames, which stands outside the engine's dream.

A frame is dreamed as a picture is. What is new here is what carries one frame into the next, what is kept so that a
film goes on at a frame after a kill, and how long it may go on before others have their turn. Knows sessions, films and
a folder; knows no messages and no jobs.
"""
