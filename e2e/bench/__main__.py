"""`make bench`: every benchmark in this folder, or those named, one after the other."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The benchmarks there are."""
    return [module.name for module in pkgutil.iter_modules([str(FOLDER)]) if not module.name.startswith("_")]


def main(chosen: list[str]) -> int:
    """Run them; the number of those that failed."""
    if unknown := sorted(set(chosen) - set(names())):
        sys.exit(f"bench: there is no {unknown[0]}; choose from {', '.join(names())}")
    failed = 0
    for name in chosen or names():
        print(f"== {name}", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"e2e.bench.{name}"], cwd=FOLDER.parent.parent).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
