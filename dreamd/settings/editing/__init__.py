"""Changes one value of a YAML text and leaves every other character as it is. Knows YAML, no recipes and no files."""
