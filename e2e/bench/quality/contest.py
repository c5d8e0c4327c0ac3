"""The contest itself, in the environment of the workload: prints a line of JSON for each model, and for each table.

python -m e2e.bench.quality.contest SOURCE WORK SEEDS [TABLE...]
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np

from e2e.bench.quality import ours, theirs
from e2e.bench.quality.tables import TABLES, Table, write_carried, write_division
from e2e.bench.quality.verdict import Judged, difference
from tradewind_workload.train.judging import head_of

if TYPE_CHECKING:
    from e2e.bench.quality.ours import Heard


def play(
    table: Table, seed: int, source: Path, work: Path, architectures: tuple[str, ...]
) -> tuple[Any, dict[str, np.ndarray], np.ndarray]:
    """The metric that counts, the answers of each model, and the truths, of the rows that all are judged by."""
    root = work / f"{table.name}-{seed}"
    folder = ours.data_folder(table, root)
    write_division(table, source, folder, seed)
    said: dict[str, np.ndarray] = {}
    heard: Heard | None = None
    seconds = {}
    for architecture in reversed(architectures):
        began = time.process_time()
        heard = ours.train(table, architecture, seed, root, work / "log.txt")
        said[architecture] = heard.answers
        seconds[architecture] = time.process_time() - began
    assert heard is not None
    prepared, numbers = heard.prepared, heard.numbers
    spec = heard.job.spec
    assert spec.data is not None and spec.recipe is not None
    ignored = frozenset(column.name for column in spec.data.columns if column.type == "ignore")
    for kind in theirs.kinds(table):
        began = time.process_time()
        said[kind] = theirs.answers(table, kind, folder, seed, prepared.labels, ignored)[numbers]
        seconds[kind] = time.process_time() - began
    head, truths = head_of(prepared), prepared.test.targets
    metric = head.primary(spec.recipe.primary_metric)
    for model, answers in said.items():
        line = {
            "table": table.name,
            "seed": seed,
            "model": model,
            "metric": metric.name,
            "value": metric.measure(answers, truths),
            "metrics": head.measured(answers, truths, metric.name),
            "rows": len(prepared.train) + len(prepared.validation),
            "test_rows": len(truths),
            "seconds": seconds[model],
        }
        print(json.dumps(line), flush=True)
    shutil.rmtree(root)
    return metric, said, truths


def judge(table: Table, seeds: int, source: Path, work: Path, architectures: tuple[str, ...]) -> None:
    """All models on one table, and ours beside each of theirs."""
    played = [play(table, seed, source, work, architectures) for seed in range(seeds)]
    metric = played[0][0]
    values = defaultdict(list)
    for _, said, truths in played:
        for model, answers in said.items():
            values[model].append(metric.measure(answers, truths))
    references = theirs.kinds(table)
    best = (max if metric.higher_is_better else min)(references, key=lambda kind: mean(values[kind]))

    def beside(model: str, other: str) -> dict[str, Any]:
        found = difference(metric, [Judged(said[model], said[other], truths) for _, said, truths in played])
        return asdict(found) | {"word": found.word}

    line: dict[str, Any] = {
        "table": table.name,
        "verdict": True,
        "metric": metric.name,
        "higher_is_better": metric.higher_is_better,
        "values": {model: mean(found) for model, found in values.items()},
        "best": best,
        "differences": {model: {kind: beside(model, kind) for kind in references} for model in architectures},
    }
    if len(references) > 1:
        line["boosting_less_linear"] = beside(theirs.BOOSTING, theirs.LINEAR)
    print(json.dumps(line), flush=True)


def main(source: Path, work: Path, seeds: int, every: bool, chosen: list[str]) -> None:
    """All tables, or those chosen, with seeds 0 to `seeds` - 1."""
    write_carried(source)
    work.mkdir(parents=True, exist_ok=True)
    for table in TABLES:
        if not chosen or table.name in chosen:
            judge(table, seeds, source, work, table.architectures if every else table.architectures[:1])


if __name__ == "__main__":
    main(
        Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute(), int(sys.argv[3]), sys.argv[4] == "all", sys.argv[5:]
    )
