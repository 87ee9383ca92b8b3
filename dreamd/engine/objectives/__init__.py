"""What an ascent makes larger: layers, which of their channels and cells count, and what they saw in other pictures."""
