"""What the API server refuses, and that it says which field is wrong and what to write instead."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.crds.conftest import Api, Refusal
from tests.crds.objects import SPECS, changed, good
from tests.objects import attempt
from tradewind.generate.crd import KINDS, parts

MODELS = {kind.kind: kind for kind in KINDS}

ELSEWHERE = "write pvc://<claim>/<path>"
ONE_OF = "give exactly one of"
DECIMAL = "write a decimal number as a string"
FRACTION = "write a number from 0 to 1 as a string"
FIXED = "is fixed since the first attempt started"

# The object, the field, its value (None: left out), where the API server sees the mistake, and a part of its sentence.
BY_SCHEMA: list[tuple[str, str, Any, str, str]] = [
    ("a recipe", "spec.output", None, "spec.output", "Required value"),
    ("a recipe", "spec.output.storageUri", "s3://bucket/model", "spec.output.storageUri", ELSEWHERE),
    ("a recipe", "spec.output.storageUri", "pvc://claim/../other", "spec.output.storageUri", ELSEWHERE),
    ("a recipe", "spec.output.storageUri", "pvc://claim/.hidden", "spec.output.storageUri", ELSEWHERE),
    ("a recipe", "spec.output.storageUri", "pvc://claim/a b", "spec.output.storageUri", ELSEWHERE),
    ("a recipe", "spec.output.storageUri", "pvc://claim/$(id)", "spec.output.storageUri", ELSEWHERE),
    ("a recipe", "spec.output.storageUri", "pvc://claim/a\n", "spec.output.storageUri", ELSEWHERE),
    ("a recipe", "spec.output.storageUri", "pvc://Claim/a", "spec.output.storageUri", ELSEWHERE),
    ("a recipe", "spec.output.storageUri", "pvc://claim/" + "a" * 512, "spec.output.storageUri", "Too long"),
    ("a recipe", "spec.recipe.task", "translation", "spec.recipe.task", '"image-classification"'),
    ("a recipe", "spec.recipe.model.architecture", "resnet", "spec.recipe.model.architecture", '"mlp"'),
    (
        "a whole recipe of trees",
        "spec.recipe.model.trees.learningRate",
        "1.1",
        "trees.learningRate",
        "a number from 0 to 1",
    ),
    ("a whole recipe of trees", "spec.recipe.model.trees.maxDepth", 17, "trees.maxDepth", "less than or equal to 16"),
    ("a recipe", "spec.recipe.model.hiddenUnits", [0], "recipe.model.hiddenUnits[0]", "greater than or equal to 1"),
    ("a recipe", "spec.recipe.model.hiddenUnits", [8] * 9, "spec.recipe.model.hiddenUnits", "at most 8 items"),
    ("a recipe", "spec.recipe.epochs", 0, "spec.recipe.epochs", "greater than or equal to 1"),
    ("a recipe", "spec.recipe.epochs", "ten", "spec.recipe.epochs", "must be of type integer"),
    ("a recipe", "spec.recipe.seed", 2147483648, "spec.recipe.seed", "less than or equal to 2147483647"),
    ("a recipe", "spec.recipe.optimizer.lr", 0.001, "spec.recipe.optimizer.lr", "must be of type string"),
    ("a recipe", "spec.recipe.optimizer.lr", "1e-3", "spec.recipe.optimizer.lr", DECIMAL),
    ("a recipe", "spec.recipe.optimizer.weightDecay", "-1", "spec.recipe.optimizer.weightDecay", DECIMAL),
    ("a recipe", "spec.recipe.model.dropout", "1.5", "spec.recipe.model.dropout", FRACTION),
    ("a recipe", "spec.recipe.loss", "mse", "", 'unknown field "spec.recipe.loss"'),
    ("a recipe", "spec.data.train.format", "xlsx", "spec.data.train.format", '"parquet"'),
    ("a recipe", "spec.data.train", None, "spec.data.train", "Required value"),
    ("a recipe", "spec.data.train.csv", {"delimiter": "ab"}, "spec.data.train.csv.delimiter", "Too long"),
    ("a recipe", "spec.data.train.csv", {"delimiter": "a"}, "spec.data.train.csv.delimiter", "no letter"),
    ("a recipe", "spec.data.train.csv", {"encoding": "a b"}, "spec.data.train.csv.encoding", "for example utf-8"),
    ("a whole recipe of several labels a row", "spec.data.labelSeparator", "or", "labelSeparator", "without letters"),
    ("a whole recipe of labels in columns", "spec.data.labelColumns", ["red"], "labelColumns", "at least 2 items"),
    ("a recipe", "spec.data.columns", [{"name": "a", "type": "date"}], "spec.data.columns[0].type", '"datetime"'),
    ("a recipe", "spec.data.prepare", [{}], "spec.data.prepare[0]", ONE_OF),
    ("a recipe", "spec.data.prepare", [{"impute": {}, "dropNulls": {}}], "spec.data.prepare[0]", ONE_OF),
    ("a recipe", "spec.data.imageShape", [8], "spec.data.imageShape", "at least 2 items"),
    ("a recipe", "spec.data.label", "", "spec.data.label", "at least 1 chars long"),
    ("a recipe", "spec.workers", 0, "spec.workers", "greater than or equal to 1"),
    ("a recipe", "spec.resources.cpu", "2 cores", "spec.resources.cpu", "for example 500m"),
    ("a recipe", "spec.resources.cpu", -1, "spec.resources.cpu", "greater than or equal to 0"),
    ("a recipe", "spec.resources.pool", "GPU pool", "spec.resources.pool", "lower-case letters"),
    ("a recipe", "spec.resources.topology", "2by4", "spec.resources.topology", "for example 2x4"),
    ("a recipe", "spec.runPolicy.suspend", "later", "spec.runPolicy.suspend", "must be of type boolean"),
    ("a recipe", "spec.runPolicy.activeDeadlineSeconds", 10**9, "DeadlineSeconds", "less than or equal to 315360000"),
    ("an entrypoint", "spec.entrypoint.argv", [], "spec.entrypoint.argv", "at least 1 items"),
    ("an entrypoint", "spec.entrypoint.argv", "python", "spec.entrypoint.argv", "must be of type array"),
    ("an entrypoint", "spec.entrypoint.image", "a b", "spec.entrypoint.image", "an image's reference"),
    ("an entrypoint", "spec.entrypoint.workingDir", {}, "spec.entrypoint.workingDir.configMap", "Required value"),
    ("an entrypoint", "spec.entrypoint.workingDir.configMap", "../x", "workingDir.configMap", "name of a ConfigMap"),
    ("a whole entrypoint", "spec.entrypoint.env.0.name", "A-B", "spec.entrypoint.env[0].name", "does not start with"),
    ("a whole entrypoint", "spec.entrypoint.env.1.secretKeyRef.key", "a/b", "secretKeyRef.key", "letters, digits"),
    ("a compression", "spec.model", {}, "spec.model", ONE_OF),
    ("a compression", "spec.model.trainingJobRef", {"name": "a" * 41}, "spec.model.trainingJobRef.name", "Too long"),
    ("a compression", "spec.candidates", [], "spec.candidates", "at least 1 items"),
    ("a compression", "spec.candidates.0.methods", [{}], "spec.candidates[0].methods[0]", ONE_OF),
    ("a compression", "spec.candidates.0.methods.0.quantize.scheme", "int3", "quantize.scheme", '"static-int8"'),
    ("a compression", "spec.goals.maxQualityLoss", {"value": "1%"}, "spec.goals.maxQualityLoss.value", DECIMAL),
    ("a compression", "spec.goals.maxLatency", {"milliseconds": "1", "percentile": 90}, "percentile", "95"),
    ("a compression", "spec.measure.batchSizes", [], "spec.measure.batchSizes", "at least 1 items"),
    ("a compression", "spec.measure.repeats", 3, "spec.measure.repeats", "greater than or equal to 10"),
    (
        "a deployment",
        "spec.model",
        {"trainingJobRef": {"name": "a"}, "compressionJobRef": {"name": "b"}},
        "spec.model",
        ONE_OF,
    ),
    ("a deployment", "spec.model.storageUri", "gs://b/m", "spec.model.storageUri", ELSEWHERE),
    ("a deployment", "spec.scaling.minReplicas", 0, "spec.scaling.minReplicas", "greater than or equal to 1"),
    ("a deployment", "spec.scaling.metric", "rps", "spec.scaling.metric", '"memory"'),
    ("a whole deployment", "spec.alerts.0.errorRate", None, "spec.alerts[0]", ONE_OF),
    ("a whole deployment", "spec.alerts.0.name", 'x"}) or up{', "spec.alerts[0].name", "lower-case letters"),
    ("a whole deployment", "spec.select.where.quality.min", "95%", "spec.select.where.quality.min", DECIMAL),
    ("a whole deployment", "spec.select.minimize", "cost", "spec.select.minimize", '"Cost"'),
    ("a whole deployment", "spec.replicas", 3, "", 'unknown field "spec.replicas"'),
]

# What several fields say together is checked by the API server alone.
BY_RULE: list[tuple[str, str, Any, str, str]] = [
    ("a recipe", "spec.entrypoint", {"argv": ["x"]}, "spec", "give either recipe (no code) or entrypoint"),
    ("a recipe", "spec.recipe", None, "spec", "give either recipe (no code) or entrypoint"),
    ("an entrypoint", "spec.report", {"mistakes": 5}, "spec", "report is that of a recipe"),
    ("a recipe", "spec.data", None, "spec", "a recipe needs data: set spec.data.train"),
    ("a recipe", "spec.data.validation", None, "spec.data", "give either validation"),
    ("a recipe", "spec.data.validationFraction", "0.2", "spec.data", "give either validation"),
    ("a whole recipe", "spec.data.validationFraction", "0.0", "spec.data", "above 0 and below 1"),
    ("a whole recipe", "spec.data.validationFraction", "1", "spec.data", "above 0 and below 1"),
    ("a whole recipe", "spec.data.testFraction", "0", "spec.data", "above 0 and below 1"),
    ("a whole recipe", "spec.data.testFraction", "0.8", "spec.data", "together must be below 1"),
    ("a whole recipe", "spec.data.test", {"storageUri": "pvc://a/b", "format": "npz"}, "spec.data", "give test"),
    ("a whole recipe", "spec.data.split.column", None, "spec.data.split", "Group and Time need column"),
    ("a whole recipe", "spec.data.split.by", "Row", "spec.data.split", "Row has none"),
    ("a recipe", "spec.data.split", {"by": "Row"}, "spec.data", "set validationFraction or testFraction"),
    ("a recipe", "spec.data.prepare", [{"augment": {}}], "spec", "augment shifts and rotates images: remove it"),
    ("a recipe", "spec.recipe.model.architecture", "cnn", "spec.recipe", "a cnn needs images or texts: choose trees"),
    ("a recipe", "spec.recipe.model.channels", [8], "spec.recipe.model", "channels belong to the cnn"),
    ("a whole recipe", "spec.recipe.model", {"architecture": "linear", "hiddenUnits": [8]}, "model", "no hidden layer"),
    ("a recipe", "spec.recipe.model.dropout", "1", "spec.recipe.model", "dropout must be below 1"),
    (
        "a recipe",
        "spec.recipe.model.architecture",
        "resnet18",
        "spec.recipe",
        "this network needs images: choose one of trees",
    ),
    ("a whole recipe", "spec.recipe.model.architecture", "resnet18", "spec.recipe.model", "this network has its"),
    (
        "a whole recipe of pictures",
        "spec.recipe.model.architecture",
        "cnn",
        "spec.recipe.model",
        "storageUri has weights to start",
    ),
    ("a recipe", "spec.recipe.precision", "bf16", "spec", "bf16 is for GPUs: set spec.resources.accelerators"),
    ("a whole recipe", "spec.data.prepare.4.augment.scale", "1.0", "augment", "scale must be below 1"),
    ("a recipe", "spec.recipe.model.trees", {"rounds": 9}, "spec.recipe.model", "set architecture to trees, or remove"),
    ("a whole recipe", "spec.recipe.model", {"architecture": "trees"}, "spec.recipe", "trees need a table: choose cnn"),
    ("a whole recipe of trees", "spec.recipe.model.dropout", "0.1", "spec.recipe.model", "trees have no layers: leave"),
    (
        "a whole recipe of trees",
        "spec.recipe.model.hiddenUnits",
        [8],
        "spec.recipe.model",
        "trees have no layers: leave",
    ),
    (
        "a whole recipe of trees",
        "spec.recipe.model.trees.learningRate",
        "0.0",
        "model.trees",
        "learningRate must be above 0",
    ),
    ("a whole recipe of trees", "spec.workers", 2, "spec", "trees are grown by one worker: set spec.workers to 1"),
    ("a whole recipe of several labels a row", "spec.data.labelSeparator", None, "spec", "needs to know where a row's"),
    ("a whole recipe of several labels a row", "spec.recipe.primaryMetric", "f1", "spec.recipe", "multi-label"),
    ("a whole recipe of labels in columns", "spec.data.labelSeparator", ";", "spec.data", "give labelSeparator"),
    ("a whole recipe of labels in columns", "spec.recipe.classWeights", "Balanced", "spec.recipe", "weigh whole rows"),
    ("a recipe", "spec.data.labelSeparator", ";", "spec", "are for rows with several labels: remove them"),
    ("a recipe", "spec.recipe.optimizer.lr", "0.000", "spec.recipe.optimizer", "lr must be above 0"),
    ("a recipe", "spec.workers", 65, "spec", "spec.recipe.batchSize is shared by the workers"),
    ("a recipe", "spec.resources.topology", "2x4", "spec.resources", "set accelerators"),
    ("a whole entrypoint", "spec.entrypoint.env.0.value", None, "env[0]", "give either value or secretKeyRef"),
    ("a whole entrypoint", "spec.entrypoint.env.1.value", "x", "env[1]", "give either value or secretKeyRef"),
    ("a whole entrypoint", "spec.entrypoint.env.0.name", "LD_PRELOAD", "env[0]", "belongs to the platform"),
    ("a whole entrypoint", "spec.entrypoint.env.0.name", "RAY_ADDRESS", "env[0]", "belongs to the platform"),
    ("a whole entrypoint", "spec.entrypoint.env.0.name", "KEY", "env[1]", "Duplicate value"),
    ("a compression", "spec.model", {"storageUri": "pvc://a/b"}, "spec", "has no data of its own: set spec.data"),
    ("a compression", "spec.candidates.0.name", "baseline", "spec.candidates[0]", "choose another name"),
    ("a whole compression", "spec.candidates.0.name", "half-int8", "spec.candidates[1]", "Duplicate value"),
    ("a whole compression", "spec.candidates.0.methods.0.prune.sparsity", "0", "prune", "above 0 and below 0.95"),
    ("a whole compression", "spec.candidates.0.methods.0.prune.sparsity", "0.95", "prune", "above 0 and below 0.95"),
    (
        "a compression",
        "spec.candidates.0.methods",
        [{"quantize": {"scheme": "dynamic-int8"}}, {"prune": {"sparsity": "0.5"}}],
        "spec.candidates[0]",
        "quantize ends a candidate: put prune before it",
    ),
    (
        "a compression",
        "spec.candidates.0.methods",
        [{"quantize": {"scheme": "dynamic-int8"}}, {"quantize": {"scheme": "static-int8"}}],
        "spec.candidates[0]",
        "a candidate is quantised once",
    ),
    ("a deployment", "spec.select", {"minimize": "Cost"}, "spec", "set spec.model.compressionJobRef, or"),
    ("a deployment", "spec.scaling.minReplicas", 2, "spec.scaling", "minReplicas must not be above maxReplicas"),
    ("a whole deployment", "spec.select.where.quality.max", "1", "spec.select.where.quality", "give either min"),
    ("a whole deployment", "spec.alerts.0.name", "slow", "spec.alerts[1]", "Duplicate value"),
    ("a recipe", "metadata.name", "a.b", "", "metadata.name: at most 40 lower-case letters"),
    ("a recipe", "metadata.name", "a" * 41, "", "metadata.name: at most 40 lower-case letters"),
]


def _says(refusal: Refusal, field: str, sentence: str) -> bool:
    """Whether one cause names the field and has the sentence."""
    if not field:
        return sentence in refusal.message
    return any(at.endswith(field) and sentence in said for at, said in refusal.causes)


@pytest.mark.parametrize("which", SPECS)
def test_good_objects_are_accepted(api: Api, which: str) -> None:
    accepted = api.verdict(good(which))
    assert not isinstance(accepted, Refusal), accepted.message


@pytest.mark.parametrize(("which", "path", "value", "field", "sentence"), BY_SCHEMA)
def test_the_api_server_and_pydantic_refuse_a_bad_field(
    api: Api, which: str, path: str, value: Any, field: str, sentence: str
) -> None:
    manifest = changed(good(which), path, value)
    refusal = api.verdict(manifest)
    assert isinstance(refusal, Refusal)
    assert _says(refusal, field, sentence), refusal
    with pytest.raises(ValidationError):
        parts(MODELS[manifest["kind"]])[0].model_validate(manifest["spec"])


@pytest.mark.parametrize(("which", "path", "value", "field", "sentence"), BY_RULE)
def test_the_api_server_refuses_fields_that_contradict_each_other(
    api: Api, which: str, path: str, value: Any, field: str, sentence: str
) -> None:
    refusal = api.verdict(changed(good(which), path, value))
    assert isinstance(refusal, Refusal)
    assert _says(refusal, field, sentence), refusal


CORRECTIONS: list[tuple[str, str, Any, str]] = [
    ("a recipe", "spec.recipe.epochs", 11, f"spec.recipe {FIXED}"),
    ("a recipe", "spec.data.train.storageUri", "pvc://claim/other", f"spec.data {FIXED}"),
    ("a recipe", "spec.workers", 2, f"spec.workers {FIXED}"),
    ("a recipe", "spec.resources.cpu", "2", f"spec.resources {FIXED}"),
    ("a recipe", "spec.resources.pool", "other", f"spec.resources {FIXED}"),
    ("a recipe", "spec.checkpoint.keep", 3, f"spec.checkpoint {FIXED}"),
    ("a recipe", "spec.output.storageUri", "pvc://claim/other", f"spec.output {FIXED}"),
    ("an entrypoint", "spec.entrypoint.argv.1", "other.py", f"spec.entrypoint {FIXED}"),
    ("a recipe", "spec.report", {"mistakes": 5}, f"spec.report {FIXED}"),
    ("a whole entrypoint", "spec.data", None, f"spec.data {FIXED}"),
    ("a compression", "spec.candidates.0.name", "other", f"spec.candidates {FIXED}"),
    ("a compression", "spec.model.trainingJobRef", {"name": "other"}, f"spec.model {FIXED}"),
    ("a compression", "spec.measure.repeats", 100, f"spec.measure.repeats {FIXED}"),
    ("a compression", "spec.measure.resources.memory", "3Gi", f"spec.measure.resources {FIXED}"),
    ("a compression", "spec.goals.maxSizeBytes", 5, f"spec.goals {FIXED}"),
]


@pytest.mark.parametrize(("which", "path", "value", "sentence"), CORRECTIONS)
def test_a_job_can_be_corrected_until_its_first_attempt_started(
    api: Api, which: str, path: str, value: Any, sentence: str
) -> None:
    stored = api.create(good(which, name=f"job-{abs(hash((path, which))) % 10**9}"))
    corrected = api.store(changed(stored, path, value))
    assert not isinstance(corrected, Refusal), corrected.message
    again = api.store(changed(corrected, "spec", stored["spec"]))
    assert not isinstance(again, Refusal), again.message
    started = _started(api, again)
    refusal = api.update(changed(started, path, value))
    assert isinstance(refusal, Refusal)
    assert sentence in refusal.message
    assert f"delete this {stored['kind']} and create it again" in refusal.message
    # What it advises is possible.
    api.delete(stored)
    api.create(changed(good(which, name=stored["metadata"]["name"]), path, value))


def _started(api: Api, stored: dict[str, Any]) -> dict[str, Any]:
    """The object once its first attempt has started."""
    started = api.write_status(stored | {"status": {"attempt": attempt()}})
    assert not isinstance(started, Refusal), started.message
    return started


QUANTITIES: list[tuple[str, Any, Any]] = [
    ("cpu", "0.5", "500m"),
    ("cpu", 1, "1000m"),
    ("cpu", ".5", "0.50"),
    ("cpu", "1.", 1),
    ("memory", "2048Mi", "2Gi"),
]


@pytest.mark.parametrize(("field", "given", "same"), QUANTITIES)
def test_a_quantity_that_is_written_in_another_way_is_no_change(api: Api, field: str, given: Any, same: Any) -> None:
    """kubectl, kustomize and Argo CD write quantities each in their own way."""
    path = f"spec.resources.{field}"
    started = _started(
        api, api.create(changed(good("a recipe", name=f"q-{abs(hash(str(given))) % 10**9}"), path, given))
    )
    written = api.update(changed(started, path, same))
    assert not isinstance(written, Refusal), written.message


@pytest.mark.parametrize(
    ("which", "path", "value"),
    [
        ("a recipe", "spec.runPolicy.suspend", True),
        ("a recipe", "spec.runPolicy.activeDeadlineSeconds", 5),
        ("a compression", "spec.runPolicy.retries.errors", 5),
        ("a deployment", "spec.model.storageUri", "pvc://claim/other.onnx"),
        ("a deployment", "spec.scaling.maxReplicas", 5),
        ("a recipe", "metadata.labels", {"team": "a"}),
    ],
)
def test_how_it_runs_can_be_changed(api: Api, which: str, path: str, value: Any) -> None:
    stored = api.create(good(which, name=f"run-{abs(hash((path, which))) % 10**9}"))
    accepted = api.update(changed(stored, path, value))
    assert not isinstance(accepted, Refusal), accepted
