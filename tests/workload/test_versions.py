"""Documents of a version that has more fields, and of one that has fewer: the parts work together all the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jobs import alone, blobs, finish, start, training_job, write_csv

from tests.versions import NEW, newer
from tradewind.api.artefact import MANIFEST, POINTER, Manifest
from tradewind.api.data import Data
from tradewind.api.report import JobDocument, Report
from tradewind.api.trainingjob import Recipe
from tradewind_workload.compress.source import Source, seed_of
from tradewind_workload.data.headers import read_headers
from tradewind_workload.data.preparation import Room, prepare
from tradewind_workload.io.document import compression_spec, training_spec
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import ONNX
from tradewind_workload.io.places import Assignment, read_document
from tradewind_workload.io.reporter import Reporter
from tradewind_workload.io.store import data_of, locate, open_model, recipe_of
from tradewind_workload.train.learning import fingerprint

if TYPE_CHECKING:
    from endpoint import Endpoint

TRAINING: dict[str, Any] = {
    "recipe": {"task": "tabular-classification", "model": {"architecture": "mlp", "hiddenUnits": [16]}, "epochs": 2},
    "data": {
        "train": {"storageUri": "pvc://claim/train.csv", "format": "csv"},
        "validationFraction": "0.25",
        "prepare": [{"standardize": {}}],
    },
    "workers": 1,
    "resources": {"pool": "cpu"},
    "output": {"storageUri": "pvc://claim/model"},
}
# Only what has no default.
COMPRESSION: dict[str, Any] = {
    "model": {"storageUri": "pvc://claim/model"},
    "candidates": [
        {"name": "int8", "methods": [{"quantize": {"scheme": "dynamic-int8"}}]},
        {"name": "half", "methods": [{"prune": {"sparsity": "0.5"}}]},
    ],
    "output": {"storageUri": "pvc://claim/variants"},
}


def compression_job(spec: dict[str, Any], **fields: Any) -> dict[str, Any]:
    found = training_job(spec, uid="44444444-4444-4444-4444-444444444444")
    return found | {"kind": "CompressionJob", "source": {"storageUri": "pvc://claim/model"}} | fields


def test_jobs_run_with_documents_of_other_versions(volumes: Path) -> None:
    """A training with a newer job.json; its model.json made newer; a compression with an older job.json."""
    write_csv(volumes / "claim" / "train.csv", *blobs(400))
    reports, _ = alone(newer(training_job(TRAINING)))
    trained = Report.model_validate(reports[-1])
    assert trained.model is not None
    assert (trained.model.metrics[0].name, trained.model.primary_metric) == ("accuracy", "accuracy")

    output_folder = volumes / "claim" / "model"
    path, pointer = locate(output_folder)[0] / MANIFEST, output_folder / POINTER
    path.write_text(json.dumps(newer(json.loads(path.read_text()))))
    digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    pointer.write_text(json.dumps(newer(json.loads(pointer.read_text())) | {"digest": digest}))
    reports, _ = alone(compression_job(COMPRESSION))
    report = Report.model_validate(reports[-1])
    assert report.compression is not None
    rows = {row.name: row for row in report.compression.variants}
    assert list(rows) == ["baseline", "int8", "half"]
    assert all(row.verdict != "Failed" for row in rows.values()), rows
    # How the model was made is handed on as it was said, the parts too that only a newer version understands.
    quantised, _ = open_model(volumes / "claim" / "variants" / "int8")
    assert quantised.recipe is not None
    assert quantised.recipe["fromTheFuture"] == NEW["fromTheFuture"]


def test_specs_are_read_past_fields_that_are_not_known() -> None:
    spec = TRAINING | {"podMetadata": {"labels": {"team": "a"}}}
    job = JobDocument.read(newer(training_job(spec)))
    assert training_spec(job) == training_spec(JobDocument.read(training_job(spec)))
    full = COMPRESSION | {
        "data": TRAINING["data"],
        "goals": {"maxQualityLoss": {"value": "0.05"}, "maxLatency": {"milliseconds": "5"}},
        "measure": {"resources": {"cpu": "500m"}, "repeats": 50},
    }
    job = JobDocument.read(newer(compression_job(full)))
    assert compression_spec(job) == compression_spec(JobDocument.read(compression_job(full)))
    assert (job.source, job.run) == (JobDocument.read(compression_job(full)).source, "attempt-1")


def test_what_is_left_out_is_the_default() -> None:
    spec = training_spec(JobDocument.read(training_job({"output": {"storageUri": "pvc://claim/model"}})))
    assert (spec.workers, spec.resources.cpu, spec.checkpoint.every_epochs) == (1, "1", 1)
    found = compression_spec(JobDocument.read(compression_job(COMPRESSION)))
    assert (found.goals.max_quality_loss.metric, found.goals.max_quality_loss.value) == (None, None)
    assert (found.measure.batch_sizes, found.measure.resources.pool) == ((1, 32), None)


def test_a_choice_that_is_not_known_is_refused_by_its_name(operator: Endpoint, volumes: Path) -> None:
    """A method of a newer version can't be passed over: another variant than was asked for would be made."""
    spec = COMPRESSION | {"candidates": [{"name": "small", "methods": [{"distill": {"layers": 2}}]}]}
    with pytest.raises(Fault) as caught:
        compression_spec(JobDocument.read(compression_job(spec)))
    assert caught.value.reason == "NotSupported"
    assert caught.value.message == (
        "this image can't read spec.candidates.0.methods.0: Value error, give exactly one of prune, quantize; the "
        "operator is of another version: set images.workload of the operator's configuration to the image of its "
        "version."
    )
    document = compression_job(spec, reportUrl=operator.url)
    code, output = finish(start(document, volumes, TRADEWIND_MOUNT=str(operator.mount)))
    assert code == 2, output
    assert "Traceback" not in output
    assert operator.reports[-1]["failure"]["reason"] == "NotSupported"


def test_the_document_itself_is_read_so(volumes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = volumes / "job.json"
    path.write_text(json.dumps(newer(training_job(TRAINING))))
    monkeypatch.setenv("TRADEWIND_JOB_FILE", str(path))
    assert JobDocument.read(read_document()) == JobDocument.read(training_job(newer(TRAINING)))
    assert Assignment.of(read_document()).output == "pvc://claim/model"


FILES = {ONNX: {"sha256": "0" * 64, "sizeBytes": 1}}


def test_a_manifest_with_only_what_must_be_is_one(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps({"task": "custom", "inputs": [], "outputs": [], "files": {}}))
    manifest, _ = open_model(tmp_path)
    assert (manifest.format_version, manifest.labels, recipe_of(manifest, tmp_path)) == (1, (), None)
    (tmp_path / MANIFEST).write_text(
        json.dumps({"formatVersion": 2, "task": "custom", "inputs": [], "outputs": [], "files": {}})
    )
    with pytest.raises(Fault, match="is not the manifest of a model: formatVersion"):
        open_model(tmp_path)


def test_a_recipe_that_can_not_be_read_is_refused_where_it_is_needed(tmp_path: Path) -> None:
    recipe = newer(TRAINING["recipe"] | {"seed": 5})
    content = {"task": "custom", "inputs": [], "outputs": [], "files": FILES, "data": newer(TRAINING["data"])}
    manifest = Manifest.read(content | {"recipe": recipe})
    read = recipe_of(manifest, tmp_path)
    assert read is not None
    assert (read.seed, seed_of(manifest)) == (5, 5)
    assert data_of(manifest, tmp_path) is not None
    manifest = Manifest.read(content | {"recipe": recipe | {"task": "song-classification"}, "data": {"train": 1}})
    assert seed_of(manifest) == 5
    with pytest.raises(Fault, match=r"recipe was written by another version, .* task: .* or leave out prune") as caught:
        recipe_of(manifest, tmp_path)
    assert caught.value.reason == "NotSupported"
    with pytest.raises(Fault, match=r"data was written by another version, .* set spec\.data"):
        data_of(manifest, tmp_path)


def test_a_network_that_is_not_the_models_is_not_pruned(volumes: Path) -> None:
    """A field of the recipe that this version passes over may have changed what the network computes."""
    import torch
    from safetensors.torch import save_file

    from tradewind_workload.heads.answer import Classes
    from tradewind_workload.tasks.matrix import family
    from tradewind_workload.tasks.matrix.graph import to_onnx

    write_csv(volumes / "claim" / "train.csv", *blobs(200))
    data = Data.read(TRAINING["data"])
    prepared = prepare(data, read_headers(data, "tabular-classification"), 0)
    fitted = family.fit(prepared)
    recipe = Recipe.read(TRAINING["recipe"])
    network = fitted.network(recipe.model, 3, 0).eval()
    (volumes / "model.onnx").write_bytes(to_onnx(network, (4,), Classes(prepared.labels)))  # type: ignore[arg-type]
    manifest = Manifest(task="t", inputs=(fitted.taken,), outputs=(), files={})
    source = Source(volumes, "pvc://claim/model", manifest, "sha256:0", prepared, fitted, Room(0, volumes, "a test"))

    save_file(network.state_dict(), volumes / "model.safetensors")
    assert source.network(recipe) is not None
    with torch.no_grad():
        network.get_submodule("network.classes").weight.mul_(2)  # type: ignore[operator, union-attr]
    save_file(network.state_dict(), volumes / "model.safetensors")
    with pytest.raises(Fault, match=r"is not that of model\.onnx"):
        source.network(recipe)


class _NewerRecipe(Recipe):
    label_smoothing: int = 0


class _Prepared:
    split_digest, answers_digest = "sha256:0", "sha256:1"
    train = validation = labels = ()


def test_a_checkpoint_outlives_a_field_that_a_newer_version_adds() -> None:
    """An attempt after an upgrade restores what the one before it wrote: defaults are no part of its mark."""
    job = JobDocument.read(training_job(TRAINING))
    spec = training_spec(job)

    def mark(kind: type[Recipe], **fields: Any) -> str:
        recipe = kind.read(TRAINING["recipe"] | fields)
        return fingerprint(job, spec.model_copy(update={"recipe": recipe}), _Prepared(), 1)  # type: ignore[arg-type]

    assert mark(Recipe) == mark(Recipe, seed=0, batchSize=64) == mark(_NewerRecipe)
    assert mark(Recipe) != mark(Recipe, seed=1)
    assert mark(Recipe) != mark(_NewerRecipe, labelSmoothing=1)


def test_reports_of_a_newer_workload_are_read() -> None:
    reports: list[dict[str, Any]] = [
        {
            "run": "attempt-1",
            "trainerStatus": {"progressPercentage": 4, "metrics": [{"name": "loss", "value": "1"}]},
            "lastCheckpoint": {"step": 1, "time": "2026-11-25T12:00:00Z"},
        },
        {
            "model": {
                "storageUri": "pvc://claim/model",
                "digest": "sha256:" + "0" * 64,
                "metrics": [{"name": "accuracy", "value": "1"}],
                "sizeBytes": 1,
            }
        },
        {"failure": {"reason": "DataTooOld", "message": "a reason that is new"}},
        {
            "compression": {
                "variants": [
                    {
                        "name": "baseline",
                        "methods": "none",
                        "verdict": "Doubtful",
                        "reason": "a verdict that is new",
                        "quality": {"metric": "f1", "value": "0.5"},
                        "latencies": [{"percentile": 90, "milliseconds": "1"}],
                        "measuredOn": {"cpu": "1", "memory": "2Gi"},
                        "speedup": {"value": "1", "low": "1", "high": "1"},
                        "throughputPerSecond": "9",
                        "throughputInterval": {"low": "8", "high": "10"},
                    },
                    {
                        "name": "of-an-earlier-version",
                        "methods": "none",
                        "verdict": "Accepted",
                        "reason": "it has no interval",
                        "throughputPerSecond": "9",
                    },
                ]
            }
        },
    ]
    for report in reports:
        assert Report.read(newer(report)) == Report.read(report)


def test_fields_of_the_answer_that_are_not_known_are_passed_over(operator: Endpoint) -> None:
    operator.body = json.dumps(newer({"kind": "Status", "status": "Success", "wish": "stop"})).encode()
    job = JobDocument.read(training_job({}, url=operator.url))
    Reporter(job, mount=operator.mount).final({})
    assert operator.reports == [{"run": "attempt-1"}]
