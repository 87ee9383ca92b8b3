"""Has the C library keep memory that was freed, for the next iteration. Knows no torch."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""The numbers of two parameters of glibc's `mallopt`, out of its `malloc.h`."""

_MOST_KEPT, _SHARE_KEPT = 512 << 20, 16
"""The most bytes at the end of the heap that are kept, and one in how many of those that the process may hold. An
iteration of the embedded network on 640×427 frees 200 MB."""

_LARGEST_ON_HEAP = 32 << 20
"""The largest piece of memory that comes from the heap, in bytes; glibc allows no more. Larger ones are given back."""


def keep_freed_memory(memory: int) -> None:
    """Have glibc keep memory that was freed, and not give it back after each iteration.

    Memory that comes anew from the system has to be filled with zeros, page by page, which was a tenth of an iteration
    of the embedded network. Another C library is left as it is.

    Args:
        memory: the bytes that the process may hold.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST_ON_HEAP)
        mallopt(_TRIM_THRESHOLD, min(_MOST_KEPT, memory // _SHARE_KEPT))


def give_back_freed_memory() -> None:
    """Give the system all memory that was freed, for what was kept lies in ever more pieces and is used ever less.

    Another C library is left as it is.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
