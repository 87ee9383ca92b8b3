"""Measurements. Each prints its own figures; `README.md` holds the last ones, with machine and versions."""
