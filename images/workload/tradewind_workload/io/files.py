"""Files on a volume: each is whole or not there, also where its writer is killed, and two writers never share one."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
from typing import TYPE_CHECKING

from tradewind_workload.io.fault import Fault
from tradewind_workload.io.retries import patiently, require_length

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = "model.json"  # as api.artefact has it
ONNX = "model.onnx"
WEIGHTS = "model.safetensors"
TREES = "model.ubj"  # what XGBoost reads
ENCODING = "encoding.json"  # how a table's columns become what a network or trees take
SAMPLES = "samples.json"  # as api.artefact has it
REPORT, REPORT_PAGE = "report.json", "report.html"  # for programs, and for people
STALE = 86400.0  # seconds; whoever wrote no byte for a day does not write any more
_CHUNK = 1 << 22
# What `partial` names, and what an earlier version did: .model.onnx.4711.partial
_PARTIAL = re.compile(r"\..+\.([A-Za-z0-9-]+-\d+-[0-9a-f]{8}|\d+)\.partial")


def partial(path: Path) -> Path:
    """A name beside `path` to write at: of this pod, this process and this moment alone."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())
    return path.with_name(f".{path.name}.{host}-{os.getpid()}-{secrets.token_hex(4)}.partial")


def write_atomically(path: Path, *parts: bytes | memoryview) -> None:
    """A reader sees the old file or the whole new one, also after a crash: written beside, synced, renamed.

    Raises Fault(StorageFailed) with the path, what is wrong and what to do, and StorageUnavailable.
    """

    def write() -> None:
        make_folder(path.parent)
        beside = partial(path)
        try:
            write_synced(beside, *parts)
            beside.replace(path)
        except BaseException:
            remove(beside)
            raise
        sync(path.parent)

    try:
        patiently(write, path)
        sweep(path.parent, path.stat().st_mtime)
    except OSError as error:
        raise storage_fault(path, error) from error


def write_synced(path: Path, *parts: bytes | memoryview) -> None:
    """Write a file that nobody else knows of, and wait until it is on the disk."""
    with path.open("wb") as file:
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


def copy_synced(source: Path, target: Path) -> str:
    """Copy a file of any size to where nobody else looks. Returns the SHA-256 of what was copied, in hexadecimal."""
    digest, copied = hashlib.sha256(), 0
    with source.open("rb") as reading, target.open("wb") as writing:
        while chunk := reading.read(_CHUNK):
            digest.update(chunk)
            writing.write(chunk)
            copied += len(chunk)
        require_length(source, copied, os.fstat(reading.fileno()).st_size)
        writing.flush()
        os.fsync(writing.fileno())
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal. Raises OSError, and StorageUnavailable."""

    def read() -> str:
        digest, done = hashlib.sha256(), 0
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
            require_length(path, done, os.fstat(file.fileno()).st_size)
        return digest.hexdigest()

    return patiently(read, path)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that they are there after a crash too."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync(folder.parent)


def sync(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the volume knows how to."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file or a folder as far as that works: what stays is swept another day."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def sweep(folder: Path, now: float) -> None:
    """Remove what killed writers left in a folder: our own partial names, and no byte written for a day.

    `now` is the time of a file just written there: the clock of the volume, which is not that of this machine.
    """
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            if _PARTIAL.fullmatch(entry.name) and _last_written(entry) < now - STALE:
                remove(entry)


def _last_written(path: Path) -> float:
    """Seconds since the epoch; infinite where that can't be told, for what can't be told is not removed."""
    try:
        found = [path.lstat().st_mtime]
        if path.is_dir():
            found += [entry.lstat().st_mtime for entry in path.iterdir()]
    except OSError:
        return float("inf")
    return max(found)


def storage_fault(path: Path, error: OSError) -> Fault:
    """What went wrong when a file was written, and what to do."""
    remedy = {
        errno.ENOSPC: "make the PersistentVolumeClaim larger or free space on it",
        errno.EDQUOT: "raise the quota of the volume",
        errno.EACCES: "let group 10001 write there (fsGroup), or choose another spec.output.storageUri",
        errno.EEXIST: "it is below a file: choose another spec.output.storageUri, which is a folder",
        errno.ENOTDIR: "it is below a file: choose another spec.output.storageUri, which is a folder",
        errno.EROFS: "the volume is read-only: choose another spec.output.storageUri",
    }.get(error.errno or 0, "check the volume of spec.output.storageUri")
    return Fault("StorageFailed", f"{path} could not be written ({error.strerror}): {remedy}.")
