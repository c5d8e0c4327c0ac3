"""A model's folder is whole or no model; what was changed or is hostile is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tradewind.api.artefact import Manifest
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.store import begin, finish, open_model, write_atomically

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path) -> str:
    files = begin(folder, {"model.onnx": b"graph", "model.safetensors": b"weights"})
    return finish(folder, Manifest(task="custom", inputs=(), outputs=(), files=files))


def refusal(folder: Path, digest: str | None = None) -> str:
    with pytest.raises(Fault) as caught:
        open_model(folder, digest)
    assert caught.value.reason == "InvalidModel"
    return caught.value.message


def test_what_was_written_is_read(tmp_path: Path) -> None:
    digest = write(tmp_path)
    manifest, found = open_model(tmp_path, digest)
    assert found == digest
    assert {name: file.size_bytes for name, file in manifest.files.items()} == {"model.onnx": 5, "model.safetensors": 7}


def test_no_manifest_while_the_files_are_written(tmp_path: Path) -> None:
    write(tmp_path)
    begin(tmp_path, {"model.onnx": b"another graph"})
    assert "model.json does not exist" in refusal(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx"]


def test_changed_files_are_refused(tmp_path: Path) -> None:
    digest = write(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"grapH")
    assert "model.onnx was changed after model.json was written" in refusal(tmp_path)
    (tmp_path / "model.onnx").unlink()
    assert "model.onnx does not exist, though model.json names it" in refusal(tmp_path)
    write(tmp_path)
    content = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(content | {"task": "other"}))
    assert "its digest is sha256:" in refusal(tmp_path, digest)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\x80\x04cos\nsystem\n", b'{"task": 1, "inputs": 2, "outputs": [], "files": {}}']
)
def test_manifest_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.json").write_bytes(content)
    assert "is not the manifest of a model" in refusal(tmp_path)


def test_manifest_that_points_outside_of_its_folder(tmp_path: Path) -> None:
    write(tmp_path)
    content = json.loads((tmp_path / "model.json").read_text())
    content["files"]["../secret"] = content["files"]["model.onnx"]
    (tmp_path / "model.json").write_text(json.dumps(content))
    assert "outside of the model's folder" in refusal(tmp_path)


def test_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Fault) as caught:
        write_atomically(tmp_path / "file" / "model.onnx", b"")
    assert caught.value.reason == "StorageFailed"
