"""Images from Dockerfiles, built again only when something that they copy has changed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from e2e.cluster.base_image import base_image
from e2e.cluster.buildah import buildah, image_id, release
from e2e.cluster.oci import reference, slug
from e2e.cluster.places import HERE, cache, locked, logs
from e2e.cluster.progress import Failed, run, run_long, say

_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_PIP_CONFIGURATIONS = ("/etc/pip.conf", "~/.config/pip/pip.conf", "~/.pip/pip.conf")
_NOT_COPIED = HERE / "dockerignore"
_SKIPPED_FOLDERS = {"__pycache__", ".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


def build_image(name: str, dockerfile: Path, context: Path, arguments: Mapping[str, str] | None = None) -> str:
    """Build an image and return its id; nothing happens if what it is made of is as it was.

    Raise `Failed` with the end of the log.
    """
    if not dockerfile.is_file():
        raise Failed(f"there is no Dockerfile at {dockerfile}")
    given = dict(arguments or {})
    text = dockerfile.read_text()
    if re.search(r"^ARG\s+BASE\b", text, re.MULTILINE) and "BASE" not in given:
        given["BASE"] = base_image()
    # The Dockerfiles switch pip's cache off unless it is mounted, as here.
    if re.search(r"^ARG\s+PIP_NO_CACHE_DIR\b", text, re.MULTILINE):
        given.setdefault("PIP_NO_CACHE_DIR", "")
    key = content_key(dockerfile, context, given)
    note = cache() / "images" / f"{slug(name)}.json"
    if known := _unchanged(name, key, note):
        say(f"image {name}: unchanged")
        return known
    with locked(cache() / "images" / "build.lock"):
        # Another process may have built it meanwhile.
        if known := _unchanged(name, key, note):
            return known
        try:
            _build(name, dockerfile, context, given)
            built = image_id(reference(name))
        finally:
            release()
        if not built:
            raise Failed(f"buildah built {name}, yet does not list it")
        note.write_text(json.dumps({"key": key, "id": built}))
    return built


def _unchanged(name: str, key: str, note: Path) -> str | None:
    if not note.exists():
        return None
    known: dict[str, str] = json.loads(note.read_text())
    try:
        return known["id"] if known["key"] == key and image_id(reference(name)) == known["id"] else None
    finally:
        release()


def _build(name: str, dockerfile: Path, context: Path, arguments: Mapping[str, str]) -> None:
    # A build that was killed leaves its working containers; the lock says that they are nobody's.
    run(*buildah(), "rm", "--all")
    with tempfile.TemporaryDirectory(prefix="tradewind-pip-") as folder:
        command = [
            *buildah(),
            "bud",
            "--isolation=chroot",
            "--layers",
            "--pull=never",
            "-t",
            reference(name),
            "-f",
            dockerfile,
        ]
        if not any((context / ignore).exists() for ignore in (".dockerignore", ".containerignore")):
            command += ["--ignorefile", _NOT_COPIED]
        for argument, value in arguments.items():
            command += ["--build-arg", f"{argument}={value}"]
        for volume in _volumes(Path(folder)):
            command += ["--volume", volume]
        run_long(f"image {name}", [*command, context], logs() / f"image-{slug(name)}.log")


def _volumes(folder: Path) -> Iterator[str]:
    """What of this machine a build may use without it ending up in the image."""
    pip = cache() / "pip"
    pip.mkdir(parents=True, exist_ok=True)
    yield f"{pip}:/root/.cache/pip"
    if _CA_BUNDLE.exists():
        yield f"{_CA_BUNDLE}:{_CA_BUNDLE}:ro"
    configuration = next((path for text in _PIP_CONFIGURATIONS if (path := Path(text).expanduser()).is_file()), None)
    lines = configuration.read_text() if configuration else "[global]\n"
    if index := os.environ.get("PIP_INDEX_URL"):
        lines = f"[global]\nindex-url = {index}\n"
    file = folder / "pip.conf"
    file.write_text(lines)
    yield f"{file}:/etc/pip.conf:ro"


def content_key(dockerfile: Path, context: Path, arguments: Mapping[str, str]) -> str:
    """The hash of the Dockerfile, the build arguments and every file that it copies from its context."""
    text = dockerfile.read_text()
    content = hashlib.sha256(json.dumps([text, sorted(arguments.items())]).encode())
    for path in sorted({file for source in copied(text) for file in _files(context, source)}):
        content.update(f"\0{path.relative_to(context)}\0{path.stat().st_mode & 0o777:o}\0".encode())
        content.update(path.read_bytes())
    return content.hexdigest()[:16]


def copied(dockerfile: str) -> list[str]:
    """The sources in the context that a Dockerfile names in COPY and ADD."""
    sources: list[str] = []
    for line in re.sub(r"\\\n", " ", dockerfile).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word.upper() not in ("COPY", "ADD") or "--from=" in rest:
            continue
        rest = rest.strip()
        words = (
            json.loads(rest)
            if rest.startswith("[")
            else [part for part in shlex.split(rest) if not part.startswith("--")]
        )
        sources += words[:-1]
    return sources


def _files(context: Path, source: str) -> Iterator[Path]:
    # A source that depends on a build argument may be anything of the context.
    pattern = "." if "$" in source else source.lstrip("/")
    for path in [context] if pattern in (".", "./") else context.glob(pattern.removeprefix("./")):
        if path.is_file():
            yield path
        for folder, folders, names in os.walk(path):
            folders[:] = [name for name in folders if name not in _SKIPPED_FOLDERS]
            yield from (file for name in names if (file := Path(folder) / name).is_file())
