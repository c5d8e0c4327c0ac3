"""Trouble of a volume that passes: what is tried again, how long, and what is said where it stays.

A volume over a network has moments: a server that restarts, a path that is switched over, a handle that went stale.
The data and the spec are not to blame for these, so they never end a job for good.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from typing import TYPE_CHECKING, TypeVar

from tradewind_workload.io.fault import StorageUnavailable, causes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_Result = TypeVar("_Result")

PASSING = frozenset(
    {
        errno.EAGAIN,
        errno.ECOMM,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EINTR,
        errno.EIO,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
        errno.ENOLINK,
        errno.ENOTCONN,
        errno.EREMOTEIO,
        errno.ESHUTDOWN,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
WAITS = (0.2, 1.0, 3.0, 8.0)  # seconds before each further try


def patiently(action: Callable[[], _Result], what: str | Path, sleep: Callable[[float], None] = time.sleep) -> _Result:
    """What `action` returns; it is called again, up to four times, where a volume has trouble that passes.

    `action` starts from the beginning each time: it opens its files itself. `what` is the path or the address that a
    message names where the error has no path. Raises StorageUnavailable where the trouble stays, and every other error
    at once and as it is: a full disk or a missing right does not pass.
    """
    for wait in (*WAITS, None):
        try:
            return action()
        except StorageUnavailable:
            raise  # of a part of the action, which was tried again already
        except Exception as error:
            if (trouble := trouble_in(error)) is None:
                raise
            if wait is None:
                raise _unavailable(trouble, what) from error
            print(f"{_words(trouble, what)}: again in {wait:g} s", file=sys.stderr, flush=True)
        sleep(wait)
    raise AssertionError("the last try returns or raises")


def trouble_in(error: BaseException) -> OSError | None:
    """The error of a volume that passes, if this one is or comes from one, also through the wrappers of Ray."""
    return next((found for found in causes(error) if isinstance(found, OSError) and found.errno in PASSING), None)


def read_whole(path: Path) -> bytes:
    """All bytes of a file, read again where the volume has trouble that passes or gave fewer than the file has."""

    def read() -> bytes:
        with path.open("rb") as file:
            content = file.read()
            require_length(path, len(content), os.fstat(file.fileno()).st_size)
        return content

    return patiently(read, path)


def entries(folder: Path) -> list[Path]:
    """What is in a folder, nothing where there is none. Raises OSError, and StorageUnavailable."""
    try:
        return patiently(lambda: list(folder.iterdir()), folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def require_length(path: Path, found: int, size: int) -> None:
    """Raises OSError (EIO) where fewer bytes came than the file has: NFS ends a read early instead of failing it."""
    if found < size:
        raise OSError(errno.EIO, f"only {found} of {size} bytes were read", str(path))


def _unavailable(trouble: OSError, what: str | Path) -> StorageUnavailable:
    return StorageUnavailable(
        "StorageFailed",
        f"{_words(trouble, what)}, {len(WAITS) + 1} times in {sum(WAITS):g} s: check the volume and its server. "
        "Another attempt continues where this one stopped.",
    )


def _words(trouble: OSError, what: str | Path) -> str:
    return f"{trouble.filename or what}: {trouble.strerror or trouble} ({errno.errorcode.get(trouble.errno or 0, '')})"
