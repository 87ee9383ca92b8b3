"""For people who write plugins: templates, the contract and its clauses, and a first dream with a new plugin.

Knows the plugin host, the engine and workers. Knows no daemon and no tree.
"""
