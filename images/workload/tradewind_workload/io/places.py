"""Where this program finds what the operator gave it, and how its document reads to a program of the user's own.

This module and those that agent.py names need the standard library alone: they run in images of the user's own too,
whatever these have beside Ray.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# As api.report has them.
MOUNT = "/var/run/secrets/tradewind"
JOB_FILE = f"{MOUNT}/job.json"
PVC_ROOT = "/mnt/pvc"
METRICS = "metrics.json"  # what a program reported last, in the folder of its run


def read_document() -> dict[str, Any]:
    """The document of the job; $TRADEWIND_JOB_FILE is used in place of the mounted one where there is no pod."""
    document: dict[str, Any] = json.loads(Path(os.environ.get("TRADEWIND_JOB_FILE", JOB_FILE)).read_bytes())
    return document


def local_path(storage_uri: str) -> Path:
    """Where pvc://<claim>/<path> lies in the pods of the job."""
    return Path(os.environ.get("TRADEWIND_PVC_ROOT", PVC_ROOT), storage_uri.removeprefix("pvc://"))


def run_folder(output: Path, uid: str) -> Path:
    """Where a program keeps what a further attempt of the same job goes on from, below its output."""
    return output / ".train" / "runs" / uid


def checkpoint_folder(output: Path, uid: str) -> Path:
    """Where a recipe's checkpoints lie, below its output."""
    return output / ".train" / "checkpoints" / uid


def stream_folder(output: Path, uid: str) -> Path:
    """Where the rows of a table lie that is larger than memory, below the output, while a recipe trains."""
    return output / ".train" / "rows" / uid


@dataclass(frozen=True)
class Assignment:
    """A job.json as far as every program needs it; the operator has checked what is in it."""

    kind: str
    namespace: str
    name: str
    uid: str
    attempt: int
    run: str
    report_url: str
    spec: dict[str, Any]

    @classmethod
    def of(cls, document: dict[str, Any]) -> Assignment:
        """What a document says. Raises KeyError for a field that is missing."""
        return cls(
            kind=document["kind"],
            namespace=document["namespace"],
            name=document["name"],
            uid=document["uid"],
            attempt=document["attempt"],
            run=document["run"],
            report_url=document["reportUrl"],
            spec=document["spec"],
        )

    @property
    def output(self) -> str:
        """The address of the folder for the result."""
        return str(self.spec["output"]["storageUri"])

    @property
    def run_folder(self) -> Path:
        """See run_folder."""
        return run_folder(local_path(self.output), self.uid)
