"""Calling what plugins bring: what may come back, how long it may take, and whose fault it is when it fails."""
