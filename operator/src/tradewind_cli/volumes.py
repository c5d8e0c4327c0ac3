"""Claims as folders: pvc://CLAIM/PATH is DIR/CLAIM/PATH."""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tradewind.api.data import Data
from tradewind_cli.manifests import BadManifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

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


@contextmanager
def alone(folder: Path, storage_uri: str) -> Iterator[None]:
    """Keep other runs on this machine from an output folder: of two with the same spec and data, one would remove the
    checkpoints and the rows that the other one works with. Raises BadManifest where there is one already."""
    lock = folder / ".tradewind" / "locks" / hashlib.sha256(storage_uri.encode()).hexdigest()[:16]
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadManifest(
                f"another tradewind run works on {storage_uri} in {folder} at this moment: wait until it has ended, or "
                "stop it."
            ) from None
        yield


def state(folder: Path, told: Mapping[str, Any]) -> str:
    """A hash of the names and contents of all files that a spec reads: data, a model, weights to start from.

    Raises Fault where a table that has the paths of pictures can't be read.
    """
    digest = hashlib.sha256()
    for storage_uri in sorted({*_read({name: part for name, part in told.items() if name != "output"})}):
        for path in sorted(_files(path_of(folder, storage_uri))):
            _add(digest, path, folder)
    for path in sorted({*_pictures(told, folder)}):
        _add(digest, path, folder)
    return digest.hexdigest()


def _add(digest: hashlib._Hash, path: Path, folder: Path) -> None:
    with path.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    digest.update(f"{path.relative_to(folder)}\0{found}\0".encode())


def _pictures(told: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    """The files whose paths stand in the tables of a spec."""
    data = Data.model_validate(told["data"])
    columns = [choice.name for choice in data.columns if choice.type == "image"]
    if not columns:
        return
    from tradewind_workload.data.cells import is_text
    from tradewind_workload.data.opening import read_layout
    from tradewind_workload.data.table import batches

    for part in ("train", "validation", "test"):
        if (dataset := getattr(data, part)) is None:
            continue
        for source in read_layout(dataset, f"spec.data.{part}", data.missing).sources:
            for batch in batches(source, data.missing):
                for name in {*columns}.intersection(batch.cells.schema.names):
                    cells = batch.cells.column(name)
                    paths = cells.drop_null().to_pylist() if is_text(cells.type) else ()
                    files = (batch.folder / path.strip() for path in paths)
                    # The job says what is wrong with the others.
                    yield from (path for path in files if path.is_relative_to(folder) and path.is_file())


def _read(part: Any) -> Iterator[str]:
    """The addresses in a part of a spec."""
    if isinstance(part, str) and part.startswith(PREFIX):
        yield part
    elif isinstance(part, dict | list):
        for one in part.values() if isinstance(part, dict) else part:
            yield from _read(one)


def _files(root: Path) -> Iterator[Path]:
    if root.is_dir():
        yield from (path for path in root.rglob("*") if path.is_file())
    elif root.exists():
        yield root
