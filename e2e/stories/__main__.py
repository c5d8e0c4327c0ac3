"""`make e2e`: a selection of the stories on a fresh local cluster, or on CONTEXT's; `--all`: all of them.

Other arguments are pytest's, and choose among all stories. The cluster is stopped at the end (KEEP=1 leaves it).
"""

from __future__ import annotations

import os
import sys
import time

import pytest

from e2e.installation import cluster, say
from e2e.stories.selection import FOLDER, MINUTES, chosen, header, stories


def main(arguments: list[str]) -> int:
    """Run the stories; pytest's exit code."""
    every, options = "--all" in arguments, [argument for argument in arguments if argument != "--all"]
    if options:
        places = [str(FOLDER)]
    else:
        played = chosen(every)
        print(header(played), flush=True)
        places = [str(stories()[name]) for name in played]
    ours = not os.environ.get("CONTEXT")
    if ours and not options:
        print("then a selection of the faults, as `python3 -m e2e.faults --selection ci` plays it", flush=True)
    if ours:
        # The counts of API writes are read from the audit log of one whole life of the cluster.
        cluster("down")
    start = time.monotonic()
    try:
        return int(pytest.main([*places, "-v", "--tb=short", "--durations=0", "-p", "no:cacheprovider", *options]))
    finally:
        if ours and not os.environ.get("KEEP"):
            cluster("down")
        if not (every or options):
            say(f"the stories took {(time.monotonic() - start) / 60:.1f} of the {MINUTES} minutes of `make e2e`, warm")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
