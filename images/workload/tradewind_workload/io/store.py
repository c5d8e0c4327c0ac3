"""The folder of a model on the volume: whole or not there at all, and what was read is what was written."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from tradewind.api.artefact import MANIFEST, File, Manifest
from tradewind_workload.io.document import first_mistake
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import (
    ONNX,
    SAMPLES,
    WEIGHTS,
    sha256,
    storage_message,
    write_atomically,
    write_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tradewind.api.data import Data
    from tradewind.api.trainingjob import Recipe

_Part = TypeVar("_Part")


def begin(folder: Path, files: Mapping[str, bytes]) -> dict[str, File]:
    """Write the files of a model; the folder counts as a model only when `finish` has written its manifest."""
    try:
        (folder / MANIFEST).unlink(missing_ok=True)
        # What an earlier model left would lie there unnamed by the new manifest.
        for stale in {ONNX, WEIGHTS, SAMPLES} - files.keys():
            (folder / stale).unlink(missing_ok=True)
    except OSError as error:
        raise Fault("StorageFailed", storage_message(folder / MANIFEST, error)) from error
    return {name: add(folder, name, content) for name, content in sorted(files.items())}


def add(folder: Path, name: str, content: bytes) -> File:
    """Write one more file of a model that was begun, for its manifest to list."""
    write_atomically(folder / name, content)
    return File(sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


def finish(folder: Path, manifest: Manifest) -> str:
    """Write the manifest, which makes the folder a model. Returns its digest, `sha256:<hex>`."""
    return write_manifest(folder, {"formatVersion": manifest.format_version, **manifest.written()})


def recipe_of(manifest: Manifest, folder: Path) -> Recipe | None:
    """The recipe of the model in the folder. Raises Fault(NotSupported) where this version can't read it."""
    return _understood(manifest.made_by, folder, "recipe", "train the model with this version, or leave out prune")


def data_of(manifest: Manifest, folder: Path) -> Data | None:
    """The data of the model in the folder. Raises Fault(NotSupported) where this version can't read it."""
    return _understood(manifest.made_with, folder, "data", "set spec.data")


def _understood(read: Callable[[], _Part | None], folder: Path, field: str, remedy: str) -> _Part | None:
    try:
        return read()
    except ValidationError as error:
        raise Fault(
            "NotSupported",
            f"{folder / MANIFEST}: {field} was written by another version, and this one can't read "
            f"{first_mistake(error)}; {remedy}.",
        ) from None


def open_model(folder: Path, digest: str | None = None) -> tuple[Manifest, str]:
    """Read the manifest of a folder and check the hash of every file it names (and its own, where one is given).

    Returns the manifest and its digest. Raises Fault(InvalidModel) with what differs.
    """
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise Fault(
            "InvalidModel", f"{path} does not exist: the folder must hold a model that Tradewind made."
        ) from None
    found = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if digest is not None and found != digest:
        raise Fault(
            "InvalidModel",
            f"{path} was changed: its digest is {found}, and {digest} was expected. Train the model again, or name "
            "another one.",
        )
    try:
        manifest = Manifest.read(from_json(content))
    except ValidationError as error:
        raise Fault("InvalidModel", f"{path} is not the manifest of a model: {first_mistake(error)}.") from None
    except ValueError as error:
        raise Fault("InvalidModel", f"{path} is not the manifest of a model: {error}.") from None
    for name, file in manifest.files.items():
        if "/" in name or name.startswith("."):
            raise Fault("InvalidModel", f"{path} names the file {name!r}, which is outside of the model's folder.")
        if not (folder / name).is_file():
            raise Fault("InvalidModel", f"{folder / name} does not exist, though {MANIFEST} names it.")
        if sha256(folder / name) != file.sha256:
            raise Fault(
                "InvalidModel", f"{folder / name} was changed after {MANIFEST} was written: its SHA-256 differs."
            )
    return manifest, found
