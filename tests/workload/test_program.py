"""A program of the user's own: what it gets, how it ends, and what becomes of the model that it leaves."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from jobs import training_job
from onnx import TensorProto, helper, numpy_helper

from tradewind.api.artefact import Manifest
from tradewind.api.report import Report
from tradewind_workload.export.inference import open_session
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.places import Assignment
from tradewind_workload.io.reporter import Reporter
from tradewind_workload.io.store import locate, open_model
from tradewind_workload.programs import program
from tradewind_workload.programs.report import key_values
from tradewind_workload.programs.snapshots import LAST_GOOD, SNAPSHOT, repair

if TYPE_CHECKING:
    from pathlib import Path

    from endpoint import Endpoint


def run(
    operator: Endpoint, folder: Path, source: str, argv: tuple[str, ...] = (sys.executable, "main.py"), **spec: Any
) -> int:
    mounted = folder / "mounted"
    (mounted / "..2026_11_24").mkdir(parents=True, exist_ok=True)  # as the kubelet lays a ConfigMap out
    (mounted / "..2026_11_24" / "main.py").write_text(source)
    (mounted / "main.py").unlink(missing_ok=True)
    (mounted / "main.py").symlink_to("..2026_11_24/main.py")
    settings = {"entrypoint": {"argv": list(argv)}, "output": {"storageUri": "pvc://claim/own"}} | spec
    job = Assignment.of(training_job(settings, url=operator.url))
    return program.run(job, Reporter(job, mount=operator.mount))


@pytest.fixture(autouse=True)
def _places(volumes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_WORKING_DIR", str(volumes / "mounted"))


COPY = "import os, shutil; shutil.copyfile({!r}, os.environ['TRADEWIND_OUTPUT'] + '/model.onnx')"


def identity(path: Path, kind: int = TensorProto.FLOAT) -> None:
    """An ONNX file that gives back what it takes."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("x", kind, ["n", 3])],
        [helper.make_tensor_value_info("y", kind, ["n", 3])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_environment_and_arguments_without_a_shell(operator: Endpoint, volumes: Path) -> None:
    source = """
import json, os, sys, pathlib
pathlib.Path("scratch").write_text("writable")
told = {k: v for k, v in os.environ.items() if k.startswith(("TRADEWIND_", "RAY_TRAIN_CALLBACKS", "RAY_JOB_CONFIG"))}
pathlib.Path(os.environ["TRADEWIND_OUTPUT"], "told.json").write_text(json.dumps([sys.argv[1:], os.getcwd(), told]))
"""
    hostile = "$(touch pwned); `id` && *"
    data = {"train": {"storageUri": "pvc://claim/d/t.csv", "format": "csv"}, "validationFraction": "0.5"}
    code = run(operator, volumes, source, (sys.executable, "main.py", hostile), data=data, workers=3)
    assert code == 0
    arguments, where, told = json.loads((volumes / "claim/own/told.json").read_text())
    assert arguments == [hostile]
    runs = volumes / "claim/own/.train/runs"
    assert told["TRADEWIND_STORAGE_PATH"] == str(runs / "11111111-1111-1111-1111-111111111111")  # of this object alone
    assert told["TRADEWIND_DATA_TRAIN"] == str(volumes / "claim/d/t.csv")
    assert "TRADEWIND_DATA_VALIDATION" not in told
    assert told["TRADEWIND_WORKERS"] == "3"
    assert told["RAY_TRAIN_CALLBACKS"] == "tradewind_workload.programs.report.Automatic"
    assert json.loads(told["RAY_JOB_CONFIG_JSON_ENV_VAR"])["runtime_env"]["working_dir"] == where
    assert not (volumes / "mounted/scratch").exists()
    assert not operator.reports  # no result of its own: how the RayJob ends decides


def test_exit_code_is_passed_on_and_nothing_is_reported(
    operator: Endpoint, volumes: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(operator, volumes, "print('reading'); raise SystemExit(3)") == 3
    assert run(operator, volumes, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)") == 1
    assert run(operator, volumes, "", ("no-such-program",)) == 127
    out, error = capfd.readouterr()
    assert "reading" in out
    assert "ended with exit code 3; its last lines:\nreading" in error
    assert "'no-such-program' is not in the image or in the working directory: correct spec.entrypoint.argv" in error
    assert not operator.reports


def test_model_that_it_leaves_becomes_the_result(operator: Endpoint, volumes: Path) -> None:
    identity(volumes / "made.onnx")
    source = COPY.format(str(volumes / "made.onnx"))
    data = {"train": {"storageUri": "pvc://claim/d/t.csv", "format": "csv"}, "validationFraction": "0.5"}
    assert run(operator, volumes, source, data=data) == 0
    manifest, digest = open_model(volumes / "claim/own")
    assert manifest.task == "custom"
    assert [(tensor.name, tensor.datatype, tensor.shape) for tensor in manifest.inputs] == [("x", "FP32", (-1, 3))]
    (told,) = operator.reports
    report = Report.model_validate(told)
    assert report.model is not None
    assert report.model.digest == digest
    assert report.model.size_bytes == (volumes / "made.onnx").stat().st_size
    # What it writes without the classes of the contract is what these would write.
    assert report.model.storage_uri == f"pvc://claim/own/models/{digest.removeprefix('sha256:')[:16]}"
    stored = volumes / report.model.storage_uri.removeprefix("pvc://")
    document = json.loads((stored / "model.json").read_text())
    assert {"formatVersion": 1, **Manifest.model_validate(document).written()} == document
    assert not (manifest.model_extra or manifest.files["model.onnx"].model_extra)


def test_what_is_served_stays_when_the_program_overwrites_its_file(operator: Endpoint, volumes: Path) -> None:
    for kind in (TensorProto.FLOAT, TensorProto.DOUBLE):
        identity(volumes / "made.onnx", kind)
        assert run(operator, volumes, COPY.format(str(volumes / "made.onnx"))) == 0
    first, second = (Report.model_validate(told).model for told in operator.reports)
    assert first is not None
    assert second is not None
    for told in (first, second):
        assert open_model(volumes / told.storage_uri.removeprefix("pvc://"), told.digest)[1] == told.digest
    assert open_model(volumes / "claim/own")[1] == second.digest != first.digest


def outside(folder: Path) -> None:
    """An ONNX file with its weights in another one, as torch's exporter writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "add",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 300])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 300])],
        [numpy_helper.from_array(np.arange(300, dtype=np.float32), "w")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(proto, folder / "model.onnx", save_as_external_data=True, location="model.onnx.data")


COPY_ALL = "import os, shutil; shutil.copytree({!r}, os.environ['TRADEWIND_OUTPUT'], dirs_exist_ok=True)"


@pytest.mark.parametrize("room", [program.MOST_IN_ONE_FILE, 0])
def test_weights_beside_the_model_become_part_of_it(
    operator: Endpoint, volumes: Path, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "MOST_IN_ONE_FILE", room)
    outside(volumes / "made")
    assert run(operator, volumes, COPY_ALL.format(str(volumes / "made"))) == 0
    output = volumes / "claim/own"
    manifest, _ = open_model(output)
    assert sorted(manifest.files) == (["model.onnx"] if room else ["model.onnx", "model.onnx.data"])
    folder, _ = locate(output)
    (answer,) = open_session(folder / "model.onnx").run(None, {"x": np.ones((1, 300), np.float32)})
    assert answer[0, :3].tolist() == [1, 2, 3]


def test_samples_are_those_of_this_run(operator: Endpoint, volumes: Path) -> None:
    (volumes / "claim/own").mkdir(parents=True)
    (volumes / "claim/own/samples.json").write_text("{}")
    identity(volumes / "made.onnx")
    source = COPY.format(str(volumes / "made.onnx"))
    assert run(operator, volumes, source) == 0
    assert set(open_model(volumes / "claim/own")[0].files) == {"model.onnx"}
    own = "; open(os.environ['TRADEWIND_OUTPUT'] + '/samples.json', 'w').write('{\"instances\": [[1, 2, 3]]}')"
    assert run(operator, volumes, source + own) == 0
    assert set(open_model(volumes / "claim/own")[0].files) == {"model.onnx", "samples.json"}


def test_weights_that_are_not_there_are_named(operator: Endpoint, volumes: Path) -> None:
    outside(volumes / "made")
    (volumes / "made/model.onnx.data").unlink()
    with pytest.raises(Fault, match=r"keeps weights in 'model.onnx.data', which is not in .* leave both files"):
        run(operator, volumes, COPY_ALL.format(str(volumes / "made")))


def test_model_of_an_earlier_run_is_not_its_result(operator: Endpoint, volumes: Path) -> None:
    import os

    (volumes / "claim/own").mkdir(parents=True)
    identity(volumes / "claim/own/model.onnx")
    os.utime(volumes / "claim/own/model.onnx", (1, 1))
    assert run(operator, volumes, "") == 0
    assert not operator.reports


def test_weights_of_an_earlier_run_are_no_part_of_its_result(operator: Endpoint, volumes: Path) -> None:
    import os

    (volumes / "claim/own").mkdir(parents=True)
    (volumes / "claim/own/model.safetensors").write_bytes(b"of another model")
    os.utime(volumes / "claim/own/model.safetensors", (1, 1))
    identity(volumes / "made.onnx")
    source = COPY.format(str(volumes / "made.onnx"))
    assert run(operator, volumes, source) == 0
    assert set(open_model(volumes / "claim/own")[0].files) == {"model.onnx"}
    assert (volumes / "claim/own/model.safetensors").exists()  # a program may continue from it
    own = "; open(os.environ['TRADEWIND_OUTPUT'] + '/model.safetensors', 'w').write('its own')"
    assert run(operator, volumes, source + own) == 0
    assert set(open_model(volumes / "claim/own")[0].files) == {"model.onnx", "model.safetensors"}


@pytest.mark.parametrize(("content", "words"), [(b"no graph", "model.onnx"), (None, "can't be served")])
def test_model_that_can_not_be_served_is_refused(
    operator: Endpoint, volumes: Path, content: bytes | None, words: str
) -> None:
    if content is None:
        identity(volumes / "made.onnx", TensorProto.COMPLEX64)
    else:
        (volumes / "made.onnx").write_bytes(content)
    source = COPY.format(str(volumes / "made.onnx"))
    with pytest.raises(Fault, match=words) as caught:
        run(operator, volumes, source)
    assert caught.value.reason == "InvalidModel"


def test_torn_list_of_checkpoints_is_put_right(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "checkpoint_1").mkdir(parents=True)
    whole = json.dumps({"checkpoint_results": [{"checkpoint_dir_name": "checkpoint_1"}]})
    (folder / SNAPSHOT).write_text(whole[:20])
    (folder / LAST_GOOD).write_text(whole)
    assert "the last good list of checkpoints is back" in repair(tmp_path)[0]
    assert (folder / SNAPSHOT).read_text() == whole
    assert repair(tmp_path) == []
    (folder / SNAPSHOT).write_text("")
    (folder / LAST_GOOD).write_text(whole.replace("checkpoint_1", "checkpoint_0"))  # deleted meanwhile
    assert "the run starts over" in repair(tmp_path)[0]
    assert not (folder / SNAPSHOT).exists()


def test_metrics_as_decimals() -> None:
    found = key_values(
        {
            "loss": 0.25,
            "epoch": 3,
            "name": "x",
            "ok": True,
            "bad": float("nan"),
            "array": np.float32(0.5),
            "progress": 0.5,
        }
    )
    assert found == [
        {"name": "loss", "value": "0.25"},
        {"name": "epoch", "value": "3"},
        {"name": "array", "value": "0.5"},
    ]
