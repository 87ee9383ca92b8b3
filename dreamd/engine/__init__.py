"""The engine: dreams tensors. Imports torch, numpy and `dreamd.errors`, nothing else of dreamd: it runs alone."""
