"""Puts beside Ray what runs a program in an image of the user's own: `python -m tradewind_workload.agent FOLDER`.

Runs in an init container with our image. What it copies needs the standard library of Python 3.10, and Ray.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import tradewind_workload

MODULES = (
    "__init__",
    "__main__",
    "export/__init__",
    "export/inference",  # needs onnxruntime, and is imported only where the program leaves a model.onnx
    "export/signature",
    "io/__init__",
    "io/artefacts",
    "io/fault",
    "io/files",
    "io/places",
    "io/reporter",
    "io/retries",
    "programs/__init__",
    "programs/program",
    "programs/report",
    "programs/snapshots",
)


def copy(folder: Path) -> None:
    """Copy the package into the folder, where PYTHONPATH is to point."""
    source, target = Path(tradewind_workload.__path__[0]), folder / tradewind_workload.__name__
    for name in MODULES:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / f"{name}.py", target / f"{name}.py")


if __name__ == "__main__":
    copy(Path(sys.argv[1]))
