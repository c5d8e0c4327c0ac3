"""Jobs as the operator would start them, on a folder in place of the volumes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SOURCES = os.pathsep.join(str(ROOT / source) for source in ("operator/src", "images/processors", "images/workload"))
CLASSES = 3


def blobs(rows: int, features: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A table that can be learnt: float32 [rows, features] around a centre for each class, and int64 classes."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(0, 3, (CLASSES, features))
    classes = random.integers(0, CLASSES, rows)
    return (centres[classes] + random.normal(0, 1, (rows, features))).astype(np.float32), classes.astype(np.int64)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The UCI digits of scikit-learn: float32 [1797, 8, 8] from 0 to 16, and int64 classes."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.images.astype(np.float32), found.target.astype(np.int64)


def write_csv(path: Path, inputs: np.ndarray, classes: Any, header: str | None = None) -> None:
    """A csv with the columns f0, f1, ... and label."""
    lines = [header or ",".join([*(f"f{i}" for i in range(inputs.shape[1])), "label"])]
    lines += [",".join([*map(str, row), str(label)]) for row, label in zip(inputs.tolist(), classes, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def training_job(
    spec: dict[str, Any], *, uid: str = "11111111-1111-1111-1111-111111111111", url: str = "", attempt: int = 1
) -> dict[str, Any]:
    """The document of a TrainingJob named `job` in the namespace `team`."""
    return {
        "kind": "TrainingJob",
        "namespace": "team",
        "name": "job",
        "uid": uid,
        "attempt": attempt,
        "run": f"attempt-{attempt}",
        "reportUrl": url,
        "spec": spec,
    }


def small_compression(digest: str) -> dict[str, Any]:
    """The document of a CompressionJob with one quick candidate, of the model that a TrainingJob left."""
    return {
        "kind": "CompressionJob",
        "namespace": "team",
        "name": "smaller",
        "uid": "33333333-3333-3333-3333-333333333333",
        "attempt": 1,
        "run": "attempt-1",
        "reportUrl": "",
        "source": {"storageUri": "pvc://claim/model", "digest": digest},
        "spec": {
            "model": {"storageUri": "pvc://claim/model"},
            "candidates": [{"name": "int8", "methods": [{"quantize": {"scheme": "dynamic-int8"}}]}],
            "output": {"storageUri": "pvc://claim/variants"},
        },
    }


class Heard:
    """Who is told how a job goes."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []

    def progress(self, report: dict[str, Any]) -> None:
        """One of many."""
        self.reports.append(report)

    def final(self, report: dict[str, Any]) -> None:
        """The last one."""
        self.reports.append(report)

    def close(self) -> None:
        """Nothing is left."""


def alone(document: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """A TrainingJob or a CompressionJob in this process, without Ray: its reports, and what it printed."""
    from tradewind.api.report import JobDocument
    from tradewind_workload.compress import job as compression
    from tradewind_workload.train import recipe
    from tradewind_workload.train.place import Alone

    heard, output = Heard(), io.StringIO()
    run = recipe.run if document["kind"] == "TrainingJob" else compression.run
    with contextlib.redirect_stdout(output):
        run(JobDocument.read(document), heard, Alone(heard))
    return heard.reports, output.getvalue()


def start(document: dict[str, Any], volumes: Path, **environment: str) -> subprocess.Popen[str]:
    """`python -m tradewind_workload` with that document, as a process of its own."""
    file = volumes / f"job-{document['name']}-{document['uid']}-{document['attempt']}.json"
    file.write_text(json.dumps(document))
    return subprocess.Popen(
        [sys.executable, "-m", "tradewind_workload"],
        env=os.environ
        | {
            "PYTHONPATH": SOURCES,
            "TRADEWIND_JOB_FILE": str(file),
            "TRADEWIND_PVC_ROOT": str(volumes),
            "RAY_AUTH_MODE": "disabled",
        }
        | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code and what it printed."""
    output, _ = process.communicate(timeout=1800)
    return process.returncode, output
