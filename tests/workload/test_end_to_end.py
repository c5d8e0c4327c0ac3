"""Whole jobs as the pods run them: `python -m tradewind_workload` with a document, reports to an endpoint over TLS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from endpoint import Endpoint, endpoint
from jobs import alone, finish, start, training_job
from safetensors import safe_open

from tradewind.api.compressionjob import CompressionResult
from tradewind.api.report import JobDocument, Report
from tradewind_workload.compress import job as compression_job
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.reporter import Reporter
from tradewind_workload.io.store import locate, open_model
from tradewind_workload.report.record import Picture, Record
from tradewind_workload.train.cluster import Cluster

if TYPE_CHECKING:
    from conftest import Trained

SECOND = {"attempt": 2, "run": "attempt-2"}


def test_trained_model_is_whole_and_reported(trained: Trained) -> None:
    manifest, digest = open_model(trained.volumes / "claim" / "model")
    folder, _ = locate(trained.volumes / "claim" / "model")
    reports = [Report.model_validate(report) for report in trained.reports]
    last = reports[-1]
    assert last.model is not None
    assert last.model.digest == digest
    assert last.model.storage_uri == f"pvc://claim/model/models/{folder.name}"
    assert not list((trained.volumes / "claim/model").glob(".train/checkpoints/*/*")), "no attempt needs them any more"
    assert last.model.size_bytes == (folder / "model.onnx").stat().st_size
    assert manifest.labels == tuple("0123456789")
    golden = json.loads((folder / "samples.json").read_bytes())
    assert set(golden["outputs"]["label"]) == set(range(10))
    assert (np.shape(golden["instances"]), "samples.json" in manifest.files) == ((16, 8, 8), True)
    assert not manifest.inputs[0].columns and not manifest.inputs[0].nullable
    assert manifest.lineage is not None
    assert (manifest.lineage.kind, manifest.lineage.namespace, manifest.lineage.name) == ("TrainingJob", "team", "job")
    with safe_open(folder / "model.safetensors", framework="np") as weights:
        assert "network.conv0.weight" in weights.keys()  # noqa: SIM118 -- not a mapping


def test_accuracy_in_the_manifest_is_that_of_the_file(trained: Trained) -> None:
    folder, _ = locate(trained.volumes / "claim" / "model")
    manifest, _ = open_model(folder)
    with np.load(trained.volumes / "claim/data/validation.npz") as data:
        images, classes = data["image"], data["digit"]
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    label, _ = session.run(None, {"inputs": images})
    told = {entry.name: entry.value for entry in manifest.metrics}
    assert float(told["accuracy"]) == pytest.approx((label == classes).mean(), abs=1e-6)
    images, classes = trained.held_out
    label, _ = session.run(None, {"inputs": images})
    assert (label == classes).mean() > 0.9


def test_the_report_of_a_training(trained: Trained) -> None:
    folder, _ = locate(trained.volumes / "claim" / "model")
    manifest, _ = open_model(folder)
    last = Report.model_validate(trained.reports[-1])
    assert last.model is not None
    assert last.model.report_uri == f"pvc://claim/model/models/{folder.name}/report.html"
    assert {"report.json", "report.html"} <= set(manifest.files)
    record = Record.read(json.loads((folder / "report.json").read_bytes()))
    assert record.curve is not None
    assert [point.number for point in record.curve.points] == list(range(1, 9))
    best = max(record.curve.points, key=lambda point: point.value or 0)
    assert record.curve.best == best.number
    assert record.curve.points[-1].validation_loss == pytest.approx(record.curve.points[-1].loss, abs=0.5)
    assert [(part.name, part.rows, len(part.classes)) for part in record.split.parts] == [
        ("train", 1200, 10),
        ("validation", 300, 10),
    ]
    assert [(step.step, step.before) for step in record.steps][:2] == [("dropNulls", 1200), ("dropDuplicates", 1200)]
    assert record.mistakes
    assert all(isinstance(mistake.row["image"], Picture) for mistake in record.mistakes)
    shown = (folder / "report.html").read_text()
    assert "data:image/png;base64," in shown and "kept: epoch" in shown
    assert len(shown) < 3_000_000 and (folder / "report.json").stat().st_size < 1_000_000


def test_progress_on_the_way(trained: Trained) -> None:
    reports = [Report.model_validate(report) for report in trained.reports]
    told = [report.trainer_status for report in reports if report.trainer_status is not None]
    assert told
    percent = [status.progress_percentage for status in told]
    assert percent == sorted(percent)
    assert percent[0] == 0
    assert percent[-1] == 99
    assert {entry.name for entry in told[-1].metrics} == {"accuracy", "loss", "epoch"}
    checkpoints = [report.last_checkpoint.step for report in reports if report.last_checkpoint is not None]
    assert checkpoints[-1] == 8 * 19  # 8 epochs of 1200 rows, 64 a step


def test_an_attempt_after_the_files_are_whole_does_not_train_again(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report of the first one was lost, and a job that came after it has written its own pointer."""
    pointer = trained.volumes / "claim" / "model" / "current.json"
    right = pointer.read_bytes()
    pointer.write_bytes(right.replace(b"models/", b"models/another"))
    monkeypatch.setenv("TRADEWIND_PVC_ROOT", str(trained.volumes))
    reports, output = alone(trained.document | SECOND)
    assert not output
    assert [report["model"] for report in reports] == [trained.reports[-1]["model"]]
    assert pointer.read_bytes() == right


def test_bad_data_ends_with_a_sentence(trained: Trained, operator: Endpoint) -> None:
    data = trained.spec["data"] | {"label": "species"}
    spec = trained.spec | {"data": data, "output": {"storageUri": "pvc://claim/none"}}
    code, output = finish(
        start(training_job(spec, url=operator.url), trained.volumes, TRADEWIND_MOUNT=str(operator.mount))
    )
    assert code == 2
    assert "Traceback" not in output
    (report,) = operator.reports
    assert report["failure"]["reason"] == "InvalidData"
    assert report["failure"]["message"].startswith(
        "pvc://claim/data/train.npz has no array 'species' for the label; it has image, digit."
    )


def test_earlier_attempt_leaves_quietly(trained: Trained, operator: Endpoint) -> None:
    operator.answers = [(409, {})]
    code, output = finish(
        start(trained.document | {"reportUrl": operator.url}, trained.volumes, TRADEWIND_MOUNT=str(operator.mount))
    )
    assert code == 0
    assert "nothing more to do" in output


def compression(trained: Trained, output: str, url: str = "", **fields: Any) -> dict[str, Any]:
    _, digest = open_model(trained.volumes / "claim" / "model")
    spec = {
        "model": {"storageUri": "pvc://claim/model"},
        "data": trained.spec["data"],
        "candidates": [
            {"name": "dynamic", "methods": [{"quantize": {"scheme": "dynamic-int8"}}]},
            {"name": "static", "methods": [{"quantize": {"scheme": "static-int8", "calibrationRows": 100}}]},
            {"name": "pruned", "methods": [{"prune": {"sparsity": "0.5", "fineTuneEpochs": 3}}]},
            {
                "name": "stacked",
                "methods": [
                    {"prune": {"sparsity": "0.5", "fineTuneEpochs": 3}},
                    {"quantize": {"scheme": "static-int8"}},
                ],
            },
        ],
        "goals": {"maxQualityLoss": {"value": "0.05"}},
        "measure": {"resources": {"pool": "cpu", "cpu": "2"}},
        "output": {"storageUri": output},
    }
    return {
        "kind": "CompressionJob",
        "namespace": "team",
        "name": "smaller",
        "uid": "33333333-3333-3333-3333-333333333333",
        "attempt": 1,
        "run": "attempt-1",
        "reportUrl": url,
        "pricePerHour": "0.036",
        "source": {"storageUri": "pvc://claim/model", "digest": digest},
        "spec": spec | fields,
    }


@pytest.fixture(scope="session")
def compressed(trained: Trained) -> tuple[CompressionResult, list[dict[str, Any]]]:
    with endpoint(trained.volumes / "mount-compression") as operator:
        document = compression(trained, "pvc://claim/variants", operator.url)
        code, output = finish(start(document, trained.volumes, TRADEWIND_MOUNT=str(operator.mount)))
    assert code == 0, output
    report = Report.model_validate(operator.reports[-1])
    assert report.compression is not None
    return report.compression, operator.reports


def test_rows_say_what_the_files_are(
    trained: Trained, compressed: tuple[CompressionResult, list[dict[str, Any]]]
) -> None:
    result, _ = compressed
    assert [variant.name for variant in result.variants] == ["baseline", "dynamic", "static", "pruned", "stacked"]
    with np.load(trained.volumes / "claim/data/validation.npz") as data:
        images, classes = data["image"], data["digit"]
    baseline = result.variants[0]
    assert baseline.storage_uri == f"pvc://claim/model/models/{locate(trained.volumes / 'claim/model')[0].name}"
    for variant in result.variants:
        assert variant.storage_uri is not None
        folder = trained.volumes / variant.storage_uri.removeprefix("pvc://")
        manifest, digest = open_model(folder)
        assert digest == variant.digest
        assert variant.size_bytes == (folder / "model.onnx").stat().st_size
        session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
        # As a server asks it: 8 bits that are found at each request depend on all of its rows.
        alone = [session.run(None, {"inputs": images[i : i + 1]}) for i in range(len(images))]
        label, probabilities = (np.concatenate(found) for found in zip(*alone, strict=True))
        golden = json.loads((folder / "samples.json").read_bytes())
        assert "samples.json" in manifest.files
        answers = session.run(None, {"inputs": np.array(golden["instances"], np.float32)})
        assert answers[0].tolist() == golden["outputs"]["label"]
        np.testing.assert_allclose(answers[1], golden["outputs"]["probabilities"], atol=golden["tolerance"])
        assert variant.quality is not None
        assert variant.quality.metric == "accuracy"
        assert float(variant.quality.value) == pytest.approx((label == classes).mean(), abs=1e-6)
        assert [latency.percentile for latency in variant.latencies] == [50, 95, 99]
        milliseconds = [float(latency.milliseconds) for latency in variant.latencies]
        assert 0 < milliseconds[0] <= milliseconds[1] <= milliseconds[2]
        assert variant.measured_on is not None
        assert (variant.measured_on.pool, variant.measured_on.cpu, variant.measured_on.memory) == ("cpu", "2", "512Mi")
        assert probabilities.shape == (len(images), 10)
        assert variant.speedup is not None
        assert float(variant.speedup.low) <= float(variant.speedup.value) <= float(variant.speedup.high)
        price = 0.036 / 3600 / float(variant.throughput_per_second or 0) * 1e6
        assert float(variant.cost_per_million or 0) == pytest.approx(price, rel=0.01, abs=1e-8)
        if variant.verdict == "Accepted" and variant.name != "baseline":
            assert float(variant.quality.loss or 0) <= 0.05
            assert variant.quality == variant.judged_quality, "there is no test part"
            assert float(variant.speedup.high) >= 1
        if "pruned" in variant.name or "stacked" in variant.name:
            shapes = {tuple(constant.dims) for constant in onnx.load(folder / "model.onnx").graph.initializer}
            assert {(8, 1, 3, 3), (16, 8, 3, 3)} <= shapes
    sizes = {variant.name: variant.size_bytes or 0 for variant in result.variants}
    assert sizes["static"] < 0.4 * sizes["baseline"]
    assert sizes["stacked"] < sizes["pruned"] < 0.5 * sizes["baseline"]


def test_report_lies_beside_the_variants(
    trained: Trained, compressed: tuple[CompressionResult, list[dict[str, Any]]]
) -> None:
    result, reports = compressed
    folder = trained.volumes / "claim" / "variants"
    content = json.loads((folder / "report.json").read_text())
    assert [CompressionResult.model_validate(content).variants] == [result.variants]
    page = (folder / "report.html").read_text()
    assert page.count("<svg") == 2
    assert "http://www.w3.org" in page
    assert "src=" not in page
    for variant in result.variants:
        assert variant.name in page
    percent = [report["trainerStatus"]["progressPercentage"] for report in reports if "trainerStatus" in report]
    assert percent == sorted(percent)


def test_second_attempt_takes_over_what_is_finished(
    trained: Trained,
    compressed: tuple[CompressionResult, list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result, _ = compressed
    folder = trained.volumes / "claim" / "variants"
    static, _ = locate(folder / "static")
    (static / "model.json").unlink()  # as if it had been killed while that one was written
    whole = "*/models/" + "[0-9a-f]" * 16 + "/model.onnx"
    before = {path: path.stat().st_mtime_ns for path in folder.glob(whole)}
    monkeypatch.setenv("TRADEWIND_PVC_ROOT", str(trained.volumes))
    _, output = alone(compression(trained, "pvc://claim/variants") | SECOND)
    assert output.count("finished by an earlier attempt") == 3
    after = {path: path.stat().st_mtime_ns for path in folder.glob(whole)}
    assert len(after) == len(before) == 4
    assert [path.parent for path in before if before[path] != after[path]] == [static]
    _, digest = open_model(folder / "static")
    assert digest == result.variants[2].digest  # byte for byte


def test_changed_source_is_refused(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_PVC_ROOT", str(trained.volumes))
    document = compression(trained, "pvc://claim/none")
    document["source"]["digest"] = "sha256:" + "0" * 64
    job = JobDocument.model_validate(document)
    with pytest.raises(Fault, match=r"its digest is sha256:\w+, and sha256:000") as caught:
        compression_job.run(job, Reporter(job), Cluster())
    assert caught.value.reason == "InvalidModel"
