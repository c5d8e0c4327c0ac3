"""`tradewind run` reads a file as `kubectl apply` does: the same rules, the same sentences."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tradewind_cli import cel, preparing, volumes
from tradewind_cli.manifests import BadManifest, read

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "manifests/examples/digits.yaml"


NAMED = "apiVersion: tradewind.dev/v1alpha1\nkind: TrainingJob\nmetadata: {{name: {}}}"


def digits() -> list[dict[str, Any]]:
    return [body for body in yaml.safe_load_all(DIGITS.read_text()) if body]


def test_the_example_is_read_whole() -> None:
    found = read(DIGITS)
    items = (*found.trainings, *found.compressions, *found.deployments)
    assert [(item.kind, item.metadata.name) for item in items] == [
        ("TrainingJob", "digits"),
        ("CompressionJob", "digits"),
        ("ModelDeployment", "digits"),
    ]
    assert [job["metadata"]["name"] for job in found.jobs] == ["digits-data"]
    assert found.others == ("Namespace digits", "PersistentVolumeClaim digits")


@pytest.mark.parametrize("path", sorted((ROOT / "manifests/examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_read(path: Path) -> None:
    if "tradewind.dev/" in path.read_text():
        read(path)


@pytest.mark.parametrize(
    ("kind", "field", "value", "sentence"),
    [
        ("TrainingJob", "recipe.batchSize", 1, "spec.recipe.batchSize is shared by the workers: it must be at least"),
        ("TrainingJob", "recipe.epoch", 3, "spec.recipe.epoch: this field is not known."),
        ("TrainingJob", "data.label", True, "spec.data.label: it is bool and not a text: write it in quotes."),
        ("TrainingJob", "recipe.epochs", "many", "spec.recipe.epochs: input should be a valid integer"),
        (
            "TrainingJob",
            "recipe.optimizer.lr",
            "0.0",
            "spec.recipe.optimizer: lr must be above 0, for",
        ),
        ("TrainingJob", "recipe.task", "tabular-classification", "augment shifts and rotates images: remove it"),
        ("TrainingJob", "output.storageUri", "s3://there", "spec.output.storageUri: write pvc://<claim>/<path>: a"),
        ("TrainingJob", "data.validationFraction", "0.1", "spec.data: give either validation (a data set of its own)"),
        ("CompressionJob", "candidates.0.name", "baseline", "spec.candidates[0]: the uncompressed model is always"),
        ("CompressionJob", "candidates.2.methods.0.prune.sparsity", "0.99", "prune: sparsity is the share of channels"),
        ("ModelDeployment", "scaling.minReplicas", 3, "spec.scaling: minReplicas must not be above maxReplicas."),
        ("ModelDeployment", "model", {"storageUri": "pvc://a/b"}, "spec: select chooses among the variants of a"),
    ],
)
def test_what_the_api_server_refuses_is_refused(
    tmp_path: Path, kind: str, field: str, value: Any, sentence: str
) -> None:
    bodies = digits()
    (body,) = (body for body in bodies if body["kind"] == kind)
    part, *inner = body["spec"], *field.split(".")
    for name in inner[:-1]:
        part = part[int(name) if name.isdigit() else name]
    part[inner[-1]] = value
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump_all(bodies))
    with pytest.raises(BadManifest) as caught:
        read(file)
    assert f"{kind} digits: " in str(caught.value)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kind: [", "is not YAML"),
        ("[" * 5000 + "]" * 5000, "is nested too deeply"),
        (NAMED.format("a, namespace: ../../x"), "TrainingJob a: metadata.namespace: at most 63 lower-case letters"),
        (NAMED.format("a, namespace: 5"), "TrainingJob a: metadata.namespace: at most 63 lower-case letters"),
        ("kind: ConfigMap\nmetadata: {name: x}", "has no TrainingJob, CompressionJob or ModelDeployment"),
        ("- 1", "document 1 of"),
        ("apiVersion: tradewind.dev/v1\nkind: TrainingJob", "does not know tradewind.dev/v1 TrainingJob"),
        ("apiVersion: tradewind.dev/v1alpha1\nkind: TrainingJob", "has no metadata.name"),
        ("apiVersion: tradewind.dev/v1alpha1\nkind: TrainingJob\nmetadata: {name: Großes}", "TrainingJob Großes"),
    ],
)
def test_what_is_no_manifest(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(text)
    with pytest.raises(BadManifest, match=sentence):
        read(file)


def test_an_object_twice(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump_all([*digits(), digits()[2]]))
    with pytest.raises(BadManifest, match="has the TrainingJob digits twice"):
        read(file)


def rules() -> list[str]:
    """Every rule of the definitions that looks at an object alone."""
    found: list[str] = []
    waiting: list[Any] = [yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml")]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            found += [rule["rule"] for rule in part.get("x-kubernetes-validations", ())]
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return sorted({rule for rule in found if "oldSelf" not in rule})


@pytest.mark.parametrize(
    ("rule", "content", "holds"),
    [
        ("has(self.a) != has(self.b)", {"a": 1}, True),
        ("!has(self.a) || self.a == 'x'", {"a": "y"}, False),
        ("self.all(k, k.size() < 3) && self.exists(k, k == 'a')", ["a", "bb"], True),
        ("[has(self.a), has(self.b)].exists_one(given, given)", {"a": 1, "b": 2}, False),
        ("!(self.name in ['PATH', 'HOME']) && !self.name.startsWith('RAY_')", {"name": "PATH"}, False),
        ("self.matches(r'^[a-z]([-a-z]*[a-z])?$')", "a-b", True),
        ("double(self.a) + double(self.b) < 1.0", {"a": "0.5", "b": "0.5"}, False),
        ("self.methods[self.methods.size() - 1] == '!= && ||'", {"methods": ["", "!= && ||"]}, True),
        ("self.methods.filter(m, has(m.quantize)).size() <= 1", {"methods": [{"quantize": 1}, {}]}, True),
    ],
)
def test_cel(rule: str, content: Any, holds: bool) -> None:
    assert cel.holds(rule, content) is holds


@pytest.mark.parametrize("rule", rules())
def test_every_rule_can_be_read(rule: str) -> None:
    for node in ast.walk(cel.parsed(rule)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
            assert name in {"has", *cel.FUNCTIONS, *cel.METHODS, *cel.MACROS}
        elif isinstance(node, ast.expr):
            assert isinstance(node, cel.EXPRESSIONS)


def test_a_job_writes_into_the_folder_of_its_claim(tmp_path: Path) -> None:
    (job,) = read(DIGITS).jobs
    (program,) = preparing.programs(job, tmp_path)
    assert f'folder = "{tmp_path}/digits/data"' in program.argv[-1]
    assert "/mnt/pvc" not in program.argv[-1]
    del job["spec"]["template"]["spec"]["containers"][0]["command"]
    with pytest.raises(BadManifest, match="has no command, so its image"):
        list(preparing.programs(job, tmp_path))


def test_a_job_that_fails_here_says_where_its_data_goes_by_hand(tmp_path: Path) -> None:
    """The other examples read a table of their image's."""
    (job,) = read(ROOT / "manifests/examples/heart.yaml").jobs
    with pytest.raises(BadManifest) as refused:
        preparing.prepare(job, tmp_path)
    assert str(refused.value) == (
        "Job heart-data: its program ended with exit code 1; what it printed says why. It is written for the image "
        "tradewind/examples:dev, whose files are not here: where it lacks one of them, put the data that it makes into "
        f"{tmp_path}/heart yourself, and leave --prepare out."
    )


def test_the_extra_has_what_the_images_have_without_ray() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    images = {need for name in ("workload", "server") for need in groups[name] if not need.startswith("ray")}
    besides = {need for need in project["project"]["optional-dependencies"]["run"] if need not in images}
    assert {need.partition(">")[0] for need in besides} == {"rich"}
    newest = {need for need in images if need.startswith("pydantic")}
    assert images - newest <= set(project["project"]["optional-dependencies"]["run"])


def test_one_run_at_a_time_works_on_an_output_folder(tmp_path: Path) -> None:
    with (
        volumes.alone(tmp_path, "pvc://claim/model"),
        volumes.alone(tmp_path, "pvc://claim/other"),
        pytest.raises(BadManifest, match="another tradewind run works on pvc://claim/model in"),
        volumes.alone(tmp_path, "pvc://claim/model"),
    ):
        pass
    with volumes.alone(tmp_path, "pvc://claim/model"):
        pass


def test_a_job_is_another_one_when_a_file_that_it_reads_changes(tmp_path: Path) -> None:
    spec = {
        "recipe": {"model": {"storageUri": "pvc://weights/small"}},
        "data": {"train": {"storageUri": "pvc://claim/train.csv"}},
        "output": {"storageUri": "pvc://claim/model"},
    }
    for name in ("weights/small/model.safetensors", "claim/train.csv", "claim/model/current.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    before = volumes.state(tmp_path, spec)
    (tmp_path / "claim/model/current.json").write_text("after")
    assert volumes.state(tmp_path, spec) == before
    for name in ("weights/small/model.safetensors", "claim/train.csv"):
        (tmp_path / name).write_text("after")
        assert volumes.state(tmp_path, spec) != before
        (tmp_path / name).write_text("before")


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"apiVersion": "batch/v1", "kind": "Job"}, "a Job has no metadata.name."),
        ({"apiVersion": "batch/v1", "kind": "Job", "metadata": ["a"]}, "a Job has no metadata.name."),
        ({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}}, "Job a: spec.template.spec.containers"),
        (
            {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": {"template": {"spec": 5}}},
            "Job a: spec.template.spec.containers is no list of containers with names.",
        ),
        ({"apiVersion": "v1", "kind": "List", "items": 5}, "is a List whose items are no list."),
    ],
)
def test_objects_beside_ours_without_their_parts_are_named(
    document: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(yaml.safe_dump_all([document, *digits()]))
    with pytest.raises(BadManifest) as refused:
        read(file)
    assert sentence in str(refused.value)
