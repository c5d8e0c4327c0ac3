"""A model is written whole or not at all, wherever its writer is killed, and what was finished never changes."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from jobs import SOURCES, Heard, blobs, training_job, write_csv

from tradewind.api import artefact
from tradewind.api.report import JobDocument
from tradewind_workload.io import artefacts, files
from tradewind_workload.io.artefacts import Draft, Stored, address, point
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import STALE, partial, write_atomically
from tradewind_workload.io.store import find, open_model
from tradewind_workload.train.place import Alone
from tradewind_workload.train.recipe import run

# Writes a model for the uid in argv[2] below argv[1]; killed before its operation number argv[3] on that volume.
WRITER = """
import os, pathlib, signal, sys
from tradewind_workload.io.artefacts import Draft, point
output, uid, last = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
done = 0
def count(event, arguments):
    global done
    if event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir") and str(output) in str(arguments[:2]):
        done += 1
        if done == last:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
with Draft.begin(output) as draft:
    draft.write("model.onnx", b"graph of " + uid.encode())
    draft.copy("model.safetensors", pathlib.Path(sys.argv[4]))
    stored = draft.finish({"task": "custom", "inputs": [], "outputs": [], "files": draft.files,
                           "lineage": {"kind": "TrainingJob", "namespace": "n", "name": "n", "uid": uid}})
point(output, stored)
"""


def write(output: Path, graph: bytes = b"graph") -> Stored:
    with Draft.begin(output) as draft:
        draft.write("model.onnx", graph)
        stored = draft.finish({"task": "custom", "inputs": [], "outputs": [], "files": draft.files})
    point(output, stored)
    return stored


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_names_are_those_of_the_contract() -> None:
    assert (files.MANIFEST, artefacts.POINTER, artefacts.MODELS) == (
        artefact.MANIFEST,
        artefact.POINTER,
        artefact.MODELS,
    )


def test_a_writer_killed_at_any_moment_leaves_the_old_model_or_the_new_one(tmp_path: Path) -> None:
    output, weights = tmp_path / "output", tmp_path / "weights"
    weights.write_bytes(b"w" * 100)
    before = write(output)
    kept = tree(before.folder)

    def writer(last: int) -> int:
        command = [sys.executable, "-S", "-c", WRITER, str(output), "second", str(last), str(weights)]
        return subprocess.run(command, env=os.environ | {"PYTHONPATH": SOURCES}, check=False).returncode

    seen, last = set(), 0
    while (code := writer(last := last + 1)) == -signal.SIGKILL:
        _, digest = open_model(output)
        made = find(output, lambda manifest: manifest.lineage is not None and manifest.lineage.uid == "second")
        seen.add((made is not None, digest != before.digest))
        assert digest in {before.digest, made[0].digest if made else None}
        assert tree(before.folder) == kept
    assert code == 0
    # Before the rename, between it and the pointer (where a further attempt finds its model), and after both.
    assert seen == {(False, False), (True, False), (True, True)}
    _, digest = open_model(output)
    made = find(output, lambda manifest: manifest.lineage is not None)
    assert made is not None
    assert digest == made[0].digest != before.digest


def test_what_killed_writers_left_is_swept_when_it_is_old_and_ours(tmp_path: Path) -> None:
    write(tmp_path)
    models = tmp_path / "models"
    old = [partial(models / "model"), models / ".model.onnx.4711.partial", partial(tmp_path / "current.json")]
    fresh, growing = partial(models / "model"), partial(models / "model")
    others = [models / ".mine.partial", tmp_path / ".model.onnx.part", tmp_path / "notes.x-1-00000000.partial"]
    for path in (old[0], fresh, growing):
        path.mkdir()
        (path / "model.onnx").write_bytes(b"half")
    for path in (old[1], old[2], *others):
        path.write_bytes(b"half")
    long_ago = tmp_path.stat().st_mtime - STALE - 60
    for path in (*old, *others, growing, old[0] / "model.onnx", models, tmp_path):
        os.utime(path, (long_ago, long_ago))
    assert partial(models / "model") != partial(models / "model")
    write(tmp_path, b"another")
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in (*others, fresh))
    assert (growing / "model.onnx").exists(), "its file was written a moment ago"


def test_two_writers_at_once_do_not_meet(tmp_path: Path) -> None:
    with Draft.begin(tmp_path) as one, Draft.begin(tmp_path) as other:
        one.write("model.onnx", b"one")
        other.write("model.onnx", b"other")
        manifest = {"task": "custom", "inputs": [], "outputs": []}
        stored = [draft.finish(manifest | {"files": draft.files}) for draft in (one, other)]
    assert [(model.folder / "model.onnx").read_bytes() for model in stored] == [b"one", b"other"]
    for model in stored:
        open_model(model.folder, model.digest)


def test_the_same_model_written_twice_is_there_once(tmp_path: Path) -> None:
    first = write(tmp_path)
    stamp = (first.folder / "model.onnx").stat().st_mtime_ns
    assert write(tmp_path) == first
    assert [path.name for path in (tmp_path / "models").iterdir()] == [first.folder.name]
    assert first.digest.removeprefix("sha256:").startswith(first.folder.name)
    assert (first.folder / "model.onnx").stat().st_mtime_ns == stamp


def test_a_changed_model_is_set_aside_for_the_whole_one(tmp_path: Path) -> None:
    first = write(tmp_path)
    (first.folder / "model.onnx").write_bytes(b"changed by hand")
    assert write(tmp_path) == first
    open_model(first.folder, first.digest)
    (aside,) = (path for path in (tmp_path / "models").iterdir() if ".damaged-" in path.name)
    assert (aside / "model.onnx").read_bytes() == b"changed by hand"


def test_an_earlier_model_stays_and_the_pointer_names_the_later(tmp_path: Path) -> None:
    first, second = write(tmp_path), write(tmp_path, b"another graph")
    assert first.folder != second.folder
    assert open_model(first.folder, first.digest)[1] == first.digest
    assert json.loads((tmp_path / "current.json").read_bytes()) == {
        "formatVersion": 1,
        "folder": f"models/{second.folder.name}",
        "digest": second.digest,
    }
    assert address("pvc://claim/x", tmp_path, first.folder) == f"pvc://claim/x/models/{first.folder.name}"
    assert address("pvc://claim/x", tmp_path, tmp_path) == "pvc://claim/x"


def test_a_file_is_hashed_while_it_is_copied_and_shares_nothing_with_its_source(tmp_path: Path) -> None:
    source = tmp_path / "own.onnx"
    source.write_bytes(os.urandom(9 << 20))  # more than a chunk or two
    content = source.read_bytes()
    with Draft.begin(tmp_path / "output") as draft:
        draft.copy("model.onnx", source)
        stored = draft.finish({"task": "custom", "inputs": [], "outputs": [], "files": draft.files})
    source.write_bytes(b"the program's next model")
    assert (stored.folder / "model.onnx").read_bytes() == content
    open_model(stored.folder, stored.digest)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "model.json"])
def test_a_file_of_a_model_has_a_plain_name(tmp_path: Path, name: str) -> None:
    with Draft.begin(tmp_path) as draft, pytest.raises(ValueError, match="is no name"):
        draft.write(name, b"")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_a_volume_that_takes_no_more_is_told_at_once_and_nothing_half_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    before = write(tmp_path)
    calls = 0

    def full(path: Path, *parts: bytes) -> None:
        nonlocal calls
        calls += 1
        path.write_bytes(parts[0][:2])
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(artefacts, "write_synced", full)
    monkeypatch.setattr(files, "write_synced", full)
    with pytest.raises(Fault, match=os.strerror(number)) as caught:
        write(tmp_path, b"another")
    with pytest.raises(Fault, match=r"current\.json could not be written"):
        point(tmp_path, Stored(tmp_path / "models" / "x", "sha256:"))
    assert caught.value.reason == "StorageFailed"
    assert calls == 2
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "current.json",
        "model.json",
        "model.onnx",
    ]
    assert open_model(tmp_path)[1] == before.digest


def test_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for write_there in (lambda: write_atomically(tmp_path / "file" / "x", b""), lambda: write(tmp_path / "file")):
        with pytest.raises(Fault) as caught:
            write_there()
        assert caught.value.reason == "StorageFailed"


def test_an_output_that_is_a_file_is_told_before_the_training(
    volumes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs, classes = blobs(60)
    write_csv(volumes / "claim/t.csv", inputs, classes)
    spec = {
        "recipe": {"task": "tabular-classification", "model": {"architecture": "linear"}},
        "data": {"train": {"storageUri": "pvc://claim/t.csv"}, "validationFraction": "0.3"},
        "output": {"storageUri": "pvc://claim/t.csv"},
    }
    with pytest.raises(Fault, match=r"it is below a file: choose another spec\.output\.storageUri") as caught:
        run(JobDocument.read(training_job(spec)), Heard(), Alone(Heard()))
    assert caught.value.reason == "StorageFailed"
    assert "preparing" not in capsys.readouterr().out
