"""Files on the volume of a model: each is whole or not there, and what is written last makes the folder a model."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from tradewind_workload.io.fault import Fault

MANIFEST = "model.json"  # as api.artefact has it
ONNX = "model.onnx"
WEIGHTS = "model.safetensors"
SAMPLES = "samples.json"  # as api.artefact has it
METRICS = ".train/metrics.json"  # what a program reported last, below its output
_CHUNK = 1 << 20


def write_atomically(path: Path, content: bytes) -> None:
    """A reader sees the old file or the whole new one, also after a crash: written beside, synced, renamed."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _sync(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise Fault("StorageFailed", storage_message(path, error)) from error


def storage_message(path: Path, error: OSError) -> str:
    """What went wrong with a file, and what to do."""
    remedy = {
        28: "make the PersistentVolumeClaim larger or free space on it",
        122: "raise the quota of the volume",
        13: "let group 10001 write there (fsGroup), or choose another spec.output.storageUri",
        30: "the volume is read-only: choose another spec.output.storageUri",
    }.get(error.errno or 0, "check the volume of spec.output.storageUri")
    return f"{path} could not be written ({error.strerror}): {remedy}."


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def adopt(folder: Path, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Files that another program wrote into the folder, as far as they are there: api.artefact.File by name."""
    return {
        name: {"sha256": sha256(folder / name), "sizeBytes": (folder / name).stat().st_size}
        for name in names
        if (folder / name).is_file()
    }


def write_manifest(folder: Path, manifest: dict[str, Any]) -> str:
    """Write the manifest, which makes the folder a model. Returns its digest, `sha256:<hex>`."""
    content = json.dumps(manifest, indent=1, ensure_ascii=False).encode()
    write_atomically(folder / MANIFEST, content)
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
