"""Copies of one model, measured over HTTP as a CompressionJob measures its variants: they must come out as equal.

Of 100 intervals of a speed-up 95 at least must hold 1, whatever the number of copies and the size of the file, and the
median of the speed-ups must be within 2 % of 1.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from e2e.bench._environments import ROOT, in_servers, measured_as_by_jobs
from e2e.bench._models import make_models, write_request
from e2e.bench._runs import said

LEAST, WITHIN = 0.95, 0.02
MODELS = ("small", "wide")  # 70 KB and 68 MB


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
                    found = [(one["speedup"], one["low"], one["high"]) for one in measured_as_by_jobs(copies)[1:]]
                    for copy in copies:
                        shutil.rmtree(copy)
                    rows += [{"model": model, "copies": count, "value": v, "low": a, "high": b} for v, a, b in found]
                    held = sum(low <= 1 <= high for _, low, high in found)
                    middle = statistics.median(value for value, _, _ in found)
                    print(f"{model:8}{count:4} copies: {held} of {len(found)} hold 1, median {middle:.3f}", flush=True)
                said(model, turn, args.rounds)
    held = sum(row["low"] <= 1 <= row["high"] for row in rows)
    middle = statistics.median(row["value"] for row in rows)
    equal = held >= LEAST * len(rows) and abs(middle - 1) <= WITHIN
    print(f"\n{held} of {len(rows)} intervals hold 1, median {middle:.3f}{'' if equal else '  MISSED'}")
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps({"load": os.getloadavg(), "rows": rows}, indent=1))
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(in_servers(main, "copies"))
