"""The steps of `make test`, one after the other with their durations: `python3 -m tests.steps [STEP...]`.

What they need and the cache lacks is made meanwhile: programs by Go on the processor, environments over the network.
Only the standard library is needed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from e2e import venv
from e2e.cluster import packages
from e2e.cluster.binaries import binary
from e2e.cluster.progress import Failed

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("operator/src", "images/workload", "images/server", ".")


@dataclass(frozen=True)
class Step:
    """Commands of programs that an environment has."""

    environment: str
    commands: tuple[str, ...]
    programs: tuple[str, ...] = ()  # of e2e.cluster, built by Go
    packages: tuple[str, ...] = ()  # of Debian


CONTROL_PLANE = ("kube-apiserver", "kubectl")
ETCD = packages.CONTROL_PLANE

STEPS = {
    "format": Step("operator", ("ruff check .", "ruff format --check .")),
    "types": Step("operator", ("mypy",)),
    "layers": Step("operator", ("lint-imports",)),
    "generated": Step("operator", ("python -m tradewind.generate --check",)),
    "unit": Step("operator", ("pytest tests/unit tests/golden tests/property",), packages=("prometheus",)),
    "server": Step("server", ("pytest tests/server",)),
    "apiserver": Step("operator", ("pytest tests/cluster tests/crds tests/apiserver",), CONTROL_PLANE, ETCD),
    "packaging": Step("operator", ("pytest tests/packaging",), (*CONTROL_PLANE, "helm"), ETCD),
    "workload": Step("workload", ("pytest tests/workload",)),
}


def main(names: list[str]) -> int:
    """Run the steps (all without a name); 1 if one of them failed."""
    if unknown := [name for name in names if name not in STEPS]:
        sys.exit(f"there is no step {unknown[0]}; choose from {', '.join(STEPS)}")
    steps = {name: STEPS[name] for name in names or STEPS}
    start = time.monotonic()
    results = []
    with ThreadPoolExecutor(1) as network, ThreadPoolExecutor(1) as processor:
        needs = _needs(list(steps.values()), network, processor)
        for name, step in steps.items():
            began = time.monotonic()
            try:
                python = needs[step.environment].result()
                for need in (*step.packages, *step.programs):
                    needs[need].result()
            except Failed as failure:
                print(f"== {name}: {failure}", flush=True)
                results.append((name, False, 0.0, time.monotonic() - began))
                continue
            waited = time.monotonic() - began
            passed = all(_run(name, python, command) for command in step.commands)
            results.append((name, passed, time.monotonic() - began - waited, waited))
    print("\n".join(["", *(_line(*result) for result in results), f"in {time.monotonic() - start:.0f} s"]), flush=True)
    return 0 if all(passed for _, passed, _, _ in results) else 1


def _needs(steps: list[Step], network: ThreadPoolExecutor, processor: ThreadPoolExecutor) -> dict[str, Future[Path]]:
    """What the steps need, being made in the order in which they need it."""
    needs: dict[str, Future[Path]] = {}
    for step in steps:
        if step.environment not in needs:
            needs[step.environment] = network.submit(venv.python, step.environment)
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


def _run(name: str, python: Path, command: str) -> bool:
    print(f"== {name}: {command}", flush=True)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in SOURCES)}
    program, *arguments = command.split()
    return subprocess.run([python.parent / program, *arguments], cwd=ROOT, env=environment).returncode == 0


def _line(name: str, passed: bool, seconds: float, waited: float) -> str:
    wait = f", after waiting {waited:.0f} s for what it needs" if waited > 1 else ""
    return f"{'passed' if passed else 'FAILED'}  {name:10} {seconds:6.1f} s{wait}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
