"""Find plugins, load them, describe what they bring, and say whose fault it is when one goes wrong.

Knows hooks and signatures. Knows no YAML, no folder of a tree and no process.
"""
