"""What people write in YAML: the config, the recipes, how recipes merge, and where every field came from.

Knows the catalogue, which describes plugins as plain data. Knows no plugin's function, no job and no process.
"""
