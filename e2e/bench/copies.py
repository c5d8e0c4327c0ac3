"""Copies of one model, measured over HTTP as a CompressionJob measures its variants: they must come out as equal.

Of 100 intervals of a speed-up 95 at least must hold 1, whatever the number of copies and the size of the file, and the
median of the speed-ups must be within 2 % of 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from e2e import venv
from e2e.bench._contestants import request
from e2e.bench._models import make_models
from e2e.bench._runs import ROOT, said

LEAST, WITHIN = 0.95, 0.02
MODELS = ("small", "wide")  # 70 KB and 68 MB
SOURCES = ("operator/src", "images/processors", "images/workload", "images/server", ".")


def measured(folders: list[Path]) -> list[dict[str, Any]]:
    """As a CompressionJob measures the first one and its variants."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(str(ROOT / source) for source in SOURCES),
        "TRADEWIND_SERVER_PYTHON": sys.executable,
        "TRADEWIND_STANDS": "",
    }
    command = [str(venv.python("workload")), "-m", "e2e.bench._replica", *map(str, folders)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{folders[0].name} was not measured as a job does: {done.stderr[-2000:]}")
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


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
            whole = request("model", shapes[model], binary=False)
            (folder / model / "request.json").write_bytes(whole.partition(b"\r\n\r\n")[2])
            for turn in range(args.rounds):
                for count in args.copies:
                    copies = [folder / f"copy{number}" for number in range(count)]
                    for copy in copies:
                        shutil.copytree(folder / model, copy)
                    found = [(one["speedup"], one["low"], one["high"]) for one in measured(copies)[1:]]
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


def run_in_servers_environment() -> int:
    """Starts this program anew where ONNX Runtime is installed."""
    sources = os.pathsep.join(str(ROOT / source) for source in SOURCES)
    command = [str(venv.python("server")), "-m", "e2e.bench.copies", *sys.argv[1:]]
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": sources}).returncode


if __name__ == "__main__":
    sys.exit(main() if importlib.util.find_spec("onnxruntime") else run_in_servers_environment())
