"""Models of other versions of us: what is not known is passed over, and refused only what can't be served."""

from __future__ import annotations

import json
from pathlib import Path

import graphs
import pytest
from process import Process, running

from tests.versions import newer
from tradewind_server.folder import Unservable
from tradewind_server.model import Limits, OnnxModel

ONE = [[0.0, 9.0], [0.0, 0.0]]


def rewrite(folder: Path, **changes: object) -> None:
    graphs.manifest(folder, **changes)
    document = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(newer(document)))


def load(folder: Path) -> OnnxModel:
    model = OnnxModel("m", folder, None, threads=1, limits=Limits(rows=10, queue=1))
    model.load()
    return model


def test_a_model_of_a_newer_version_is_served(folder: Path, tmp_path: Path) -> None:
    """With fields at every level that this server does not know, and a recipe that it could not read."""
    rewrite(
        folder,
        metrics=[{"name": "accuracy", "value": "0.9"}],
        recipe={"task": "text-classification", "model": {"architecture": "transformer"}},
        data={"train": {"format": "jsonl"}},
        lineage={"kind": "TrainingJob", "namespace": "a", "name": "b", "uid": "c"},
    )
    with running(folder, tmp_path / "log") as process:
        reply = process.predict(instances=[ONE])
        assert reply.json()["predictions"] == ["one"]


def test_a_manifest_with_only_what_must_be_is_served(folder: Path) -> None:
    graphs.manifest(folder)
    document = json.loads((folder / "model.json").read_text())
    bare = {key: document[key] for key in ("task", "inputs", "outputs", "files")}
    (folder / "model.json").write_text(json.dumps(bare))
    model = load(folder)
    assert (model.ready, model.labels) == (True, ())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"formatVersion": 2}, "has formatVersion 2, and this server reads 1: use a server of the version that wrote"),
        ({"formatVersion": "1.1"}, "has formatVersion 1.1, and this server reads 1"),
        ({"inputs": [{"name": "inputs", "datatype": "BF16", "shape": [-1, 2, 2]}]}, "inputs.0.datatype: Input should"),
    ],
)
def test_what_can_not_be_served_is_refused(folder: Path, changes: dict[str, object], sentence: str) -> None:
    rewrite(folder, **changes)
    with pytest.raises(Unservable) as refusal:
        load(folder)
    assert sentence in str(refusal.value)


def test_a_manifest_that_is_nested_without_end_is_refused(folder: Path) -> None:
    (folder / "model.json").write_text('{"task":' * 100_000)
    with pytest.raises(Unservable, match="is not a manifest"):
        load(folder)


def test_the_deployments_name_counts_whatever_the_revision_is_called(folder: Path, tmp_path: Path) -> None:
    """KServe passes the name of the InferenceService; clients of every revision ask for the deployment's."""
    graphs.manifest(folder)
    with running(folder, tmp_path / "log", name="digits-3", env={"TRADEWIND_MODEL_NAME": "digits"}) as process:
        named = process.http.post("/v1/models/digits:predict", json={"instances": [ONE]})
        assert (named.status_code, named.json()["predictions"]) == (200, ["one"])
        tensor = {"name": "inputs", "datatype": "FP32", "shape": [1, 2, 2], "data": [0, 9, 0, 0]}
        answer = process.http.post("/v2/models/digits/infer", json={"inputs": [tensor]})
        assert (answer.status_code, answer.json()["model_name"]) == (200, "digits")
        assert process.http.get("/v1/models").json() == {"models": ["digits"]}
        assert process.http.get("/v1/models/digits").json() == {"name": "digits", "ready": True}
        assert process.http.get("/v2/models/digits").json()["name"] == "digits"
        assert process.http.get("/v2/models/digits/ready").status_code == 200
        assert process.predict(instances=[ONE]).status_code == 404
        samples = process.metrics()
    assert samples['tradewind_request_total{code="200",model="digits",protocol="v1"}'] == 1
    assert samples['tradewind_request_total{code="200",model="digits",protocol="v2"}'] == 1
    assert not [key for key in samples if "digits-3" in key]


def test_a_name_that_is_no_part_of_a_path_is_refused(folder: Path, tmp_path: Path) -> None:
    process = Process(folder, tmp_path / "log", env={"TRADEWIND_MODEL_NAME": "a/b"})
    try:
        assert process.popen.wait(30) == 2
    finally:
        process.close()
    assert "TRADEWIND_MODEL_NAME is a part of a path" in process.log
