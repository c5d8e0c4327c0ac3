"""Replicas measured as a CompressionJob does, in the workload's environment: `python -m e2e.bench._replica FOLDER...`.

Each folder has a model and a file `request.json`, the body of a request. Writes a JSON list of figures.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tradewind.api.compressionjob import Goals, Measure
from tradewind_workload.measure.loading import loading
from tradewind_workload.measure.replica import Replicas, Served
from tradewind_workload.measure.stands import opened


def figures(folder: Path) -> dict[str, Any]:
    """Of the model in the folder, as the baseline of a job."""
    with opened(threads=1) as stands, loading([(folder / "request.json").read_text()]) as ask:
        if stands is None:
            raise SystemExit("there is no server to measure")
        (found,) = Replicas(stands, ask, Measure(), Goals()).figures(Served(folder, None), [])
    return asdict(found)


if __name__ == "__main__":
    print(json.dumps([figures(Path(folder)) for folder in sys.argv[1:]]))
