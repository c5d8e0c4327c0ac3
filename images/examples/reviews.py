"""The reviews of the example as csv files, from what R's package modeldata carries: `python3 reviews.py MODELDATA OUT`.

Runs while the image is built (see Dockerfile). MODELDATA is the folder with the files of Debian's r-cran-modeldata.
"""

from __future__ import annotations

import lzma
import sys
from pathlib import Path

import rdata

ROWS = {"training_data": ("reviews-train.csv", 4000), "testing_data": ("reviews-test.csv", 1000)}


def reviews(modeldata: Path, out: Path) -> None:
    """Reviews of food, each with its product and whether it was `great` or another one."""
    folder = modeldata / "usr/lib/R/site-library/modeldata/data"
    index = rdata.conversion.convert(rdata.parser.parse_data((folder / "Rdata.rdx").read_bytes()))
    stored = (folder / "Rdata.rdb").read_bytes()
    for name, (file, rows) in ROWS.items():
        start, length = (int(number) for number in index["variables"][name])
        # Four bytes with the length and a Z for how it is compressed, as R's lazy-loading has it.
        packed = stored[start + 5 : start + length]
        raw = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2}]).decompress(packed)
        table = rdata.conversion.convert(rdata.parser.parse_data(raw))
        if len(table) != rows:
            raise SystemExit(f"{name} has {len(table)} rows, {rows} were expected: look at the new package")
        table.to_csv(out / file, index=False)


if __name__ == "__main__":
    reviews(Path(sys.argv[1]), Path(sys.argv[2]))
