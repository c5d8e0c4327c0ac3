"""Before a model is Ready: its golden samples are answered as they were, or zeros of some size, or it is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import graphs
import numpy as np
import pytest
from loaded import Loaded
from onnx import ModelProto, helper
from process import running

from tradewind_server.folder import Unservable
from tradewind_server.tensors import TensorSpec
from tradewind_server.warmup import guesses

ROWS = [[[0, 9], [0, 0]], [[0, 0], [9, 0]]]


def samples(folder: Path, manifest: bool = True, **document: Any) -> Path:
    """Writes samples.json, and a manifest that lists it."""
    (folder / "samples.json").write_text(json.dumps(document))
    if manifest:
        graphs.manifest(folder, files=graphs.listed(folder, "model.onnx", "samples.json"))
    return folder


def test_a_model_that_answers_its_samples_is_served(folder: Path, tmp_path: Path) -> None:
    samples(folder, instances=ROWS, outputs={"label": [1, 2]}, later="field")
    with running(folder, tmp_path / "log") as process:
        assert process.metrics()['tradewind_model_tried{by="samples",model="m"}'] == 1
        page = process.http.get("/openapi.json").json()
        (path,) = [path for path in page["paths"] if path.startswith("/v1")]
        example = page["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
        assert process.http.post(path, json=example).json()["predictions"] == ["one"]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"outputs": {"label": [1, 0]}}, "row 1 of samples.json gives 'label' 2, and gave 0 then"),
        ({"outputs": {"probabilities": [[0, 1, 0], [0, 0.1, 0.9]]}}, "row 1 of samples.json gives 'probabilities'"),
        ({"outputs": {"label": [1]}}, "expects 'label' of shape (1,), and the model gives (2,)"),
        ({"outputs": {"label": ["one", "two"]}}, "what is expected of 'label' is not int64"),
        ({"outputs": {"logits": [1, 2]}}, "expects the output 'logits', and the model has only label, probabilities"),
        ({"instances": [[1, 2]]}, "samples.json is not for this model: input 'inputs': lists are nested unevenly"),
        ({"instances": None}, "samples.json is listed in model.json, but has no instances"),
    ],
)
def test_a_model_that_does_not_is_not(folder: Path, document: dict[str, Any], sentence: str) -> None:
    samples(folder, **({"instances": ROWS} | document))
    with pytest.raises(Unservable) as refusal:
        Loaded(folder)
    assert sentence in str(refusal.value)
    assert "Traceback" not in str(refusal.value)


def test_floats_may_be_off_by_the_tolerance(folder: Path) -> None:
    sure = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    samples(folder, instances=ROWS, outputs={"probabilities": (sure + 0.01).tolist()}, tolerance=0.02)
    assert Loaded(folder).model.ready
    samples(folder, instances=ROWS, outputs={"probabilities": (sure + 0.01).tolist()})
    with pytest.raises(Unservable, match=r"floats may be off by 0\.001"):
        Loaded(folder)


def test_samples_that_were_changed_are_found(folder: Path) -> None:
    samples(folder, instances=ROWS, outputs={"label": [1, 2]})
    (folder / "samples.json").write_text(json.dumps({"instances": ROWS}))
    with pytest.raises(Unservable, match=r"samples.json has the sha256 .* it was changed or cut off"):
        Loaded(folder)


def test_samples_that_no_manifest_lists_are_not_the_models(folder: Path) -> None:
    graphs.manifest(folder)
    samples(folder, manifest=False, instances=ROWS, outputs={"label": [0, 0]})
    assert Loaded(folder).model.samples is None


def test_a_users_own_samples_need_no_answers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    graphs.save(graphs.adder(), tmp_path / "model.onnx")
    samples(tmp_path, manifest=False, instances=[{"a": [1, 2], "b": [3, 4]}])
    assert Loaded(tmp_path).model.samples is not None
    samples(tmp_path, manifest=False, instances=[{"a": [1, 2], "b": [3, 4]}], outputs={"sum": [[4, 7]]})
    with pytest.raises(Unservable, match="does not answer its golden samples"):
        Loaded(tmp_path)
    (tmp_path / "samples.json").write_text('["something else"]')
    assert Loaded(tmp_path).model.ready
    assert "samples.json is passed over" in caplog.text


def test_samples_may_miss_values(tmp_path: Path) -> None:
    graphs.save(graphs.table(), tmp_path / "model.onnx")
    rows = [{"a": 1, "b": None, "c": 3}]
    (tmp_path / "samples.json").write_text(json.dumps({"instances": rows, "outputs": {"number": [[103]]}}))
    described = {"name": "inputs", "datatype": "FP32", "shape": [-1, 3], "columns": ["a", "b", "c"], "nullable": True}
    files = graphs.listed(tmp_path, "model.onnx", "samples.json")
    graphs.manifest(tmp_path, labels=[], inputs=[described], outputs=[], files=files)
    assert Loaded(tmp_path).model.ready


def listens() -> ModelProto:
    """`waves` of 400 samples at least, as a model of speech takes them."""
    node = helper.make_node("Conv", ["waves", "W"], ["y"])
    weights = {"W": np.ones((1, 1, 400), dtype=np.float32)}
    axes = ["batch", 1, "samples"]
    return graphs.model([node], [("waves", graphs.FLOAT, axes)], [("y", graphs.FLOAT, ["batch", 1, "out"])], weights)


def test_a_sound_has_a_shortest_length(tmp_path: Path) -> None:
    asked = Loaded(graphs.save(listens(), tmp_path / "m.onnx"))
    assert asked.model.ready
    assert np.shape(asked.instances([[0.0] * 500])) == (1, 1, 101)


def test_what_can_not_be_guessed_is_served_and_told(tmp_path: Path) -> None:
    """A sound of 400 samples at least and not more than 500, say."""
    nodes = [
        helper.make_node("Conv", ["waves", "W"], ["conv"]),
        helper.make_node("Pad", ["conv", "pads"], ["short"]),
        helper.make_node("Reshape", ["short", "shape"], ["y"]),
    ]
    weights = {
        "W": np.ones((1, 1, 400), dtype=np.float32),
        "pads": np.zeros(6, dtype=np.int64),
        "shape": np.array([-1, 101]),
    }
    infos = [("waves", graphs.FLOAT, ["batch", 1, "samples"])]
    graphs.save(graphs.model(nodes, infos, [("y", graphs.FLOAT, ["batch", 101])], weights), tmp_path / "m" / "m.onnx")
    with running(tmp_path / "m", tmp_path / "log") as process:
        assert process.predict(instances=[[[0.0] * 500]]).status_code == 200
        assert process.predict(instances=[[[0.0] * 300]]).status_code == 400
        assert process.metrics()['tradewind_model_tried{by="nothing",model="m"}'] == 0
        assert "could not be tried before its first request" in process.log
        assert "put samples.json beside it" in process.log


def shapes(*axes: tuple[int | str, ...]) -> list[tuple[tuple[int, ...], ...]]:
    specs = [TensorSpec(str(number), "FP32", one) for number, one in enumerate(axes)]
    return [tuple(array.shape for array in feeds.values()) for feeds in guesses(specs)]


def test_axes_of_one_name_have_one_size_and_others_are_tried_apart() -> None:
    assert shapes(("n", 3)) == [((1, 3),)]
    found = shapes(("n", "words"), ("n", "words", "pictures"))
    assert found[0] == ((1, 1), (1, 1, 1))
    assert ((1, 16), (1, 16, 224)) in found
    assert all(one[1] == other[1] for one, other in found)
    nameless = shapes(("", ""), ("", ""))
    assert ((1, 1), (1, 16)) in nameless


def test_guesses_end_and_are_small() -> None:
    found = shapes(*[(f"n{number}", f"a{number}", f"b{number}") for number in range(5)])
    assert 0 < len(found) <= 200
    assert all(int(np.prod(shape)) <= 1 << 22 for one in found for shape in one)
