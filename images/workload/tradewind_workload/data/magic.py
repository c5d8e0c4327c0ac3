"""What a file is by its first bytes, where its name says that it is text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from tradewind_workload.data.file import File

BYTES = 16  # of a file that show it
# Expressions: a csv file may well start with a column PAR1.
_STARTS = {
    rb"\x1f\x8b": ("packed by gzip", "give it the ending .gz behind its own, or unpack it"),
    rb"BZh[1-9]1AY&SY": ("packed by bzip2", "give it the ending .bz2 behind its own, or unpack it"),
    rb"\x28\xb5\x2f\xfd": ("packed by Zstandard", "give it the ending .zst behind its own, or unpack it"),
    rb"PK\x03\x04": ("a ZIP archive or a workbook", "unpack it; of a workbook, save the sheet as csv"),
    rb"\xd0\xcf\x11\xe0": ("a workbook", "save the sheet as csv"),
    rb"PAR1\x15": ("Parquet", "give it the ending .parquet"),
}


def require_text(start: bytes, file: File, format_: str) -> None:
    """Raises Fault(InvalidData) where the first bytes of a file that is read as text are those of something else."""
    for mark, (what, remedy) in _STARTS.items():
        if re.match(mark, start):
            raise Fault("InvalidData", f"{file.name} is {what}, and no {format_}: {remedy}.")
