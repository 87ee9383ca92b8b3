"""The machine that a worker is on: its device, its processors, its memory, and how much of them a dream may take."""
