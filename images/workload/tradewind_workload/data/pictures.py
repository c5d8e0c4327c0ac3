"""Folders of pictures: one for each class, whose name is the label. Each file is read, named in the log or refused."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa
from PIL import Image

from tradewind_workload.data.file import File, Files
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.retries import entries, read_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

IMAGE, LABEL = "image", "label"  # the columns of a folder of pictures
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"  # how Hive and Spark write a missing value into the name of a folder
TOGETHER = 256  # pictures that one task reads
BYTES = 1 << 26  # of the pictures of a batch
ROWS = 256  # of a batch
COLOURS = 3  # channels, where it is not known that there are fewer
# What Windows, macOS and network drives leave in folders of pictures.
_LEFT = ("thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin")


@dataclass
class _Walk:
    root: Path
    uri: str
    field_: str  # spec.data.train, for messages
    found: list[File] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)


def has_pictures(path: Path) -> bool:
    """Whether the first folder with files, this one or one below it, has pictures."""
    return any(entry.suffix.lower() in PICTURES for entry in _first_files(path))


def _first_files(path: Path) -> list[Path]:
    inside = [entry for entry in sorted(entries(path)) if not _is_left(entry)]
    files = [entry for entry in inside if not entry.is_dir()]
    return files or next(filter(None, map(_first_files, inside)), [])


def picture_files(path: Path, uri: str, field_: str) -> Files:
    """All pictures of a folder of folders, in the order of their names.

    Raises Fault(InvalidData) for what can't be read with them, and where they have no label.
    """
    if not path.exists():
        raise Fault(
            "InvalidData",
            f"{uri} does not exist on the volume: put the pictures there, or correct {field_}.storageUri.",
        )
    if not path.is_dir():
        raise Fault(
            "InvalidData",
            f"{uri} is a file, and {field_}.format is images: name the folder that has a folder of pictures for each "
            f"class, or correct {field_}.format.",
        )
    walk = _Walk(path, uri, field_)
    _look(walk, path, (), None)
    if not walk.found:
        raise Fault(
            "InvalidData",
            f"the folder {uri} has no picture ({', '.join(PICTURES)}): put a folder of them there for each class, or "
            f"correct {field_}.storageUri.",
        )
    loose = [file for file in walk.found if file.label is None]
    if len(loose) == len(walk.found) and not loose[0].partition:
        raise Fault(
            "InvalidData",
            f"the pictures of {uri} have no label: put each into a folder with the name of its class (for example "
            f"cat/{Path(loose[0].name).name}), or name a table of their paths in {field_}.storageUri.",
        )
    if loose and len(loose) < len(walk.found):
        raise Fault(
            "InvalidData",
            f"{uri} has {len(loose)} pictures beside the folders of the classes (the first is {loose[0].name}): move "
            "each into the folder of its class"
            f"{', and name no class with =, which makes a folder a column' if loose[0].partition else ''}.",
        )
    notes = []
    if walk.left:
        files = "1 file" if len(walk.left) == 1 else f"{len(walk.left)} files"
        notes.append(f"{files} of other programs (the first is {walk.left[0]})")
    notes += [f"the folder {name}, which has no picture" for name in walk.empty]
    return Files("images", tuple(walk.found), tuple(notes))


def _look(walk: _Walk, folder: Path, partition: tuple[tuple[str, str | None], ...], label: str | None) -> None:
    before = len(walk.found)
    for entry in sorted(entries(folder)):
        name = str(entry.relative_to(walk.root))
        try:
            name.encode()
        except UnicodeEncodeError:
            raise Fault(
                "InvalidData", f"the name of {name!r} in {walk.uri} is not UTF-8: rename it, since it may be a label."
            ) from None
        if _is_left(entry):
            walk.left.append(name)
        elif not entry.is_dir():
            if entry.suffix.lower() not in PICTURES:
                raise Fault(
                    "InvalidData",
                    f"{walk.uri} has the file {name}, which is no picture that can be read: pictures have one of the "
                    f"endings {', '.join(PICTURES)}. Convert it to PNG or JPEG, or move it elsewhere; if it is a table "
                    f"with paths of the pictures, name it in {walk.field_}.storageUri.",
                )
            walk.found.append(File(str(entry), name, None, partition, label))
        elif "=" in entry.name:
            _look(walk, entry, (*partition, partition_of(entry.name)), label)
        elif label is None:
            _look(walk, entry, partition, entry.name)
        else:
            raise Fault(
                "InvalidData",
                f"{walk.uri} has the folder {name} in the folder of the class {label!r}: name the folder right above "
                f"the classes in {walk.field_}.storageUri, and put all pictures of a class into its folder.",
            )
    if label is not None and len(walk.found) == before:
        walk.empty.append(str(folder.relative_to(walk.root)))


def _is_left(entry: Path) -> bool:
    return entry.name.startswith(".") or entry.name.lower() in _LEFT


def partition_of(name: str) -> tuple[str, str | None]:
    """The column and its value that the name of a folder is, as Hive and Spark write it: year=2026."""
    key, value = (unquote(part) for part in name.split("=", 1))
    return key, None if value == NULL_PARTITION else value


def grouped(files: Sequence[File]) -> list[tuple[File, ...]]:
    """The files that are read together, so that many small ones are not as many tasks; all are in one partition."""
    alike = [tuple(some) for _, some in groupby(files, key=lambda file: file.partition)]
    return [some[start : start + TOGETHER] for some in alike for start in range(0, len(some), TOGETHER)]


def pixels_of(content: bytes, side: int) -> int:
    """Values of a picture in colours that is brought to at most `side` pixels a side; 0 where it can't be opened."""
    try:
        with Image.open(BytesIO(content)) as image:
            smaller = min(1.0, side / max(image.size))
            return COLOURS * math.prod(max(1, round(smaller * length)) for length in image.size)
    except Exception:  # noqa: BLE001 -- whoever reads all of them says which can't be opened, and why
        return 0


def labels(files: Sequence[File]) -> pa.RecordBatch:
    """A row for each picture without the picture: the name of its folder, where it has one."""
    columns = {LABEL: pa.array([file.label for file in files], pa.string())} if files[0].label is not None else {}
    return pa.RecordBatch.from_pydict({IMAGE: pa.array([b""] * len(files)), **columns})


def contents(files: Sequence[File]) -> Iterator[pa.RecordBatch]:
    """The same with the bytes of each file, some rows at a time. Raises OSError, and StorageUnavailable."""
    start, size, some = 0, 0, list[bytes]()
    for number, file in enumerate(files, 1):
        some.append(read_whole(Path(file.path)))
        size += len(some[-1])
        if size >= BYTES or len(some) == ROWS or number == len(files):
            batch = labels(files[start:number])
            yield batch.set_column(0, IMAGE, pa.array(some, pa.large_binary()))
            start, size, some = number, 0, []


def at_paths(paths: pa.Array, folder: Path, places: Sequence[str]) -> pa.Array:
    """The bytes of the pictures at these paths below a folder, large_binary; null for null.

    `places` say where each path stands. Raises Fault(InvalidData) that names those that are not there.
    """
    found: list[bytes | None] = []
    lacking: list[str] = []
    for path, place in zip(paths.to_pylist(), places, strict=True):
        if path is None:
            found.append(None)
            continue
        if (why := _refused(path)) is not None:
            raise Fault(
                "InvalidData",
                f"{path[:200]!r} in {place} {why}: write the path of a picture from the folder of the table on, for "
                "example photos/1.jpg.",
            )
        try:
            found.append(read_whole(folder / path.strip()))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            lacking.append(f"{path[:200]!r} in {place}")
    if lacking:
        raise Fault(
            "InvalidData",
            f"there is no picture at {'; '.join(lacking[:3])}{f' and {len(lacking) - 3} more' if lacking[3:] else ''}: "
            "put the pictures there (paths start at the folder of the table), or remove the rows.",
        )
    return pa.array(found, pa.large_binary())


def _refused(path: str) -> str | None:
    """Why a path is not followed; None where it is."""
    parts = path.strip().split("/")
    if "://" in path:
        return "is an address, and pictures are read from the volume"
    if path.strip().startswith("/") or ".." in parts:
        return "leads out of the folder of the table"
    return "has a NUL" if "\0" in path else None
