"""Every field that a message names exists: in a definition, or in the operator's configuration."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tradewind.api.config import Config

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = (
    "operator/src/tradewind",
    "images/processors/tradewind_processors",
    "images/workload/tradewind_workload",
    "images/server/tradewind_server",
)
# Fields of the spec of an object, which a message may also name without `spec.` before them.
_FIELD = re.compile(
    r"(?<![\w.{])(?:spec\.)?(?P<path>(?:recipe|data|entrypoint|output|resources|podMetadata|runPolicy|checkpoint|model"
    r"|candidates|goals|measure|select|scaling|limits|alerts|workers|images|networkPolicy|pools|reporting)"
    r"(?:\.[a-z][A-Za-z]*)+)(?![A-Za-z(])"
)
# A flag of a command; a variable of a style sheet is none: `var(--ink)`, `--ink: #123`.
_FLAG = re.compile(r"(?<![\w(-])--[a-z][a-z_-]+(?![\w-]*:)")
# Files of a model's folder, and expressions of Kubernetes and of CEL, which look like fields.
_OTHERS = frozenset({"model.onnx", "model.json", "model.safetensors", "model.trt", "model.pt"})


def strings(source: Path) -> Iterator[str]:
    """The texts of a program's strings, with {} for what is filled in; docstrings are not shown to anybody."""
    tree = ast.parse(source.read_text())
    documentation = {
        id(statement.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for statement in node.body[:1]
        if isinstance(statement, ast.Expr)
    }
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation | parts:
            yield node.value


def _messages() -> list[tuple[str, str]]:
    """Every text that reads like a sentence or names a field of a spec, with its file."""
    found = []
    for folder in SOURCES:
        for source in sorted((ROOT / folder).rglob("*.py")):
            if "generate" in source.parts:
                continue
            found += [
                (str(source.relative_to(ROOT)), text)
                for text in strings(source)
                if " " in text.strip() or text.startswith("spec.")
            ]
    return found


def _specs() -> list[dict[str, Any]]:
    crds = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml"))]
    schemas = [crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for crd in crds]
    return [schema["properties"]["spec"] for schema in schemas] + [_inlined(Config.model_json_schema())]


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without references."""

    def put(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return put(schema["$defs"][node["$ref"].rsplit("/", 1)[-1]])
            return {key: put(value) for key, value in node.items() if key != "$defs"}
        return [put(value) for value in node] if isinstance(node, list) else node

    inlined: dict[str, Any] = put(schema)
    return inlined


def exists(path: str, schema: dict[str, Any]) -> bool:
    """Whether a schema has a field of that path; a list's is that of its items."""
    schema = schema.get("items", schema)
    name, _, rest = path.partition(".")
    found = (schema.get("properties") or {}).get(name)
    return found is not None and (not rest or exists(rest, found))


@pytest.mark.parametrize("path", ["spec.memoryPerWorker", "resources.memoryPerWorker", "data.train.url"])
def test_a_field_that_is_not_there_is_found(path: str) -> None:
    assert not any(exists(path.removeprefix("spec."), spec) for spec in _specs())


def test_every_field_that_a_message_names_exists() -> None:
    specs, named, wrong = _specs(), set(), []
    for file, text in _messages():
        for match in _FIELD.finditer(re.sub(r"\[[^\]]*\]", "", text)):
            path = match["path"]
            if path in _OTHERS:
                continue
            named.add(path)
            if not any(exists(path, spec) for spec in specs):
                wrong.append(f"{file}: {path}: {text[:200]}")
    assert not wrong, "\n".join(wrong)
    assert {"resources.pool", "recipe.batchSize", "networkPolicy.kuberayNamespace", "model.storageUri"} <= named


def test_no_message_of_the_images_names_a_flag() -> None:
    """Users write objects; the commands in our pods are made by operators."""
    wrong = [
        f"{file}: {text[:200]}"
        for file, text in _messages()
        if file.startswith("images/") and not file.endswith("__main__.py") and _FLAG.search(text)
    ]
    assert not wrong, "\n".join(wrong)
