"""Which files a data set has: each file of its folder is one of them, or stands in a refusal by name."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from tradewind.api.data import Format
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.places import local_path
from tradewind_workload.io.retries import entries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tradewind.api.data import Dataset

Compression = Literal["gzip", "bz2", "zstd"]

PATIENCE = 60.0  # seconds until data that is not there counts as missing

FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".npz": "npz",
}
COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
COMPRESSED: tuple[Format, ...] = ("csv", "jsonl")  # the others have a compression of their own
SUFFIXES = ".csv, .tsv, .jsonl, .ndjson (also with .gz, .bz2 or .zst), .parquet or .npz"
# Folders of table formats beside whose files stand those of older states: reading all of them would mix the two.
LOGS = {"_delta_log": "Delta Lake", ".hoodie": "Hudi"}
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"  # how Hive and Spark write a missing value into the name of a folder


@dataclass(frozen=True)
class File:
    """A file of a data set, and the columns that the names of its folders are: `year=2024/part-0.csv`."""

    path: str
    name: str  # from the data set's folder on, for messages
    compression: Compression | None = None
    partition: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True)
class Files:
    """All files of a data set, in the order of their names; at least one."""

    format: Format
    files: tuple[File, ...]
    passed_over: tuple[str, ...]  # names that start with `_`, as of `_SUCCESS`


def find_files(dataset: Dataset, field: str) -> Files:
    """The files of a data set; `field` (spec.data.train) is for messages.

    Raises Fault(InvalidData) where there is none, and where a file can't be read with the others.
    """
    path = local_path(dataset.storage_uri)
    _wait_for(path, dataset.storage_uri)
    if path.is_file():
        found = _kind(path.name)
        if dataset.format is None and found is None:
            raise Fault(
                "InvalidData",
                f"the name of {dataset.storage_uri} does not say what is in it: set {field}.format, or give it one of "
                f"the endings {SUFFIXES}.",
            )
        format_ = dataset.format or found
        assert format_ is not None
        compression = COMPRESSIONS.get(path.suffix.lower()) if format_ in COMPRESSED else None
        return Files(format_, (File(str(path), path.name, compression),), ())
    if not path.is_dir():
        raise Fault(
            "InvalidData",
            f"{dataset.storage_uri} does not exist on the volume: put the data there, or correct {field}.storageUri.",
        )
    return _folder(path, dataset, field)


def _folder(path: Path, dataset: Dataset, field: str) -> Files:
    uri, passed_over = dataset.storage_uri, list[str]()
    found: list[tuple[File, Format]] = []
    for file in _walk(path, path, (), uri, passed_over):
        if (kind := _kind(file.name)) is None:
            raise Fault(
                "InvalidData",
                f"{uri} has the file {file.name}, which can't be read: data has one of the endings {SUFFIXES}. Move "
                f"the file elsewhere, or name a single file in {field}.storageUri.",
            )
        found.append((file, kind))
    if not found:
        raise Fault(
            "InvalidData",
            f"the folder {uri} has no {f'.{dataset.format} file' if dataset.format else 'file with data'}: put one "
            f"there, or correct {field}.storageUri.",
        )
    format_ = dataset.format or found[0][1]
    for file, kind in found:
        if kind == format_:
            continue
        if dataset.format is not None:
            raise Fault(
                "InvalidData",
                f"{uri} has the file {file.name}, which is not {format_}: move it elsewhere, or correct "
                f"{field}.format.",
            )
        raise Fault(
            "InvalidData",
            f"{uri} has files of several formats, {found[0][0].name} and {file.name}: leave one format in the folder.",
        )
    return Files(format_, tuple(file for file, _ in found), tuple(passed_over))


def _walk(
    folder: Path, root: Path, partition: tuple[tuple[str, str | None], ...], uri: str, passed_over: list[str]
) -> Iterator[File]:
    for entry in sorted(entries(folder)):
        name = str(entry.relative_to(root))
        if entry.name in LOGS:
            raise Fault(
                "InvalidData",
                f"{uri} is a table of {LOGS[entry.name]}, whose folder has rows of older states too: write the table "
                "as it is now to a folder of Parquet files, and name that.",
            )
        if entry.name.startswith("."):
            continue
        if entry.name.startswith("_"):
            passed_over.append(name)
        elif not entry.is_dir():
            yield File(str(entry), name, COMPRESSIONS.get(entry.suffix.lower()), partition)
        elif "=" in entry.name:
            key, value = (unquote(part) for part in entry.name.split("=", 1))
            yield from _walk(
                entry, root, (*partition, (key, None if value == NULL_PARTITION else value)), uri, passed_over
            )
        else:
            raise Fault(
                "InvalidData",
                f"{uri} has the folder {name}: put all files into one folder, or into folders named column=value "
                "(for example year=2026), which become columns.",
            )


def _kind(name: str) -> Format | None:
    """The format that the ending of a name says, whatever its case."""
    parts = name.lower().split(".")
    packed = len(parts) > 2 and f".{parts[-1]}" in COMPRESSIONS
    kind = FORMATS.get(f".{parts[-2] if packed else parts[-1]}") if len(parts) > 1 else None
    return None if packed and kind not in COMPRESSED else kind


def _wait_for(path: Path, uri: str) -> None:
    """Give what is applied together with the job, and brings its data, the time to do so."""
    end = time.monotonic() + PATIENCE
    if not path.exists() and PATIENCE:
        print(f"{uri} is not there yet: waiting up to {PATIENCE:.0f} s for it", flush=True)
    while not path.exists() and time.monotonic() < end:
        time.sleep(1)
