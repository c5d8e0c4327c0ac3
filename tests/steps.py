"""The steps of `make test`, each with its duration: `python3 -m tests.steps [STEP...]`.

Two at a time, and beside them what mostly waits, then a short one for the processor's last gaps.
What they need and the cache lacks is made meanwhile: programs by Go on the processor, environments over the network.
What a step says is printed when it has ended, or at once where it is the only one. Only the standard library is needed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from e2e import venv
from e2e.cluster import packages
from e2e.cluster.binaries import binary
from e2e.cluster.progress import Failed

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("operator/src", "images/processors", "images/workload", "images/server", ".")


@dataclass(frozen=True)
class Step:
    """Commands of programs that an environment has."""

    environment: str
    commands: tuple[str, ...]  # {NAME} in one is the Python of another environment
    programs: tuple[str, ...] = ()  # of e2e.cluster, built by Go
    packages: tuple[str, ...] = ()  # of Debian
    beside: bool = False  # in the lane of what waits for clocks more than for the processor
    others: tuple[str, ...] = ()  # environments that commands name so


# Steps at once. On two cores a third made all of them together slower: 281 s against 255 s.
LANES = 2
CONTROL_PLANE = ("kube-apiserver", "kubectl")
ETCD = packages.CONTROL_PLANE
# A new folder of tests needs an API server until a step of its own says otherwise.
ELSEWHERE = ("unit", "golden", "property", "server", "processors", "workload", "packaging")
# Leases run out, refusals are tried again later, answers do not come.
WAITING = tuple(f"apiserver/test_{name}.py" for name in ("leader", "lost_answers", "kinds", "revisions"))
# On a Ray, which all of them share: to start another takes 12 s of the processor.
RAY = tuple(
    f"tests/workload/test_{name}.py"
    for name in ("end_to_end", "work", "workers", "local", "mixed_tables", "image_jobs", "agent", "streaming_on_ray")
)
# Replicas are started, and what never answers is waited for.
REPLICA = "tests/workload/test_replica.py"
REST = " ".join(f"--ignore=tests/{path}" for path in (*ELSEWHERE, *WAITING))

# What fails soonest first; then the longest before the shorter, so that both lanes end together.
STEPS = {
    "format": Step("operator", ("ruff check .", "ruff format --check .")),
    "layers": Step("operator", ("lint-imports",)),
    "generated": Step("operator", ("python -m tradewind.generate --check",)),
    "workload": Step(
        "workload", (f"pytest tests/workload {' '.join(f'--ignore={path}' for path in (*RAY, REPLICA))}",)
    ),
    "apiserver": Step("operator", (f"pytest tests {REST}",), CONTROL_PLANE, ETCD),
    "ray": Step("workload", (f"pytest {' '.join(RAY)}",), others=("server",)),
    # What runs in the server and in a job is checked against the packages that it runs with.
    "types": Step(
        "operator",
        (
            "mypy",
            "mypy --python-executable {server} -p tradewind_processors -p tradewind_server",
            "mypy --python-executable {workload} -p tradewind_workload",
        ),
        others=("server", "workload"),
    ),
    "server": Step("server", ("pytest tests/server tests/processors",)),
    "waiting": Step(
        "operator", (f"pytest {' '.join(f'tests/{path}' for path in WAITING)}",), CONTROL_PLANE, ETCD, beside=True
    ),
    "replica": Step("workload", (f"pytest {REPLICA}",), beside=True, others=("server",)),
    "packaging": Step("operator", ("pytest tests/packaging",), (*CONTROL_PLANE, "helm"), ETCD, beside=True),
    "unit": Step("operator", ("pytest tests/unit tests/golden tests/property",), packages=("prometheus",)),
}


@dataclass
class Result:
    """What became of a step, in seconds."""

    name: str
    passed: bool = False
    waited: float = 0.0  # for what it needs
    took: float = 0.0
    processor: float = 0.0  # of all its processes

    def __str__(self) -> str:
        times = f"{self.took:6.1f} s, {self.processor:6.1f} s of processor time"
        wait = f", after {self.waited:.0f} s for what it needs" if self.waited > 1 else ""
        return f"{'passed' if self.passed else 'FAILED'}  {self.name:10} {times}{wait}"


def main(names: list[str]) -> int:
    """Run the steps (all without a name); 1 if one of them failed."""
    if unknown := [name for name in names if name not in STEPS]:
        sys.exit(f"there is no step {unknown[0]}; choose from {', '.join(STEPS)}")
    chosen = list(dict.fromkeys(names)) or list(STEPS)
    start = time.monotonic()
    results = []
    with ExitStack() as stack:
        network, processor, beside = (stack.enter_context(ThreadPoolExecutor(1)) for _ in range(3))
        lanes = stack.enter_context(ThreadPoolExecutor(LANES))
        needs = _needs([STEPS[name] for name in chosen], network, processor)
        running = [
            (beside if STEPS[name].beside else lanes).submit(_step, name, needs, len(chosen) == 1) for name in chosen
        ]
        for done in as_completed(running):
            results.append(done.result())
            print(results[-1], flush=True)
    if len(results) > 1:
        print("\n".join(["", *map(str, results), f"in {time.monotonic() - start:.0f} s"]), flush=True)
    return 0 if all(result.passed for result in results) else 1


def _step(name: str, needs: dict[str, Future[Path]], alone: bool) -> Result:
    step, result, start = STEPS[name], Result(name), time.monotonic()
    try:
        python = needs[step.environment].result()
        others = {name: needs[name].result() for name in step.others}
        for need in (*step.packages, *step.programs):
            needs[need].result()
    except Failed as failure:
        print(f"== {name}: {failure}", flush=True)
        return result
    finally:
        result.waited = time.monotonic() - start
    print(f"== {name}", flush=True)
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        # All of them, so that one look shows all that is wrong.
        said = None if alone else output.fileno()
        codes = [_run(python, command.format_map(others), said, result) for command in step.commands]
        output.seek(0)
        print(output.read(), end="", flush=True)
    result.passed = not any(codes)
    result.took = time.monotonic() - start - result.waited
    return result


def _run(python: Path, command: str, output: int | None, result: Result) -> int:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in SOURCES)}
    # API servers that live for seconds spend a quarter of their processor time on collecting garbage otherwise.
    environment.setdefault("GOGC", "400")
    program, *arguments = command.split()
    process = subprocess.Popen(
        [python.parent / program, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    result.processor += usage.ru_utime + usage.ru_stime
    return process.returncode


def _needs(steps: list[Step], network: ThreadPoolExecutor, processor: ThreadPoolExecutor) -> dict[str, Future[Path]]:
    """What the steps need, being made in the order in which they need it."""
    needs: dict[str, Future[Path]] = {}
    for step in steps:
        for environment in (step.environment, *step.others):
            if environment not in needs:
                needs[environment] = network.submit(venv.python, environment)
        for package in step.packages:
            if package not in needs:
                needs[package] = network.submit(_installed, package)
        for program in step.programs:
            if program not in needs:
                needs[program] = processor.submit(binary, program)
    return needs


def _installed(package: str) -> Path:
    packages.require(package)
    path = packages.program(package)
    assert path is not None
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
