"""The seats at which pictures are dreamed, as the loop sees them: which is vacant, which takes too long, which is sick.

Knows executors by what `executors/executor.py` asks of them. Knows no folder, no recipe, and of jobs their ids only.
"""
