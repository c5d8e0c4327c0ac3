"""What the tool tells its user: lines of progress on stderr, and errors that say where to look."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

HEARTBEAT_SECONDS = 15
TAIL_LINES = 25
_started = time.monotonic()


class Failed(Exception):
    """A step did not work; the message says what, why and which log has the rest."""


def say(text: str) -> None:
    """Print a line of progress; stdout is kept for answers such as a path."""
    print(f"[{time.monotonic() - _started:6.1f}s] {text}", file=sys.stderr, flush=True)


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The end of a log, and where the log is."""
    try:
        end = log.read_text(errors="replace").splitlines()[-lines:]
    except OSError:
        return f"(there is no log at {log})"
    return "\n".join([*(f"  | {line}" for line in end), f"  the whole log: {log}"])


def run(
    *command: str | Path, stdin: str | None = None, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run a short command and return its stdout; raise `Failed` with its words."""
    done = subprocess.run(
        [str(part) for part in command],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **(env or {})},
    )
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip())[-4000:]
        raise Failed(f"`{' '.join(str(part) for part in command)[:300]}` exited with {done.returncode}:\n{words}")
    return done.stdout


def run_long(
    what: str, command: Sequence[str | Path], log: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> float:
    """Run a slow command with its output in a log, and say now and then that it goes on; the seconds that it took."""
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    say(f"{what} ...")
    with log.open("w") as output:
        output.write(f"$ {' '.join(str(part) for part in command)}\n")
        output.flush()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, **(env or {})},
        )
        try:
            while True:
                try:
                    code = process.wait(HEARTBEAT_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    say(f"{what}: {time.monotonic() - start:.0f} s so far")
        except BaseException:
            process.kill()
            process.wait()
            raise
    seconds = time.monotonic() - start
    if code:
        raise Failed(f"{what} failed after {seconds:.0f} s with exit code {code}:\n{tail(log)}")
    say(f"{what}: done in {seconds:.1f} s")
    return seconds
