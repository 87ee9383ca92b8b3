"""Files of several pages in a worker: each page is dreamed as a picture, one after the other.

They have what films have: turns of about ten seconds, progress, and a folder from which they go on after a kill. What
is new here is what is kept, finished pages as they are written, and that these become one file. Knows sessions, pages
and a folder; knows no jobs.
"""
