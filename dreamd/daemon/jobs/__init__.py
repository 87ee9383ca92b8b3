"""What becomes of jobs: their order, their steps from the claim to `done` or `failed`, and what is remembered of them.

Knows folders, recipes and the journal. Knows no process, no worker and no clock of the loop's.
"""
