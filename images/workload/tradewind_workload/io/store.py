"""Models on the volume: the one that an address means, the one that a job made, and whether it is what was written."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from tradewind.api.artefact import MANIFEST, MODELS, POINTER, File, Manifest, Pointer
from tradewind_workload.io.artefacts import Draft, Stored
from tradewind_workload.io.document import first_mistake
from tradewind_workload.io.fault import Fault, StorageUnavailable
from tradewind_workload.io.files import sha256
from tradewind_workload.io.retries import entries, read_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tradewind.api.data import Data
    from tradewind.api.trainingjob import Recipe

_Part = TypeVar("_Part")
_RESTORE = "Train or compress the model again, or give the address of its own folder, in models/."


def finish(draft: Draft, manifest: Manifest) -> Stored:
    """Write the manifest, which makes the files a model. Raises Fault(StorageFailed), StorageUnavailable."""
    return draft.finish({"formatVersion": manifest.format_version, **manifest.written()})


def files_of(draft: Draft) -> dict[str, File]:
    """The files of a draft, as its manifest names them."""
    return {name: File.read(file) for name, file in sorted(draft.files.items())}


def locate(folder: Path, digest: str | None = None) -> tuple[Path, str | None]:
    """The folder of the model that an address means, and the digest that it must have, where one is known.

    That is where current.json points to, if the folder has one. A model with the given digest that lies in the folder
    itself goes first: an earlier version wrote it there, and it was accepted there. Raises Fault(InvalidModel) where
    the pointer does not lead to a folder of this one.
    """
    path = folder / POINTER
    content = _read(path)
    if content is None or (digest is not None and _digest(_read(folder / MANIFEST) or b"") == digest):
        return folder, digest
    try:
        pointer = Pointer.read(from_json(content))
    except ValueError as error:
        said = first_mistake(error) if isinstance(error, ValidationError) else error
        raise Fault("InvalidModel", f"{path} does not say where a model is: {said}. {_RESTORE}") from None
    # The pointer itself may be a link to the volume: its target lies beside what the link leads to.
    home = path.resolve().parent
    found = (home / pointer.folder).resolve()
    if not found.is_relative_to(home):
        raise Fault("InvalidModel", f"{path} leads out of its folder, to {found}. {_RESTORE}")
    return folder / pointer.folder, digest or pointer.digest


def find(output: Path, wanted: Callable[[Manifest], bool]) -> tuple[Stored, Manifest] | None:
    """The newest whole model of an output folder that is wanted, whatever its pointer says; None if there is none.

    Raises StorageUnavailable: what can't be read now may well be there. Raises OSError where models/ can't be listed.
    """
    for folder in sorted(_folders(output), key=_written, reverse=True):
        try:
            manifest = Manifest.read(from_json(_read(folder / MANIFEST) or b""))
            if not wanted(manifest):
                continue
            _, digest = _check(folder, None)
        except StorageUnavailable:
            raise
        except (Fault, ValueError):
            continue  # another's, or no whole model
        if folder == output or digest.removeprefix("sha256:").startswith(folder.name):
            return Stored(folder, digest), manifest
    return None


def _written(folder: Path) -> float:
    """When the model there was finished, in seconds since the epoch; 0 where there is none."""
    try:
        return (folder / MANIFEST).stat().st_mtime
    except OSError:
        return 0.0


def _folders(output: Path) -> list[Path]:
    """Where models of an output folder may lie: the one that an earlier version wrote lies in the folder itself."""
    return [output, *(folder for folder in entries(output / MODELS) if not folder.name.startswith("."))]


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
    """Read the manifest of the model at a folder (see `locate`) and check the hash of every file that it names.

    Returns the manifest and its digest. Raises Fault(InvalidModel) with what differs, also from `digest`, and
    StorageUnavailable.
    """
    return _check(*locate(folder, digest))


def _check(folder: Path, digest: str | None) -> tuple[Manifest, str]:
    path = folder / MANIFEST
    content = _read(path)
    if content is None:
        raise Fault("InvalidModel", f"{path} does not exist: the folder must hold a model that Tradewind made.")
    found = _digest(content)
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
        try:
            same = sha256(folder / name) == file.sha256
        except (FileNotFoundError, IsADirectoryError):
            raise Fault(
                "InvalidModel", f"{folder / name} does not exist, though {MANIFEST} names it as a file."
            ) from None
        except OSError as error:
            raise _unreadable(folder / name, error) from error
        if not same:
            raise Fault(
                "InvalidModel", f"{folder / name} was changed after {MANIFEST} was written: its SHA-256 differs."
            )
    return manifest, found


def _read(path: Path) -> bytes | None:
    """The bytes of a file, None where there is none. Raises Fault(StorageFailed), StorageUnavailable."""
    try:
        return read_whole(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> Fault:
    return Fault("StorageFailed", f"{path} could not be read ({error.strerror}): let group 10001 read it (fsGroup).")


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
