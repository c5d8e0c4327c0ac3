"""Virtual environments, kept in the cache under the hash of what is in them: `python3 -m e2e.venv operator`.

Prints the path of the environment's Python; it is made if the cache lacks it. Only the standard library is needed.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from e2e.cluster.places import cache, locked, logs
from e2e.cluster.progress import Failed, run_long

ROOT = Path(__file__).resolve().parent.parent

# The installer itself, then what runs in each image beside what its tests need.
LOCKS = {
    "install": ("tests/requirements-install.txt",),
    "operator": ("tests/requirements.txt",),
    "workload": ("images/workload/requirements.txt", "tests/requirements-workload.txt"),
    "server": ("images/server/requirements.txt", "tests/requirements-server.txt"),
    "examples": ("images/examples/requirements.txt",),
}


def python(name: str) -> Path:
    """The Python of the environment of that name."""
    folder = cache() / "venv" / f"{name}-{_key(name)}"
    # Written last: an environment without it is what a killed installation left.
    whole = folder / "whole"
    if not whole.exists():
        with locked(folder.with_suffix(".lock")):
            if not whole.exists():
                shutil.rmtree(folder, ignore_errors=True)
                _make(name, folder)
                whole.touch()
    return folder / "bin" / "python"


def _key(name: str) -> str:
    content = hashlib.sha256(sys.version.encode())
    for lock in LOCKS[name]:
        content.update(b"\0" + (ROOT / lock).read_bytes())
    return content.hexdigest()[:16]


def _make(name: str, folder: Path) -> None:
    log = logs() / f"venv-{name}.log"
    locks = [str(ROOT / lock) for lock in LOCKS[name]]
    create: list[str | Path] = [sys.executable, "-m", "venv", folder]
    if name == "install":
        run_long("virtual environment of the installer", create, log)
        pip: list[str | Path] = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--require-hashes"]
        run_long("installing uv", [*pip, "-r", *locks], log)
        return
    uv = python("install").parent / "uv"
    run_long(f"virtual environment {name}", [*create, "--without-pip"], log)
    sync: list[str | Path] = [uv, "pip", "sync", "--require-hashes", "--python", folder / "bin/python"]
    sync.append("--compile-bytecode")  # or, where Python is told to write none, each process compiles all that it uses
    run_long(f"installing {name} ({', '.join(LOCKS[name])})", [*sync, *locks], log)


def main(arguments: list[str]) -> None:
    """Print the Python of each environment named."""
    if not arguments or not set(arguments) <= set(LOCKS):
        sys.exit(f"usage: python3 -m e2e.venv [{'|'.join(LOCKS)}]...")
    try:
        for name in arguments:
            print(python(name), flush=True)
    except Failed as failure:
        sys.exit(f"error: {failure}")


if __name__ == "__main__":
    main(sys.argv[1:])
