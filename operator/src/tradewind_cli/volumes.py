"""Claims as folders: pvc://CLAIM/PATH is DIR/CLAIM/PATH."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from tradewind_cli.manifests import BadManifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tradewind.api.data import Data

PREFIX = "pvc://"


def use(folder: Path) -> None:
    """Have the steps of this process and of its children find their claims in the folder."""
    os.environ["TRADEWIND_PVC_ROOT"] = str(folder)


def path_of(folder: Path, storage_uri: str) -> Path:
    """Where an address of a store lies."""
    return folder / storage_uri.removeprefix(PREFIX)


def require_data(folder: Path, data: Data, remedy: str) -> None:
    """Raises BadManifest in a sentence where a data set is not there; `remedy` says how to get it."""
    for dataset in data.sets():
        path = path_of(folder, dataset.storage_uri)
        if not path.exists():
            raise BadManifest(f"{dataset.storage_uri} is {path} here, and that does not exist: {remedy}.")


def state(folder: Path, data: Data) -> str:
    """A hash of the names and contents of all files of the data sets."""
    digest = hashlib.sha256()
    for dataset in data.sets():
        root = path_of(folder, dataset.storage_uri)
        for path in sorted(_files(root)):
            with path.open("rb") as content:
                found = hashlib.file_digest(content, "sha256").hexdigest()
            digest.update(f"{path.relative_to(folder)}\0{found}\0".encode())
    return digest.hexdigest()


def _files(root: Path) -> Iterator[Path]:
    if root.is_dir():
        yield from (path for path in root.rglob("*") if path.is_file())
    else:
        yield root
