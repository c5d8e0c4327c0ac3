"""Models that can't be served, by mistake or on purpose: refused with what to do, and no code of theirs runs."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import graphs
import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper
from process import PATIENCE, Process

from tradewind_server.folder import Unservable, external
from tradewind_server.model import Limits, OnnxModel

# What a model would leave behind if any code of its own ran.
OWNED = Path(tempfile.gettempdir()) / "tradewind-owned"


def load(model_dir: Path, digest: str | None = None) -> OnnxModel:
    """The model after loading in this process."""
    model = OnnxModel("m", model_dir, digest, threads=1, limits=Limits(rows=10, queue=1))
    model.load()
    return model


def outside(location: str, **more: str) -> ModelProto:
    """A model whose weights are said to lie at `location`."""
    w = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **more}.items():
        w.external_data.add(key=key, value=value)
    model = graphs.model(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        [("x", graphs.FLOAT, ["rows", 4])],
        [("y", graphs.FLOAT, ["rows", 4])],
    )
    model.graph.initializer.append(w)
    return model


def custom_operator() -> ModelProto:
    model = graphs.model(
        [helper.make_node("RunShell", ["x"], ["y"], domain="com.evil", command=f"touch {OWNED}")],
        [("x", graphs.FLOAT, [1])],
        [("y", graphs.FLOAT, [1])],
    )
    model.opset_import.append(helper.make_opsetid("com.evil", 1))
    return model


def python_operator() -> ModelProto:
    """What a runtime with Python operators would call."""
    model = graphs.model(
        [helper.make_node("PythonOp", ["x"], ["y"], domain="com.microsoft", func_name="os.system")],
        [("x", graphs.FLOAT, [1])],
        [("y", graphs.FLOAT, [1])],
    )
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


def declares_more_than_it_has() -> ModelProto:
    model = outside("")
    model.graph.initializer[0].CopyFrom(
        TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**31, 2**31], raw_data=bytes(16))
    )
    return model


def fills_the_memory() -> ModelProto:
    """2^44 floats at the first request."""
    weights = {"shape": np.array([2**22, 2**22])}
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
        helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    return graphs.model(nodes, [("x", graphs.FLOAT, [1])], [("y", graphs.FLOAT, [1])], weights)


def never_fits() -> ModelProto:
    """The declared input can't be what the graph wants."""
    weights = {"W": np.zeros((5, 5), dtype=np.float32)}
    nodes = [helper.make_node("MatMul", ["x", "W"], ["y"])]
    return graphs.model(nodes, [("x", graphs.FLOAT, ["rows", None])], [("y", graphs.FLOAT, ["rows", 5])], weights)


def missing_node_input() -> ModelProto:
    return graphs.model(
        [helper.make_node("Add", ["x", "nowhere"], ["y"])], [("x", graphs.FLOAT, [1])], [("y", graphs.FLOAT, [1])]
    )


def cycle() -> ModelProto:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Identity", ["a"], ["b"])]
    return graphs.model(nodes, [("x", graphs.FLOAT, [1])], [("a", graphs.FLOAT, [1])])


def newer(**changes: int) -> ModelProto:
    model = graphs.identity(graphs.FLOAT, [1])
    if "ir" in changes:
        model.ir_version = changes["ir"]
    else:
        model.opset_import[0].version = changes["opset"]
    return model


def sequence_output() -> ModelProto:
    model = graphs.model([helper.make_node("SequenceConstruct", ["x"], ["y"])], [("x", graphs.FLOAT, [1])], [])
    model.graph.output.append(helper.make_tensor_sequence_value_info("y", graphs.FLOAT, [1]))
    return model


def no_input() -> ModelProto:
    return graphs.model(
        [helper.make_node("Identity", ["w"], ["y"])], [], [("y", graphs.FLOAT, [1])], {"w": np.ones(1, np.float32)}
    )


MODELS: dict[str, tuple[Callable[[], ModelProto | bytes], str]] = {
    "empty": (lambda: b"", "can't be loaded"),
    "text": (lambda: b"not a model" * 99, "can't be loaded"),
    "zeros": (lambda: bytes(4096), "can't be loaded"),
    "cut off": (lambda: graphs.classifier().SerializeToString()[:-40], "can't be loaded"),
    "a pickle": (lambda: pickle.dumps({"model": 1}), "can't be loaded"),
    "a shell script": (lambda: b"#!/bin/sh\ntouch %s\n" % bytes(OWNED), "can't be loaded"),
    "a zip": (lambda: b"PK\x03\x04" + bytes(100), "can't be loaded"),
    "an endless field": (lambda: b"\x3a\xff\xff\xff\xff\x0f" + bytes(50), "can't be loaded"),
    "weights above the folder": (lambda: outside("../secret"), "must lie in the same folder"),
    "weights at an absolute path": (lambda: outside("/etc/hostname"), "must lie in the same folder"),
    "weights through a link": (lambda: outside("link"), "must lie in the same folder"),
    "weights of a device": (lambda: outside("/dev/zero"), "must lie in the same folder"),
    "weights of a process": (lambda: outside("../../../../proc/self/environ"), "must lie in the same folder"),
    "weights that are not there": (lambda: outside("w.bin"), "must lie in the same folder"),
    "weights beyond the end": (lambda: outside("w.data", offset="1000000"), "can't be loaded"),
    "weights before the start": (lambda: outside("w.data", offset="-8"), "can't be loaded"),
    "custom operator": (custom_operator, "Only operators of ONNX"),
    "operator in Python": (python_operator, "Only operators of ONNX"),
    "weights larger than their bytes": (declares_more_than_it_has, "can't be loaded"),
    "an edge from nowhere": (missing_node_input, "can't be loaded"),
    "a cycle": (cycle, "can't be loaded"),
    "a later IR": (lambda: newer(ir=99), "Export it for ONNX Runtime"),
    "a later opset": (lambda: newer(opset=999), "Export it for ONNX Runtime"),
    "a sequence": (sequence_output, "output 'y' is a seq(tensor(float))"),
    "no input": (no_input, "takes no input"),
    "bfloat16": (lambda: graphs.identity(TensorProto.BFLOAT16, [1]), "tensor(bfloat16)"),
    "complex": (lambda: graphs.identity(TensorProto.COMPLEX64, [1]), "can't be"),
}


@pytest.mark.parametrize("case", MODELS)
def test_models(tmp_path: Path, case: str) -> None:
    make, sentence = MODELS[case]
    made = make()
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(16))
    (folder / "w.data").write_bytes(bytes(16))
    (folder / "link").symlink_to("../secret")
    (folder / "model.onnx").write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    with pytest.raises(Unservable) as refusal:
        load(folder)
    assert sentence in str(refusal.value)
    assert "Traceback" not in str(refusal.value)
    assert len(str(refusal.value)) < 1000
    assert not OWNED.exists()


@pytest.mark.parametrize("make", [fills_the_memory, never_fits])
def test_what_answers_no_zeros_is_served_and_told(
    tmp_path: Path, make: Callable[[], ModelProto], caplog: pytest.LogCaptureFixture
) -> None:
    graphs.save(make(), tmp_path / "model.onnx")
    assert load(tmp_path).ready
    assert "m could not be tried before its first request" in caplog.text
    assert 'put samples.json beside it, {"instances": [...]}' in caplog.text


def test_weights_in_the_same_folder_are_read(tmp_path: Path) -> None:
    graphs.save(outside("w.data"), tmp_path / "model.onnx")
    (tmp_path / "w.data").write_bytes(np.arange(4, dtype="<f4").tobytes())
    assert load(tmp_path).ready


def test_the_digest_covers_weights_beside_the_file(tmp_path: Path) -> None:
    graphs.save(outside("w.data"), tmp_path / "model.onnx")
    (tmp_path / "w.data").write_bytes(np.arange(4, dtype="<f4").tobytes())
    digest = load(tmp_path).digest
    (tmp_path / "else").write_text("not the model's")
    assert load(tmp_path, digest).digest == digest
    (tmp_path / "w.data").write_bytes(np.arange(1, 5, dtype="<f4").tobytes())
    with pytest.raises(Unservable, match="was accepted: the model was replaced"):
        load(tmp_path, digest)


def test_a_name_that_is_no_file_is_left_to_onnx_runtime(tmp_path: Path) -> None:
    for name in ("a\0b", "n" * 5000):
        graphs.save(outside(name), tmp_path / "model.onnx")
        with pytest.raises(Unservable, match="can't be loaded"):
            load(tmp_path)


def test_a_long_name_of_weights_is_found(tmp_path: Path) -> None:
    name = "w" * 200 + ".data"
    graphs.save(outside(name), tmp_path / "model.onnx")
    (tmp_path / name).write_bytes(bytes(16))
    assert external((tmp_path / "model.onnx").read_bytes()) == {name}
    assert load(tmp_path).digest != "sha256:" + hashlib.sha256((tmp_path / "model.onnx").read_bytes()).hexdigest()


def test_weights_beside_the_file_must_be_in_the_manifest(tmp_path: Path) -> None:
    graphs.save(outside("w.data"), tmp_path / "model.onnx")
    (tmp_path / "w.data").write_bytes(bytes(16))
    described = {"inputs": [], "outputs": [], "labels": []}
    graphs.manifest(tmp_path, **described)
    with pytest.raises(Unservable, match=r"does not list w\.data: the folder holds a file that was never accepted"):
        load(tmp_path)
    graphs.manifest(tmp_path, **described, files=graphs.listed(tmp_path, "model.onnx", "w.data"))
    assert load(tmp_path).ready


def test_weights_beside_a_single_file_are_refused(tmp_path: Path) -> None:
    graphs.save(outside("w.data"), tmp_path / "mine.onnx")
    (tmp_path / "w.data").write_bytes(bytes(16))
    with pytest.raises(Unservable, match=r"\(w.data\): give the folder in storageUri, not the file"):
        load(tmp_path / "mine.onnx")


def test_which_file_is_served(tmp_path: Path) -> None:
    with pytest.raises(Unservable, match="does not exist"):
        load(tmp_path / "nothing")
    with pytest.raises(Unservable, match=r"has no \*.onnx file"):
        load(tmp_path)
    mine = graphs.save(graphs.classifier(), tmp_path / "mine.onnx")
    assert load(tmp_path).ready
    assert load(mine).ready
    graphs.save(graphs.classifier(), tmp_path / "other.onnx")
    with pytest.raises(Unservable, match=r"2 ONNX files \(mine.onnx, other.onnx\)"):
        load(tmp_path)
    graphs.save(graphs.adder(), tmp_path / "model.onnx")
    assert set(load(tmp_path).inputs) == {"a", "b"}


def test_the_digest_is_that_of_the_manifest_or_of_the_file(folder: Path) -> None:
    alone = "sha256:" + hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    assert load(folder).digest == alone
    assert load(folder, alone).ready
    digest = graphs.manifest(folder)
    assert load(folder, digest).digest == digest
    with pytest.raises(Unservable, match="was accepted: the model was replaced"):
        load(folder, alone)


def output(folder: Path, changes: dict[str, object] | None = None) -> tuple[Path, str]:
    """The folder as the model of an output folder, which points to it; the digest of the model."""
    digest = graphs.manifest(folder)
    target = folder.parent / "models" / digest.removeprefix("sha256:")[:16]
    target.parent.mkdir(exist_ok=True)
    folder.rename(target)
    pointer = {"formatVersion": 1, "folder": f"models/{target.name}", "digest": digest}
    (folder.parent / "current.json").write_text(json.dumps(pointer | (changes or {})))
    return folder.parent, digest


def test_an_output_folder_means_the_model_that_it_points_to(folder: Path) -> None:
    where, digest = output(folder)
    assert load(where).digest == load(where, digest).digest == digest
    # As KServe lays it out where it does not mount the volume itself: a link for each entry.
    linked = where / "linked"
    linked.mkdir()
    for name in ("current.json", "models"):
        (linked / name).symlink_to(where / name)
    assert load(linked).digest == digest
    with pytest.raises(Unservable, match="was accepted: the model was replaced"):
        load(where, "sha256:" + "0" * 64)


def test_the_accepted_model_of_an_earlier_version_is_served_beside_a_pointer(folder: Path) -> None:
    """It lay in the output folder itself, and does so after the job was made again by this version."""
    where, digest = output(folder)
    graphs.save(graphs.classifier(), where / "model.onnx")
    before = graphs.manifest(where, task="custom")
    assert before != digest
    assert load(where, before).digest == before
    assert load(where).digest == load(where, digest).digest == digest


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"folder": "../other"}, "does not say where a model is (folder: "),
        ({"folder": "/etc"}, "does not say where a model is (folder: "),
        ({"formatVersion": 2}, "does not say where a model is (formatVersion: "),
        ({"folder": "out"}, "leads out of its folder"),
        ({"folder": "models/none"}, "points to models/none, which is not there"),
        ({"digest": "sha256:" + "0" * 64}, "the model was replaced"),
    ],
)
def test_a_pointer_that_leads_nowhere_good_is_refused(folder: Path, changes: dict[str, object], words: str) -> None:
    where, _ = output(folder, changes)
    (where / "out").symlink_to("/usr")
    with pytest.raises(Unservable, match=re.escape(words)):
        load(where)
    (where / "current.json").write_text("{")
    with pytest.raises(Unservable, match="does not say where a model is"):
        load(where)


def change_model(folder: Path) -> None:
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes() + b" ")


def rewrite(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        graphs.manifest(folder, **changes)

    return change


FILE = {"sha256": "0" * 64, "sizeBytes": 1}
MANIFESTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "model changed": (change_model, "it was changed or cut off"),
    "not JSON": (lambda folder: (folder / "model.json").write_text("{"), "is not a manifest"),
    "another version": (
        rewrite(formatVersion=2),
        "has formatVersion 2, and this server reads 1: use a server of the version that wrote the model",
    ),
    "no files": (rewrite(files={}), "does not list model.onnx"),
    "a file is missing": (
        lambda folder: graphs.manifest(
            folder, files=json.loads((folder / "model.json").read_text())["files"] | {"w": FILE}
        ),
        "w is listed in model.json, but can't be read",
    ),
    "a file outside": (
        lambda folder: graphs.manifest(
            folder, files=json.loads((folder / "model.json").read_text())["files"] | {"../../etc/passwd": FILE}
        ),
        "has a plain name",
    ),
    "another input": (
        rewrite(inputs=[{"name": "image", "datatype": "FP32", "shape": [-1, 2, 2]}]),
        "declares 'image' as FP32 [-1, 2, 2], but the model has only inputs",
    ),
    "another datatype": (
        rewrite(inputs=[{"name": "inputs", "datatype": "UINT8", "shape": [-1, 2, 2]}]),
        "but the model has FP32 [-1, 2, 2]",
    ),
    "more labels than classes": (
        rewrite(labels=["a", "b", "c", "d"]),
        "4 labels, but probabilities have the shape (1, 3)",
    ),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_manifests(folder: Path, case: str) -> None:
    graphs.manifest(folder)
    change, sentence = MANIFESTS[case]
    change(folder)
    with pytest.raises(Unservable) as refusal:
        load(folder)
    assert sentence in str(refusal.value)


def test_a_server_that_can_not_serve_says_so_and_ends(folder: Path, tmp_path: Path) -> None:
    graphs.manifest(folder)
    process = Process(folder, tmp_path / "log", env={"TRADEWIND_MODEL_DIGEST": "sha256:" + "0" * 64})
    try:
        assert process.popen.wait(PATIENCE) == 1
    finally:
        process.close()
    (line,) = [json.loads(line) for line in process.log.splitlines()]
    assert line["level"] == "error"
    assert "model m can't be served" in line["message"]
    assert "the model was replaced" in line["message"]
