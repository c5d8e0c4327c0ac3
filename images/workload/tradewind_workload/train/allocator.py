"""Memory that a training frees stays with its process, which needs it again in the next step."""

from __future__ import annotations

import ctypes

# Of glibc's mallopt(3). The second one is the largest that it takes; what is larger is given back at once.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 << 20
MOST = 256 << 20


def keep(size: int) -> None:
    """Keep so many bytes of what is freed, MOST at most.

    The gradients and what the layers give are freed and asked for in each step. By default glibc gives them back to the
    kernel, which clears each page before it gives it out again: 28,000 pages and 0.3 of a step of resnet18. Where there
    is another C library, or malloc is another one (jemalloc does so by itself), nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
    mallopt(_TRIM_THRESHOLD, min(MOST, size))
