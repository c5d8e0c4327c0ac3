"""Replicas on a GPU beside those on the CPUs of the same machine; where there is no GPU, it says so.

See _gpu_replicas.py, which can be run by itself where there are the packages of the workload but no virtual
environment of this repository.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from e2e import venv
from e2e.bench._environments import ROOT, SOURCES


def main() -> int:
    """Runs it, with the server's Python that is named in TRADEWIND_SERVER_PYTHON."""
    if not any(Path("/proc/driver/nvidia/gpus").glob("*")):
        print("not measured: this machine has no NVIDIA GPU; what was measured on one is in docs/gpu.md")
        return 0
    if "TRADEWIND_SERVER_PYTHON" not in os.environ:
        sys.exit("gpu: name a Python with the packages of images/server/requirements-gpu.txt: TRADEWIND_SERVER_PYTHON")
    command = [str(venv.python("workload")), "-m", "e2e.bench._gpu_replicas", *sys.argv[1:]]
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": SOURCES}).returncode


if __name__ == "__main__":
    sys.exit(main())
