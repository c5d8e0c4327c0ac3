"""The process's memory: what was freed goes back to the system."""

from __future__ import annotations

import ctypes
import gc

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of glibc's malloc.h
LARGE = 1 << 16  # bytes


def settle() -> None:
    """To be called once, when everything is imported.

    Pages of lists and answers are mapped one by one from now on, and unmapped when they are freed. By itself glibc
    takes the first one that was freed for a sign to keep all of that size in its heap, which never shrinks again: 7 MB.
    """
    gc.freeze()  # what is imported stays: no need to look through it for garbage
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # another C library has no such habit
        mallopt(_MMAP_THRESHOLD, LARGE)


def keep() -> None:
    """To be called while the first lists come in: what they show is not looked through for garbage either.

    It is freed as usual when it goes; but with 10,000 objects a look through all of it holds the event loop for 50 ms.
    Not for ever: what is garbage at such a moment stays.
    """
    gc.freeze()
