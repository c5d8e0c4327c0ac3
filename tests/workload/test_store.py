"""Which model an address means, and that what was changed or is hostile is refused."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tradewind.api.artefact import Lineage, Manifest
from tradewind_workload.io.artefacts import Draft, Stored, point
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.store import files_of, find, finish, locate, open_model

if TYPE_CHECKING:
    from pathlib import Path


def write(output: Path, uid: str = "first", graph: bytes = b"graph") -> Stored:
    with Draft.begin(output) as draft:
        draft.write("model.onnx", graph)
        draft.write("model.safetensors", b"weights")
        lineage = Lineage(kind="TrainingJob", namespace="team", name="job", uid=uid)
        return finish(draft, Manifest(task="custom", inputs=(), outputs=(), lineage=lineage, files=files_of(draft)))


def as_before(output: Path, graph: bytes = b"old graph") -> str:
    """A model as an earlier version wrote it: right in the output folder. Returns its digest."""
    output.mkdir(parents=True, exist_ok=True)
    (output / "model.onnx").write_bytes(graph)
    files = {"model.onnx": {"sha256": hashlib.sha256(graph).hexdigest(), "sizeBytes": len(graph)}}
    lineage = {"kind": "TrainingJob", "namespace": "team", "name": "job", "uid": "old"}
    document = {"task": "custom", "inputs": [], "outputs": [], "lineage": lineage, "files": files}
    (output / "model.json").write_text(json.dumps(document))
    return f"sha256:{hashlib.sha256((output / 'model.json').read_bytes()).hexdigest()}"


def of(uid: str) -> Any:
    return lambda manifest: manifest.lineage is not None and manifest.lineage.uid == uid


def refusal(folder: Path, digest: str | None = None) -> str:
    with pytest.raises(Fault) as caught:
        open_model(folder, digest)
    assert caught.value.reason == "InvalidModel"
    return caught.value.message


def test_what_was_written_is_read(tmp_path: Path) -> None:
    stored = write(tmp_path)
    manifest, found = open_model(stored.folder, stored.digest)
    assert found == stored.digest
    assert {name: file.size_bytes for name, file in manifest.files.items()} == {"model.onnx": 5, "model.safetensors": 7}


def test_no_model_while_the_files_are_written(tmp_path: Path) -> None:
    with Draft.begin(tmp_path) as draft:
        draft.write("model.onnx", b"graph")
        assert find(tmp_path, lambda _: True) is None
        assert "model.json does not exist" in refusal(tmp_path)
    assert not list((tmp_path / "models").iterdir())


def test_the_output_folder_means_the_model_that_its_pointer_names(tmp_path: Path) -> None:
    first, second = write(tmp_path), write(tmp_path, graph=b"another")
    assert "model.json does not exist" in refusal(tmp_path)
    for stored in (first, second, first):
        point(tmp_path, stored)
        assert open_model(tmp_path)[1] == stored.digest
        assert locate(tmp_path) == (stored.folder, stored.digest)
    assert "its digest is" in refusal(tmp_path, second.digest)
    # It is followed once, and the folder that a link leads to has it too.
    point(first.folder, Stored(first.folder / "models" / "x", first.digest))
    assert open_model(tmp_path)[1] == first.digest
    (tmp_path / "link").symlink_to(tmp_path)
    assert open_model(tmp_path / "link")[1] == first.digest


def test_a_model_of_an_earlier_version_is_read_where_it_lies(tmp_path: Path) -> None:
    digest = as_before(tmp_path)
    assert open_model(tmp_path)[1] == digest
    stored = write(tmp_path)
    point(tmp_path, stored)
    # Trained again: the address means the new one; what was accepted before is still there for whoever names it.
    assert open_model(tmp_path)[1] == stored.digest
    assert open_model(tmp_path, digest)[1] == digest
    found = find(tmp_path, of("old"))
    assert found is not None
    assert found[0] == Stored(tmp_path, digest)
    point(tmp_path, found[0])
    assert open_model(tmp_path)[1] == stored.digest


@pytest.mark.parametrize(
    ("pointer", "words"),
    [
        ("", "does not say where a model is"),
        ("[]", "does not say where a model is"),
        ({"folder": "../other"}, "does not say where a model is: folder"),
        ({"folder": "/etc"}, "does not say where a model is: folder"),
        ({"folder": "models/../../x"}, "does not say where a model is: folder"),
        ({"formatVersion": 2}, "does not say where a model is: formatVersion"),
        ({"folder": "out"}, "leads out of its folder"),
        ({"folder": "models/none"}, "model.json does not exist"),
        ({"digest": "sha256:" + "0" * 64}, "its digest is"),
    ],
)
def test_a_pointer_that_leads_nowhere_good_is_refused(
    tmp_path: Path, pointer: str | dict[str, Any], words: str
) -> None:
    output = tmp_path / "output"
    write(tmp_path / "other")
    point(output, write(output))
    (output / "out").symlink_to(tmp_path / "other")
    content = json.loads((output / "current.json").read_text())
    (output / "current.json").write_text(pointer if isinstance(pointer, str) else json.dumps(content | pointer))
    assert words in refusal(output)


def test_a_job_finds_its_own_model_whatever_the_pointer_says(tmp_path: Path) -> None:
    mine, other = write(tmp_path, "mine"), write(tmp_path, "other")
    point(tmp_path, other)
    (tmp_path / "models" / "notes").mkdir()
    (tmp_path / "models" / "notes" / "model.json").write_text("{")
    found = find(tmp_path, of("mine"))
    assert found is not None
    assert found[0] == mine
    assert find(tmp_path, of("another")) is None
    again = write(tmp_path, "mine", b"another graph")
    os.utime(mine.folder / "model.json", (1, 1))
    found = find(tmp_path, of("mine"))
    assert found is not None
    assert found[0] == again, "the newest"
    # Changed by hand, also together with its manifest, it is none that anybody finished.
    (again.folder / "model.onnx").write_bytes(b"changed")
    found = find(tmp_path, of("mine"))
    assert found is not None
    assert found[0] == mine
    (mine.folder / "model.json").write_text((mine.folder / "model.json").read_text() + " ")
    assert find(tmp_path, of("mine")) is None


def test_changed_files_are_refused(tmp_path: Path) -> None:
    stored = write(tmp_path)
    folder = stored.folder
    (folder / "model.onnx").write_bytes(b"grapH")
    assert "model.onnx was changed after model.json was written" in refusal(folder)
    (folder / "model.onnx").unlink()
    assert "model.onnx does not exist, though model.json names it" in refusal(folder)
    (folder / "model.onnx").write_bytes(b"graph")
    content = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(content | {"task": "other"}))
    assert "its digest is sha256:" in refusal(folder, stored.digest)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\x80\x04cos\nsystem\n", b'{"task": 1, "inputs": 2, "outputs": [], "files": {}}']
)
def test_manifest_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.json").write_bytes(content)
    assert "is not the manifest of a model" in refusal(tmp_path)


def test_manifest_that_points_outside_of_its_folder(tmp_path: Path) -> None:
    folder = write(tmp_path).folder
    content = json.loads((folder / "model.json").read_text())
    content["files"]["../secret"] = content["files"]["model.onnx"]
    (folder / "model.json").write_text(json.dumps(content))
    assert "outside of the model's folder" in refusal(folder)
