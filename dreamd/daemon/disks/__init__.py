"""Who waits for disks, so that the loop never does: threads, and a process for results that come in crowds.

Knows folders and what is to be published. Decides nothing about a job.
"""
