"""Copies of one model, measured over HTTP as a CompressionJob measures its variants: they must come out as equal.

Of 100 intervals of a speed-up 95 at least must hold 1, whatever the number of copies and the size of the file, and the
median of the speed-ups must be within 2 % of 1. Of 100 intervals of a throughput 95 at least must meet the baseline's:
variants whose intervals meet count as equal where one is chosen to be served.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from e2e.bench._environments import ROOT, in_servers, measured_as_by_jobs
from e2e.bench._models import make_models, write_request
from e2e.bench._runs import said

LEAST, WITHIN = 0.95, 0.02
MODELS = ("small", "wide")  # 70 KB and 68 MB


def _beside(baseline: dict[str, Any], copy: dict[str, Any]) -> dict[str, Any]:
    """A copy's numbers, and whether they are equal to the baseline's within their intervals."""
    one, other = ([found["sweep"]["rate"], *found["sweep"]["others"]] for found in (baseline, copy))
    return {
        **{number: copy["speedup" if number == "value" else number] for number in ("value", "low", "high")},
        "rates": other,
        "baseline's": one,
        "p50": copy["p50_ms"],
        "holds": copy["low"] <= 1 <= copy["high"],
        "meets": min(one) <= max(other) and min(other) <= max(one),
    }


def _counted(rows: Sequence[dict[str, Any]]) -> tuple[int, int, float]:
    """Intervals of a speed-up that hold 1, those of a throughput that meet the baseline's, and the median speed-up."""
    held, met = (sum(row[what] for row in rows) for what in ("holds", "meets"))
    return held, met, statistics.median(row["value"] for row in rows)


def _told(rows: Sequence[dict[str, Any]]) -> str:
    held, met, middle = _counted(rows)
    return (
        f"{held} of {len(rows)} intervals of the speed-up hold 1, median {middle:.3f}; {met} of those of the "
        "throughput meet the baseline's"
    )


def main() -> int:
    """Measures, prints and writes the JSON; 1 if copies don't come out as equal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--copies", type=int, nargs="+", default=[2, 4, 8, 16], help="the baseline among them")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench" / "copies.json", help="where to write")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shapes = make_models(folder)
        for model in args.models:
            write_request(folder / model, shapes[model])
            for turn in range(args.rounds):
                for count in args.copies:
                    copies = [folder / f"copy{number}" for number in range(count)]
                    for copy in copies:
                        shutil.copytree(folder / model, copy)
                    baseline, *others = measured_as_by_jobs(copies)
                    for copy in copies:
                        shutil.rmtree(copy)
                    found = [{"model": model, "copies": count} | _beside(baseline, other) for other in others]
                    print(f"{model:8}{count:4} copies: {_told(found)}", flush=True)
                    rows += found
                said(model, turn, args.rounds)
    enough, (held, met, middle) = LEAST * len(rows), _counted(rows)
    equal = held >= enough and met >= enough and abs(middle - 1) <= WITHIN
    print(f"\n{_told(rows)}{'' if equal else '  MISSED'}")
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps({"load": os.getloadavg(), "rows": rows}, indent=1))
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(in_servers(main, "copies"))
