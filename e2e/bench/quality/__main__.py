"""The recipes' models of tables beside scikit-learn's, on the same rows: `python -m e2e.bench.quality`.

Each seed splits a table into rows to train on, to validate with and to judge by (60, 20 and 20 %). Ours and theirs
train on the same rows; ours also stop by the validation rows. On both sides, the model that counts for a seed is the
one with the least loss on the validation rows, as somebody who has not seen the other rows would choose it.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from e2e import venv

ROOT = Path(__file__).resolve().parent.parent.parent.parent
SOURCES = ("operator/src", "images/processors", "images/workload", ".")
# Student's t: 95 % of the differences of n pairs without a difference are less than so many standard errors.
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}

Line = dict[str, Any]


def contest(seeds: int, chosen: list[str]) -> list[Line]:
    """What every model gave, in the environment of the workload."""
    environment = {"PYTHONPATH": ":".join(str(ROOT / source) for source in SOURCES), "OMP_NUM_THREADS": "1"}
    command = [str(venv.python("workload")), "-m", "e2e.bench.quality.contest", str(seeds), *chosen]
    lines: list[Line] = []
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for text in process.stdout:
            lines.append(json.loads(text))
            print(f"  {lines[-1]['table']}, seed {lines[-1]['seed']}, {lines[-1]['model']}", file=sys.stderr)
    if process.returncode:
        sys.exit("the contest failed, see above")
    return lines


def chosen(lines: list[Line], *, theirs: bool) -> Line:
    """The model of one side with the least validation loss."""
    side = [line for line in lines if line["model"].startswith("scikit-learn") == theirs]
    return min(side, key=lambda line: line["validation"])


def interval(differences: list[float]) -> tuple[float, float]:
    """Mean, and half of the 95 % interval (Student's t over the seeds)."""
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    return statistics.mean(differences), STUDENT[len(differences)] * error


def judged(lines: list[Line]) -> dict[str, Any]:
    """One table: the mean score of every model, and ours less theirs."""
    seeds = sorted({line["seed"] for line in lines})
    models = dict.fromkeys(line["model"] for line in lines)
    pairs = [
        (chosen(here, theirs=False)["test"], chosen(here, theirs=True)["test"])
        for here in ([line for line in lines if line["seed"] == seed] for seed in seeds)
    ]
    mean, half = interval([ours - theirs for ours, theirs in pairs])
    return {
        "table": lines[0]["table"],
        "models": {
            model: statistics.mean(line["test"] for line in lines if line["model"] == model) for model in models
        },
        "ours": statistics.mean(ours for ours, _ in pairs),
        "theirs": statistics.mean(theirs for _, theirs in pairs),
        "difference": mean,
        "half_interval": half,
        "worse": mean + half < 0,
    }


def main(arguments: list[str]) -> int:
    """Print a table, write JSON, and fail where ours are worse."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bench.quality", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, choices=sorted(STUDENT), help="splits of each table")
    parser.add_argument("--json", type=Path, help="where the results go too")
    parser.add_argument("tables", nargs="*", help="tables; all when left out")
    given = parser.parse_args(arguments)
    lines = contest(given.seeds, given.tables)
    found = [judged([line for line in lines if line["table"] == name]) for name in {line["table"]: 0 for line in lines}]
    report(found)
    if given.json:
        given.json.write_text(json.dumps({"tables": found, "runs": lines}, indent=1) + "\n")
    return int(any(result["worse"] for result in found))


def report(found: list[dict[str, Any]]) -> None:
    """Scores of the rows to judge by: accuracy, and R2 for diabetes."""
    models = list(found[0]["models"])
    print(f"{'':14}" + "".join(f"{model.replace('scikit-learn', 'sk'):>13}" for model in models) + "   ours - theirs")
    for result in found:
        scores = "".join(f"{result['models'][model]:13.4f}" for model in models)
        verdict = "WORSE" if result["worse"] else "holds"
        print(f"{result['table']:14}{scores}   {result['difference']:+.4f} ± {result['half_interval']:.4f} {verdict}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
