"""The file that `kubectl apply` takes, read as the API server reads it; what has no meaning here is passed over."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from tradewind.api.compressionjob import CompressionJob
from tradewind.api.modeldeployment import ModelDeployment
from tradewind.api.trainingjob import TrainingJob
from tradewind_cli.cel import broken

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

GROUP = "tradewind.dev"
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
Object = TrainingJob | CompressionJob | ModelDeployment
_KINDS: tuple[type[Object], ...] = (
    TrainingJob,
    CompressionJob,
    ModelDeployment,
)


class BadManifest(Exception):
    """What is wrong with the file, and where."""


@dataclass(frozen=True)
class Manifests:
    """The objects of a file, each kind in the order of the file."""

    trainings: tuple[TrainingJob, ...] = ()
    compressions: tuple[CompressionJob, ...] = ()
    deployments: tuple[ModelDeployment, ...] = ()
    jobs: tuple[Mapping[str, Any], ...] = ()  # of batch/v1
    others: tuple[str, ...] = ()  # kind and name of what has no meaning here


def read(path: Path) -> Manifests:
    """The objects of a file. Raises BadManifest in a sentence that names object, field and remedy."""
    try:
        documents = [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]
    except OSError as error:
        raise BadManifest(f"{path} can't be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadManifest(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
    except RecursionError:
        raise BadManifest(f"{path} is not YAML of Kubernetes: it is nested too deeply.") from None
    found: dict[str, list[Any]] = {}
    jobs, others = [], []
    for body in _objects(documents, path):
        group = str(body.get("apiVersion", "")).partition("/")[0]
        if group == GROUP:
            item = _read(body, path)
            if any(_same(item, other) for other in found.get(item.kind, ())):
                raise BadManifest(f"{path} has the {item.kind} {item.metadata.name} twice: remove one of the two.")
            found.setdefault(item.kind, []).append(item)
        elif (group, body["kind"]) == ("batch", "Job"):
            jobs.append(_job(body, path))
        else:
            others.append(f"{body['kind']} {_name(body)}")
    if not found:
        raise BadManifest(f"{path} has no TrainingJob, CompressionJob or ModelDeployment: there is nothing to run.")
    trainings, compressions, deployments = (tuple(found.get(kind.kind, ())) for kind in _KINDS)
    return Manifests(trainings, compressions, deployments, tuple(jobs), tuple(others))


def _job(body: dict[str, Any], path: Path) -> dict[str, Any]:
    """A Job with a name and containers. Raises BadManifest where it has none."""
    if not _name(body):
        raise BadManifest(f"{path}: a Job has no metadata.name.")
    pod: Any = body
    for field in ("spec", "template", "spec"):
        pod = pod.get(field) if isinstance(pod, dict) else None
    containers = pod.get("containers") if isinstance(pod, dict) else None
    if not isinstance(containers, list) or not all(isinstance(one, dict) and one.get("name") for one in containers):
        raise BadManifest(
            f"{path}, Job {_name(body)}: spec.template.spec.containers is no list of containers with names."
        )
    return body


def _objects(documents: list[Any], path: Path) -> Iterator[dict[str, Any]]:
    for number, document in enumerate(documents, 1):
        if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
            raise BadManifest(f"document {number} of {path} has no kind: it is no object of Kubernetes.")
        if document["kind"] == "List":
            items = document.get("items") or []
            if not isinstance(items, list):
                raise BadManifest(f"document {number} of {path} is a List whose items are no list.")
            yield from _objects(items, path)
        else:
            yield document


def _same(one: Any, other: Any) -> bool:
    """Whether the API server would take the two for one object."""
    return (one.metadata.namespace, one.metadata.name) == (other.metadata.namespace, other.metadata.name)


def _name(body: Mapping[str, Any]) -> str:
    metadata = body.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def _read(body: dict[str, Any], path: Path) -> Object:
    kind = next((kind for kind in _KINDS if kind.kind == body["kind"]), None)
    if kind is None or body["apiVersion"] != f"{GROUP}/v1alpha1":
        raise BadManifest(f"{path}: this version does not know {body['apiVersion']} {body['kind']}.")
    where = f"{path}, {kind.kind} {_name(body)}"
    metadata = body.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        raise BadManifest(f"{path}: a {kind.kind} has no metadata.name.")
    namespace = metadata.get("namespace") or "default"
    if not isinstance(namespace, str) or not _NAMESPACE.fullmatch(namespace):
        raise BadManifest(
            f"{where}: metadata.namespace: at most 63 lower-case letters, digits and '-', starting and ending with a "
            "letter or digit."
        )
    if unknown := sorted(body.keys() - {"apiVersion", "kind", "metadata", "spec", "status"}):
        raise BadManifest(f"{where}: the field {unknown[0]} is not known; did it lose its indentation?")
    item = _parsed(kind, {"metadata": {"uid": "", **metadata, "namespace": namespace}, "spec": body.get("spec")}, where)
    if wrong := [*broken(item, "")]:
        field, rule = wrong[0]
        raise BadManifest(f"{where}: {f'{field[1:]}: ' if field else ''}{rule.message}.")
    return item


def _parsed(kind: type[Object], content: dict[str, Any], where: str) -> Object:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        said = first["msg"].removeprefix("Value error, ")
        said = f"{said[:1].lower()}{said[1:]}".removesuffix(".")
        if first["type"] == "extra_forbidden":
            said = "this field is not known"
        elif first["type"] == "string_type":
            said = f"it is {type(first['input']).__name__} and not a text: write it in quotes"
        said = _sentences().get(str(first.get("ctx", {}).get("pattern")), said)
        raise BadManifest(f"{where}: {_path(first['loc'])}: {said}.") from None


@cache
def _sentences() -> dict[str, str]:
    """What the API server says of a text that does not have the form of its pattern, by pattern."""
    found: dict[str, str] = {}
    waiting: list[Any] = [kind.model_json_schema() for kind in _KINDS]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("pattern"), str) and "x-message" in part:
                found[part["pattern"]] = part["x-message"]
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return found


def _path(parts: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")
