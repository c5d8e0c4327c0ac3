"""Which leaves of a plan are owned, on sets of fields as the API server writes them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core import covers
from tradewind.core.plan import Child, Resource

RAY_JOB = Resource("ray.io", "v1", "RayJob", "rayjobs")
BODY = {
    "metadata": {"labels": {"app": "digits"}},
    "spec": {
        "replicas": 2,
        "empty": {},
        "list": [1, 2],
        "ports": [{"containerPort": 80, "name": "http"}, {"containerPort": 81, "protocol": "UDP"}],
        "set": ["a", "b"],
        "env": [{"name": "A", "value": "1"}],
        "gone": None,
    },
}
FIELDS: dict[str, Any] = {
    "f:metadata": {"f:labels": {"f:app": {}}, "f:ownerReferences": {'k:{"uid":"1"}': {}}},
    "f:spec": {
        "f:replicas": {},
        "f:empty": {},
        "f:list": {},
        "f:ports": {
            'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}, "f:name": {}},
            'k:{"containerPort":81,"protocol":"UDP"}': {".": {}, "f:containerPort": {}, "f:protocol": {}},
        },
        "f:set": {'v:"a"': {}, 'v:"b"': {}},
        "f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}},
    },
}


def _live(fields: dict[str, Any], **entry: str) -> dict[str, Any]:
    ours = {"manager": "tradewind", "operation": "Apply", "fieldsV1": fields} | entry
    other = {"manager": "kuberay", "operation": "Update", "fieldsV1": {"f:spec": {"f:other": {}}}}
    return {"metadata": {"managedFields": [other, ours]}}


def test_a_plan_whose_every_leaf_is_owned_has_no_unowned_leaf() -> None:
    assert covers.unowned(covers.owned_fields(_live(FIELDS)), BODY) is None


LOSSES = [
    (["f:metadata", "f:labels"], ".metadata"),
    (["f:spec", "f:replicas"], ".spec.replicas"),
    (["f:spec", "f:empty"], ".spec.empty"),
    (["f:spec", "f:list"], ".spec.list"),
    (["f:spec", "f:ports", 'k:{"containerPort":81,"protocol":"UDP"}'], ".spec.ports[1]"),
    (["f:spec", "f:ports", 'k:{"containerPort":80,"protocol":"TCP"}', "f:name"], ".spec.ports[0].name"),
    (["f:spec", "f:set", 'v:"b"'], ".spec.set[1]"),
    (["f:spec", "f:env", 'k:{"name":"A"}', "f:value"], ".spec.env[0].value"),
]


@pytest.mark.parametrize(("lost", "path"), LOSSES)
def test_a_leaf_that_someone_else_took_is_named(lost: list[str], path: str) -> None:
    fields = copy.deepcopy(FIELDS)
    parent = fields
    for step in lost[:-1]:
        parent = parent[step]
    del parent[lost[-1]]
    assert covers.unowned(covers.owned_fields(_live(fields)), BODY) == path


def test_only_what_we_set_ourselves_counts() -> None:
    for entry in ({"manager": "kubectl"}, {"manager": "kubectl", "operation": "Update"}, {"subresource": "status"}):
        assert covers.owned_fields(_live(FIELDS, **entry)) == {}
    assert covers.unowned({}, BODY) == "."
    assert covers.owned_fields({"metadata": {}}) == {}


def test_a_child_that_was_created_is_ours_until_an_apply_says_what_is() -> None:
    created, applied = _live(FIELDS, operation="Update"), _live({"f:spec": {"f:a": {}}})
    assert covers.owned_fields(created) == covers.owned_fields(_live(FIELDS))
    both = {"metadata": {"managedFields": [one["metadata"]["managedFields"][-1] for one in (created, applied)]}}
    assert covers.owned_fields(both) == {"f:spec": {"f:a": {}}}


def test_equal_plans_share_a_set_of_fields_whatever_their_owner() -> None:
    other = copy.deepcopy(FIELDS)
    other["f:metadata"]["f:ownerReferences"] = {'k:{"uid":"2"}': {}}
    assert covers.owned_fields(_live(other)) == covers.owned_fields(_live(FIELDS))


def test_a_digest_follows_the_body_and_the_version() -> None:
    child = Child(RAY_JOB, "a", {"spec": {"a": 1, "b": 2}})
    assert covers.digest(child) == covers.digest(Child(RAY_JOB, "b", {"spec": {"b": 2, "a": 1}}))
    assert covers.digest(child) != covers.digest(Child(RAY_JOB, "a", {"spec": {"a": 1, "b": 3}}))
    newer = Resource("ray.io", "v2", "RayJob", "rayjobs")
    assert covers.digest(child) != covers.digest(Child(newer, "a", child.body))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


def _fields(value: Any) -> dict[str, Any]:
    """The set of fields of a value in which maps are granular and lists are atomic."""
    if isinstance(value, dict):
        return {f"f:{key}": _fields(item) for key, item in value.items() if item is not None}
    return {}


@given(st.dictionaries(st.text(max_size=4), JSON, min_size=1))
def test_any_body_is_owned_by_its_own_set(body: dict[str, Any]) -> None:
    fields = _fields(body)
    assert not fields or covers.unowned(fields, body) is None


@given(JSON, st.dictionaries(st.sampled_from(["f:a", "k:{}", 'v:"x"', "i:0", "."]), st.just({"f:b": {}})))
def test_no_set_and_body_make_it_fail(body: Any, fields: dict[str, Any]) -> None:
    covers.unowned(fields, body)
