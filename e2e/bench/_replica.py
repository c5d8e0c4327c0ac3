"""Replicas measured as a CompressionJob does, in the workload's environment: `python -m e2e.bench._replica FOLDER...`.

The first folder is the baseline, and the others are the variants. Each has a model; the first one has a file
`request.json`, the body of a request. Writes a JSON list of figures.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tradewind.api.compressionjob import Goals, Measure
from tradewind_workload.measure.figures import Replica
from tradewind_workload.measure.loading import loading
from tradewind_workload.measure.replica import Replicas, Unfit
from tradewind_workload.measure.seen import Served
from tradewind_workload.measure.stands import opened


def figures(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Of the models in the folders. Raises SystemExit where one of them has none."""
    with opened(threads=1) as stands, loading([(folders[0] / "request.json").read_text()]) as ask:
        if stands is None:
            raise SystemExit("there is no server to measure")
        baseline, *variants = (Served(folder, None) for folder in folders)
        found = Replicas(stands, ask, Measure(), Goals()).figures(baseline, variants)
    for one in found:
        if isinstance(one, Unfit):
            raise SystemExit(str(one))
    return [asdict(one) for one in found if isinstance(one, Replica)]


if __name__ == "__main__":
    print(json.dumps(figures([Path(folder) for folder in sys.argv[1:]])))
