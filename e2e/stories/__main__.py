"""`make e2e`: the stories on a fresh local cluster, which is stopped at the end (KEEP=1 leaves it), or on CONTEXT's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from e2e.installation import cluster


def main(arguments: list[str]) -> int:
    """Run the stories; pytest's exit code."""
    ours = not os.environ.get("CONTEXT")
    if ours:
        # The counts of API writes are read from the audit log of one whole life of the cluster.
        cluster("down")
    try:
        return int(
            pytest.main(
                [str(Path(__file__).parent), "-v", "--tb=short", "--durations=0", "-p", "no:cacheprovider", *arguments]
            )
        )
    finally:
        if ours and not os.environ.get("KEEP"):
            cluster("down")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
