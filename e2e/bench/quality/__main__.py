"""How good our models are beside scikit-learn's, and whether a server gives them: `python -m e2e.bench.quality`.

Makes the tables, plays the contest, asks the servers of the examples, writes JSON and a picture to build/bench, prints
what docs/results.md shows (--page writes it), and ends with 1 where ours is worse or an answer differs. `--seeds` and
names of tables make it shorter; `--from FILE` makes page and picture of an earlier JSON again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from e2e import venv
from e2e.bench.quality import page
from e2e.bench.quality.tables import TABLES
from e2e.cluster.places import cache
from e2e.cluster.progress import Failed, run, say

ROOT = Path(__file__).resolve().parents[3]
OUT = ROOT / "build" / "bench"
DOCS = ROOT / "docs"
SOURCES = ("operator/src", "images/processors", "images/workload", "images/server", ".")
EXAMPLES = ("credit", "heart", "reviews", "digits", "mnist")

Line = dict[str, Any]


def _carried(out: Path) -> None:
    """The tables of the packages as csv files; made once."""
    if (out / "whole").exists():
        return
    out.mkdir(parents=True, exist_ok=True)
    folder = cache() / "modeldata"
    if not (folder / "whole").exists():
        say("taking r-cran-modeldata from Debian's index")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            run("apt-get", "download", "r-cran-modeldata", cwd=folder)
        except Failed:
            run("apt-get", "update")
            run("apt-get", "download", "r-cran-modeldata", cwd=folder)
        (package,) = folder.glob("*.deb")
        run("dpkg-deb", "-x", package, folder)
        (folder / "whole").touch()
    say("tables as csv files")
    python = venv.python("examples")
    run(python, "-W", "ignore", "-m", "e2e.bench.quality.packaged", folder, out, cwd=ROOT, env={"PYTHONPATH": "."})
    (out / "whole").touch()


def _lines(module: str, *arguments: str | Path) -> list[Line]:
    """What a program of the workload's environment prints, a line of JSON each."""
    environment = {
        "PYTHONPATH": ":".join(str(ROOT / source) for source in SOURCES),
        "OMP_NUM_THREADS": "1",
        "TRADEWIND_SERVER_PYTHON": str(venv.python("server")),
    }
    command = [str(venv.python("workload")), "-W", "ignore", "-m", f"e2e.bench.quality.{module}", *map(str, arguments)]
    found: list[Line] = []
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for text in process.stdout:
            found.append(json.loads(text))
            say(_told(found[-1]))
    if process.returncode:
        sys.exit(f"{module} failed, see above")
    return found


def _told(line: Line) -> str:
    """A line of progress."""
    if "example" in line:
        return f"{line['example']}: {line['rows']} rows asked, labels that differ: {page.differing(line)}"
    if "verdict" in line:
        ours = next(iter(line["differences"]))
        return f"{line['table']}: {ours} beside {line['best']}: {line['differences'][ours][line['best']]['word']}"
    return f"{line['table']}, seed {line['seed']}, {line['model']}: {line['metric']} {line['value']:.4f}"


def _measured(seeds: int, architectures: str, chosen: list[str]) -> Line:
    out = OUT / "quality"
    work = out / "work"
    _carried(out / "data")
    names = [name for name in chosen if name in {table.name for table in TABLES}]
    examples = [name for name in chosen if name in EXAMPLES]
    played = _lines("contest", out / "data", work, str(seeds), architectures, *names) if names or not chosen else []
    served = _lines("served", out / "data", work, venv.python("install"), *examples) if examples or not chosen else []
    return {
        "at": datetime.now(UTC).date().isoformat(),
        "machine": platform.machine(),
        "seeds": seeds,
        "runs": [line for line in played if "verdict" not in line],
        "tables": [line for line in played if "verdict" in line],
        "served": served,
    }


def main(arguments: list[str]) -> int:
    """Run it; 1 where ours is worse than the best reference beyond the interval, or where an answer differs."""
    parser = argparse.ArgumentParser(
        prog="python -m e2e.bench.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5, help="divisions of each table, each with its own start")
    parser.add_argument("--networks", action="store_true", help="the perceptron for tables too")
    parser.add_argument("--page", action="store_true", help="write docs/results.md and its picture")
    parser.add_argument("--from", type=Path, dest="earlier", help="an earlier JSON, in place of a new contest")
    parser.add_argument("names", nargs="*", metavar="NAME", help="tables and examples; all when left out")
    given = parser.parse_args(arguments)
    known = {table.name for table in TABLES} | set(EXAMPLES)
    if unknown := sorted(set(given.names) - known):
        parser.error(f"there is no {unknown[0]}; choose from {', '.join(sorted(known))}")
    try:
        found = (
            json.loads(given.earlier.read_text())
            if given.earlier
            else _measured(given.seeds, "all" if given.networks else "first", given.names)
        )
    except Failed as failure:
        sys.exit(f"error: {failure}")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "quality.json").write_text(json.dumps(found, indent=1) + "\n")
    print(page.tables(found))
    picture = DOCS / "results.svg" if given.page else OUT / "quality.svg"
    run(venv.python("workload"), "-m", "e2e.bench.quality.plot", OUT / "quality.json", picture, cwd=ROOT)
    if given.page:
        (DOCS / "results.md").write_text(page.page(found))
    return int(not page.holds(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
