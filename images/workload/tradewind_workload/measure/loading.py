"""The load generator as a process beside this one: see load.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Broken(Exception):
    """The replica of that number, of those that were asked, gave no answer; the text says what came instead."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(number, why)
        self.number, self.why = number, why


class Loader:
    """A load generator that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.own: list[float] = []  # nanoseconds of processor time that a request took it
        self.late: list[float] = []  # nanoseconds that requests were sent after they were due

    def __call__(self, do: str, **task: Any) -> dict[str, Any]:
        """Do one thing of load.py's. Raises Broken."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(json.dumps({"do": do, **task}) + "\n")
        stdin.flush()
        if not (line := stdout.readline()):
            raise RuntimeError(f"the load generator ended with exit code {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        if "failed" in found:
            raise Broken(found["failed"], found["why"])
        if "own" in found:
            self.own.append(found["own"])
        if "late" in found:
            self.late.append(found["late"])
        return found


@contextmanager
def loading(bodies: Sequence[str]) -> Iterator[Loader]:
    """A load generator with these bodies of requests."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "requests.json")
        file.write_text(json.dumps(list(bodies)))
        process = subprocess.Popen(  # noqa: S603 -- our own program
            [sys.executable, "-SP", "-m", "tradewind_workload.measure.load", str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            text=True,
        )
        try:
            yield Loader(process)
        finally:
            process.kill()
            process.communicate()
