"""Finished models in an output folder: each in a folder of its own that never changes, and a pointer to the latest.

    <output>/models/<first 16 digits of the digest>/   model.onnx, model.safetensors, model.json, ...
    <output>/current.json                              which of them is the latest: its folder and its whole digest

A model is written under a name that no reader looks at and renamed when it is whole, so it is there or it is not. What
is served or measured is never overwritten. Python's standard library is enough for this module (see agent.py).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from tradewind_workload.io.files import (
    MANIFEST,
    copy_synced,
    make_folder,
    partial,
    remove,
    sha256,
    storage_fault,
    sweep,
    sync,
    write_atomically,
    write_synced,
)
from tradewind_workload.io.retries import patiently, read_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

POINTER = "current.json"  # as api.artefact has it
MODELS = "models"
_Result = TypeVar("_Result")
_DIGITS = 16  # of the digest, in the name of a folder


@dataclass(frozen=True)
class Stored:
    """A finished model."""

    folder: Path
    digest: str  # sha256:<hex>, of its manifest


@dataclass
class Draft:
    """A model that is being written. As a context: where it is left without `finish`, nothing of it stays."""

    output: Path
    folder: Path  # where its files are until it is finished
    files: dict[str, dict[str, Any]] = field(default_factory=dict)  # api.artefact.File by name

    @classmethod
    def begin(cls, output: Path) -> Draft:
        """Start a model, and remove what writers left there that were killed long ago.

        Raises Fault(StorageFailed), StorageUnavailable.
        """
        models = output / MODELS

        def make() -> Path:
            make_folder(models)
            folder = partial(models / "model")
            folder.mkdir()
            return folder

        folder = _stored(models, make)
        for swept in (output, models):
            sweep(swept, folder.stat().st_mtime)
        return cls(output, folder)

    def write(self, name: str, content: bytes) -> None:
        """A file of the model from memory. Raises Fault(StorageFailed), StorageUnavailable."""
        path = self._path(name)
        _stored(path, lambda: write_synced(path, content))
        self.files[name] = {"sha256": hashlib.sha256(content).hexdigest(), "sizeBytes": len(content)}

    def copy(self, name: str, source: Path) -> None:
        """A file of the model from a path, of any size. It is copied: a link would change with its other name.

        Raises Fault(StorageFailed), StorageUnavailable.
        """
        path = self._path(name)
        digest = _stored(path, lambda: copy_synced(source, path))
        self.files[name] = {"sha256": digest, "sizeBytes": path.stat().st_size}

    def finish(self, manifest: dict[str, Any]) -> Stored:
        """Write the manifest and give the model its place. Raises Fault(StorageFailed), StorageUnavailable."""
        content = json.dumps(manifest, indent=1, ensure_ascii=False).encode()
        digest = hashlib.sha256(content).hexdigest()
        target = self.output / MODELS / digest[:_DIGITS]

        def place() -> None:
            if self.folder.exists():  # else an earlier try gave it its place, and the answer was lost
                write_synced(self.folder / MANIFEST, content)
                sync(self.folder)
            self._rename(target, digest)
            sync(target.parent)

        _stored(target, place)
        return Stored(target, f"sha256:{digest}")

    def _rename(self, target: Path, digest: str) -> None:
        try:
            self.folder.rename(target)
        except OSError as error:
            if self._is_at(target, digest):  # written twice, or renamed by a request whose answer was lost
                return
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            # Somebody changed the files that lie there: nobody can serve them, and they are not thrown away either.
            target.rename(target.with_name(f"{target.name}.damaged-{os.urandom(4).hex()}"))
            self.folder.rename(target)

    def _is_at(self, folder: Path, digest: str) -> bool:
        """Whether this very model lies there whole."""
        expected = {MANIFEST: digest} | {name: file["sha256"] for name, file in self.files.items()}
        try:
            return all(sha256(folder / name) == found for name, found in expected.items())
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _path(self, name: str) -> Path:
        if not name or "/" in name or name.startswith(".") or name == MANIFEST:
            raise ValueError(f"{name!r} is no name for a file of a model")
        return self.folder / name

    def __enter__(self) -> Draft:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        remove(self.folder)


def require_writable(output: Path) -> None:
    """Raises Fault(StorageFailed) where no model can be stored: before hours of work, not after them."""
    with Draft.begin(output):
        pass


def point(output: Path, stored: Stored) -> None:
    """Make this the model that an address of the output folder means; nothing is written where it is already.

    Raises Fault(StorageFailed), StorageUnavailable.
    """
    if stored.folder == output:  # an earlier version wrote it right there
        return
    pointer = {"formatVersion": 1, "folder": str(stored.folder.relative_to(output)), "digest": stored.digest}
    content = json.dumps(pointer).encode()
    path = output / POINTER
    try:
        if read_whole(path) == content:
            return
    except FileNotFoundError:
        pass
    except OSError as error:
        raise storage_fault(path, error) from error
    write_atomically(path, content)


def address(uri: str, output: Path, folder: Path) -> str:
    """The address of a folder in the output folder, whose own address is `uri`."""
    return uri if folder == output else f"{uri}/{folder.relative_to(output)}"


def _stored(path: Path, action: Callable[[], _Result]) -> _Result:
    try:
        return patiently(action, path)
    except OSError as error:
        raise storage_fault(path, error) from error
