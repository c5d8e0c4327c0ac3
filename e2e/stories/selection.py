"""Which stories `make e2e` plays, so that it stays quick while the product grows; `make e2e-all` plays all of them.

`make e2e` stays within 20 minutes where the caches are warm, the selection of the faults included. A new story is left
to `make e2e-all` unless it is the only one that shows a step of the way that every user goes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).parent
MINUTES = 20
SELECTION = ("digits", "refusals", "pipeline", "serving", "entrypoint", "helm", "corrected")


def stories(folder: Path = FOLDER) -> dict[str, Path]:
    """The file of each story by its name, in the order in which they are played."""
    found = [(re.fullmatch(r"test_(\d+)_(\w+)\.py", path.name), path) for path in folder.glob("test_*.py")]
    numbered = [(int(match[1]), match[2], path) for match, path in found if match]
    return {name: path for _, name, path in sorted(numbered)}


def chosen(every: bool) -> list[str]:
    """The names of the stories to play, in their order."""
    names = stories()
    if unknown := set(SELECTION) - set(names):
        raise LookupError(f"there is no story {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return [name for name in names if every or name in SELECTION]


def header(played: Iterable[str]) -> str:
    """What is played, and what is left out."""
    played, all_of_them = list(played), stories()
    lines = [f"  {name:<14} {_about(all_of_them[name])}" for name in played]
    left = [name for name in all_of_them if name not in played]
    rest = [f"left to `make e2e-all`: {', '.join(left)}"] if left else []
    return "\n".join([f"{len(played)} of {len(all_of_them)} stories:", *lines, *rest])


def _about(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
