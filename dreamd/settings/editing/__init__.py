"""Changes one value of a YAML text (`changes`), or the place of an entry of a list (`moving`, `lines`).

Leaves every other character as it is, and proves that it did (`proving`), by the text's `values`. Knows YAML, no
recipes and no files.
"""
