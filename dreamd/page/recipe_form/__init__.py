"""Recipes as controls: which there are (`form`), what each stands at (`standing`). Knows no files and no requests."""
