"""The environments of benchmarks that measure servers: the server's Python asks, the workload's measures as jobs do."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from e2e import venv

ROOT = Path(__file__).resolve().parents[2]
SOURCES = os.pathsep.join(
    str(ROOT / folder) for folder in ("operator/src", "images/processors", "images/workload", "images/server", ".")
)


def in_servers(main: Callable[[], int], name: str) -> int:
    """What `main` gives where ONNX Runtime is installed, else what the program e2e.bench.NAME gives there."""
    if importlib.util.find_spec("onnxruntime"):
        return main()
    command = [str(venv.python("server")), "-m", f"e2e.bench.{name}", *sys.argv[1:]]
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": SOURCES}).returncode


def measured_as_by_jobs(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The figures of replicas of the models in the folders, the baseline first; see _replica.py."""
    environment = os.environ | {
        "PYTHONPATH": SOURCES,
        "TRADEWIND_SERVER_PYTHON": sys.executable,
        "TRADEWIND_STANDS": "",
    }
    command = [str(venv.python("workload")), "-m", "e2e.bench._replica", *map(str, folders)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{folders[0].name} was not measured as a job does: {done.stderr[-2000:]}")
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found
