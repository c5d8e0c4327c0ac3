"""The benchmarks of training, one after the other."""

from __future__ import annotations

import sys

from e2e.bench.training import checkpoints

if __name__ == "__main__":
    sys.exit(checkpoints.start())
