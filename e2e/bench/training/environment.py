"""Benchmarks of the workload run in its environment, from whichever Python they are started."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from e2e import venv

ROOT = Path(__file__).resolve().parents[3]


def run(module: str, main: Callable[[], int]) -> int:
    """Run `main` here, if PyTorch is installed, or else the module in the environment of the workload."""
    sources = os.pathsep.join(
        str(ROOT / folder) for folder in ("operator/src", "images/processors", "images/workload", ".")
    )
    if importlib.util.find_spec("torch"):
        os.environ["PYTHONPATH"] = sources  # of the processes that it starts
        return main()
    command = [str(venv.python("workload")), "-m", f"e2e.bench.training.{module}", *sys.argv[1:]]
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": sources}).returncode
