"""What a file is by its first bytes, where its name says that it is text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from tradewind_workload.data.file import File

_STARTS = {
    b"\x1f\x8b": ("packed by gzip", "give it the ending .gz behind its own, or unpack it"),
    b"BZh": ("packed by bzip2", "give it the ending .bz2 behind its own, or unpack it"),
    b"\x28\xb5\x2f\xfd": ("packed by Zstandard", "give it the ending .zst behind its own, or unpack it"),
    b"PK\x03\x04": ("a ZIP archive or a workbook", "unpack it; of a workbook, save the sheet as csv"),
    b"\xd0\xcf\x11\xe0": ("a workbook", "save the sheet as csv"),
    b"PAR1": ("Parquet", "give it the ending .parquet"),
}


def require_text(start: bytes, file: File, format_: str) -> None:
    """Raises Fault(InvalidData) where the first bytes of a file that is read as text are those of something else."""
    for mark, (what, remedy) in _STARTS.items():
        if start.startswith(mark):
            raise Fault("InvalidData", f"{file.name} is {what}, and no {format_}: {remedy}.")
