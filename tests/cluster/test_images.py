"""Images: what makes one stale, how it is called, and what a layout of ours holds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from e2e.cluster.build_image import content_key, copied
from e2e.cluster.oci import Scratch, blob_path, manifest_of, reference

DOCKERFILE = """\
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
COPY --chown=1:1 app/one.py \\
     app/two /opt/
COPY --from=other /x /y
ADD ["data file", "/data"]
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "app" / "two").mkdir(parents=True)
    for name in ("app/one.py", "app/two/three.py", "data file", "unrelated"):
        (tmp_path / name).write_text(name)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    return tmp_path


def test_sources_of_copies() -> None:
    assert copied(DOCKERFILE) == ["app/one.py", "app/two", "data file"]


@pytest.mark.parametrize(
    ("name", "stale"),
    [("app/one.py", True), ("app/two/three.py", True), ("data file", True), ("Dockerfile", True), ("unrelated", False)],
)
def test_an_image_is_stale_when_something_it_copies_changes(context: Path, name: str, stale: bool) -> None:
    before = content_key(context / "Dockerfile", context, {})
    with (context / name).open("a") as file:
        file.write("\n")
    assert (content_key(context / "Dockerfile", context, {}) != before) is stale


def test_an_image_is_stale_when_an_argument_changes(context: Path) -> None:
    assert content_key(context / "Dockerfile", context, {"A": "1"}) != content_key(context / "Dockerfile", context, {})


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("shell", "docker.io/library/shell:latest"),
        ("tradewind/operator:dev", "docker.io/tradewind/operator:dev"),
        ("localhost/a", "localhost/a:latest"),
        ("registry:5000/a/b:1", "registry:5000/a/b:1"),
        ("tradewind.local/pause:1", "tradewind.local/pause:1"),
    ],
)
def test_names_are_those_of_the_kubelet(name: str, full: str) -> None:
    assert reference(name) == full


def test_a_scratch_image_is_whole_and_the_same_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"static")
    digests = []
    for cache in ("a", "b"):
        monkeypatch.setenv("TRADEWIND_CACHE", str(tmp_path / cache))
        layout = Scratch("tradewind.local/x:1", {"program": program}, ("/program",)).layout()
        manifest = manifest_of(layout)
        content = json.loads(blob_path(layout, manifest["digest"]).read_text())
        for blob in (manifest, content["config"], *content["layers"]):
            data = blob_path(layout, blob["digest"]).read_bytes()
            assert blob["digest"] == f"sha256:{hashlib.sha256(data).hexdigest()}" and blob["size"] == len(data)
        digests.append(manifest["digest"])
    assert digests[0] == digests[1]
