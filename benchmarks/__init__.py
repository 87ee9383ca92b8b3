"""Measurements, each against the plain way, side by side in one run: `python -m benchmarks`. `README.md` explains them.

Needs torch, torchvision, timm and numpy. What needs more of dreamd says so and is left out where that is not there.
"""
