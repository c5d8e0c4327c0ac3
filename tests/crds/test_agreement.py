"""The API server and pydantic say the same of an object: verdicts, defaults, and what a status may have."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from tests.crds.conftest import Api, Refusal
from tests.crds.objects import SPECS, Manifest, changed, good
from tradewind.generate.crd import KINDS, definition, parts
from tradewind.generate.schema import INT_OR_STRING, RULES, Schema

MODELS = {kind.kind: kind for kind in KINDS}
DEFINITIONS = {kind.kind: definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for kind in KINDS}

# Values that some field or other takes for good, and that most must not.
VALUES: list[Any] = [
    *("", "a", "A", "0", "1", "0.5", "1.0", "-1", "1e3", " 1", "1 ", "NaN", "Infinity", ".5", "5.", "0x10", "1_000"),
    *(
        "٣",
        "true",
        "cpu",
        "sgd",
        "csv",
        "2x4",
        "500m",
        "1Gi",
        "1.5Gi",
        "pvc://a",
        "pvc://a/b",
        "pvc://a//b",
        "s3://a/b",
    ),
    *("a" * 41, "a" * 64, "a" * 600, "é", "a\n", "a\x00b", "-a", "a-", "_", "$(id)", "'; drop"),
    *(-1, 0, 1, 2, 50, 95, 64, 10**6, 2**31, 2**53, -(2**31)),
    *(0.5, True, False),
    *([], {}, ["a"], [1], [{}], {"a": 1}, {"name": "a"}, [["a"]], ["a"] * 70, {"storageUri": "pvc://a/b"}),
]


def _paths(value: Any, path: str = "") -> list[str]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, entry in entries for found in _paths(entry, f"{path}.{key}"))] if path else []


def _spec_paths(which: str) -> list[str]:
    return [path for path in _paths(good(which)["spec"], "spec") if path != "spec"]


def _spec_model(kind: str) -> type[BaseModel]:
    return parts(MODELS[kind])[0]


def _sentences(schema: Schema) -> set[str]:
    """What the rules on several fields say; pydantic does not know them. The one of a OneOf, it does."""
    found: set[str] = set()
    if schema.get("type") == "object":
        said = {rule["message"] for rule in schema.get(RULES, [])}
        found |= {message for message in said if not message.startswith("give exactly one")}
    for field in (*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])):
        found |= _sentences(field)
    return found


MUTATIONS = st.sampled_from(list(SPECS)).flatmap(
    lambda which: st.tuples(
        st.just(which),
        st.sampled_from(_spec_paths(which)),
        st.one_of(st.sampled_from(VALUES), st.none()),
    )
)


@settings(
    max_examples=1500,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(mutation=MUTATIONS)
def test_one_changed_field_gets_one_verdict(api: Api, mutation: tuple[str, str, Any]) -> None:
    which, path, value = mutation
    manifest = changed(good(which), path, value)
    answer = api.verdict(manifest)
    try:
        _spec_model(manifest["kind"]).model_validate(manifest["spec"])
    except ValidationError as error:
        assert isinstance(answer, Refusal), error
        return
    if isinstance(answer, Refusal):
        # Only the API server knows the rules on several fields, and it takes no text for a number or a truth value.
        stricter = {*_sentences(DEFINITIONS[manifest["kind"]]), "Duplicate value", "must be of type"}
        assert any(part in said for _, said in answer.causes for part in stricter), answer


@pytest.mark.parametrize("which", SPECS)
def test_the_api_server_fills_in_what_pydantic_does(api: Api, which: str) -> None:
    manifest = good(which)
    stored = api.verdict(manifest)
    assert not isinstance(stored, Refusal)
    model = _spec_model(manifest["kind"])
    spec = model.model_validate(manifest["spec"])
    assert model.model_validate(stored["spec"]) == spec
    assert _filled(stored["spec"]) == _filled(spec.model_dump(mode="json", by_alias=True))


def _filled(value: Any) -> Any:
    """Without what is empty, which the API server leaves out; a quantity may be a number there."""
    if isinstance(value, dict):
        entries = {key: _filled(entry) for key, entry in value.items()}
        return {key: entry for key, entry in entries.items() if entry not in (None, [], {})}
    if isinstance(value, list):
        return [_filled(entry) for entry in value]
    return str(value) if isinstance(value, int) else value


def _sample(schema: Schema) -> Any:
    """A value with every field that the schema has."""
    if "enum" in schema:
        return schema["enum"][-1]
    if schema.get(INT_OR_STRING):
        return "1"
    match schema["type"]:
        case "object" if "additionalProperties" in schema:
            return {"a": _sample(schema["additionalProperties"])}
        case "object":
            return {name: _sample(field) for name, field in schema.get("properties", {}).items()}
        case "array":
            return [_sample(schema["items"])]
        case "integer":
            return schema.get("minimum", 7)
        case "boolean":
            return True
    if schema.get("format") == "date-time":
        return "2026-11-25T12:00:00Z"
    return next(
        text
        for text in ("True", "sha256:" + "0" * 64, "pvc://claim/path", "0.5")
        if re.search(schema.get("pattern", ""), text)
    )


@pytest.mark.parametrize("which", ["a recipe", "a compression", "a deployment"])
def test_every_field_of_a_status_is_kept(api: Api, which: str) -> None:
    manifest = good(which, name="with-status")
    status = _sample(DEFINITIONS[manifest["kind"]]["properties"]["status"])
    stored = api.create(manifest)
    stored["status"] = status
    written = api.write_status(stored)
    assert not isinstance(written, Refusal), written
    assert written["status"] == status
    kind = MODELS[manifest["kind"]]
    assert kind.read_object(written).status.model_dump(mode="json", by_alias=True) == status
    text = api.server.kubectl("get", kind.plural, "with-status", "-o", "wide")
    assert [column.name.upper() for column in kind.columns] == text.splitlines()[0].split()[1:]


def _fields(schema: Schema, path: str) -> list[tuple[str, Manifest]]:
    inner = [(f"{path}.{name}", field) for name, field in schema.get("properties", {}).items()]
    if "items" in schema:
        inner.append((f"{path}[]", schema["items"]))
    return [(path, schema), *(found for at, field in inner for found in _fields(field, at))]


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_what_a_user_writes_is_described_and_bounded(kind: str) -> None:
    for path, field in _fields(DEFINITIONS[kind]["properties"]["spec"], "spec"):
        assert field.get("description") or path.endswith("[]"), f"{path} has no description"
        if field.get("type") == "array":
            assert "maxItems" in field, f"{path} has no end"
        if field.get("type") == "string":
            assert "maxLength" in field or "enum" in field, f"{path} has no end"
        for rule in field.get(RULES, []):
            assert not rule["message"].startswith("must match"), f"{path}: its pattern needs a sentence"


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_each_kind_is_found_by_short_name_and_category(api: Api, kind: str) -> None:
    assert "error" not in api.server.kubectl("get", "tradewind", "-n", "default")
    api.server.kubectl("get", MODELS[kind].short_name, "-n", "default")
