"""Which files a data set has: each file of its folder is one of them, or stands in a refusal by name."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tradewind_workload.data.file import File, Files
from tradewind_workload.data.pictures import has_pictures, partition_of, picture_files
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.places import local_path
from tradewind_workload.io.retries import entries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tradewind.api.data import Dataset, Format
    from tradewind_workload.data.file import Compression

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


def find_files(dataset: Dataset, field: str) -> Files:
    """The files of a data set; `field` (spec.data.train) is for messages.

    Raises Fault(InvalidData) where there is none, and where a file can't be read with the others.
    """
    path = local_path(dataset.storage_uri)
    _wait_for(path, dataset.storage_uri)
    if dataset.format == "images" or (dataset.format is None and has_pictures(path)):
        return picture_files(path, dataset.storage_uri, field)
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
            yield from _walk(entry, root, (*partition, partition_of(entry.name)), uri, passed_over)
        else:
            raise Fault(
                "InvalidData",
                f"{uri} has the folder {name}: put all files into one folder, or into folders named column=value "
                "(for example year=2026), which become columns. Of pictures, name the folder right above those of the "
                "classes, or the table that has their paths.",
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
