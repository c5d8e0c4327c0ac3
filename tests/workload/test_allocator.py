"""A training's memory is not given back to the kernel in each step."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from tradewind_workload.train import allocator
if sys.argv[1] == "kept":
    allocator.keep(allocator.MOST)
def step():
    held = [np.ones(3 << 20, np.float32) for _ in range(10)]  # as layers give it, 12 MiB each
    while held:
        held.pop()
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's")
def test_memory_that_is_freed_is_used_again() -> None:
    assert faults("kept") < 100
    assert faults("given back") > 10_000, "else there is nothing to keep"
