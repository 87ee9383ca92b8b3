"""libvips, made ready: it keeps nothing of what it has decoded, opens no loader that is not fuzzed, and says little."""

from __future__ import annotations

import logging

import pyvips

__all__ = ["pyvips"]

# A file is decoded once, and a cache would keep its pixels.
pyvips.cache_set_max(0)
pyvips.block_untrusted_set(True)

# It tells of each of its threads, which is nobody's business.
logging.getLogger("pyvips").setLevel(logging.WARNING)
