"""The engine: dreams tensors. Imports torch and `dreamd.errors`, nothing else of dreamd, so that it runs alone."""
