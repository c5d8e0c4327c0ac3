"""Of any object, the API server and pydantic say the same; what both take, the planners can plan."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.apiserver.cluster import Cluster
from tests.schema.leaves import SPECS, Leaf, Schema, leaves, placed
from tests.schema.strategies import OUTRAGEOUS, objects
from tests.schema.verdict import Manifest, Refused, created, manifest
from tests.schema.worlds import SITUATIONS, specs, world
from tradewind.generate.crd import KINDS, parts
from tradewind.generate.schema import RULES

MODELS = {kind.kind: parts(kind)[0] for kind in KINDS}


def _sentences(schema: Schema) -> set[str]:
    """What the rules on several fields say, of which pydantic knows only the choices."""
    said = {rule["message"] for rule in schema.get(RULES, ())} if schema.get("type") == "object" else set()
    found = {sentence for sentence in said if not sentence.startswith("give exactly one")}
    for field in (*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else ())):
        found |= _sentences(field)
    return found


# Where the API server alone refuses: rules on several fields, lists by a key, names, and the type of what pydantic
# would read (it takes "5" for 5).
STRICTER = {
    *("Duplicate value", "must be of type", "metadata.name: "),
    *(sentence for schema in SPECS.values() for sentence in _sentences(schema)),
}


def agree(cluster: Cluster, made: Manifest) -> None:
    """Ask both, and plan what they take."""
    kind = made["kind"]
    answer = created(cluster, made, dry_run=True)
    if not isinstance(answer, Refused):
        MODELS[kind].model_validate(answer["spec"])
        for happens in SITUATIONS[kind]:
            happens(world(kind, answer["spec"]))
        return
    assert answer.message
    if any(part in sentence for part in STRICTER for sentence in answer.sentences):
        return
    try:
        MODELS[kind].model_validate(made["spec"])
    except ValidationError:
        return
    raise AssertionError(f"pydantic reads what the API server refuses: {answer.message}")


_ANY: dict[str, Any] = {"max_examples": 300, "deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(**_ANY)
@given(made=objects())
def test_of_any_object_they_say_the_same(cluster: Cluster, made: Manifest) -> None:
    agree(cluster, made)


LEAVES = [(leaf, spec) for kind in SPECS for leaf in leaves(kind) for spec in specs(kind)]


@settings(**_ANY)
@given(where=st.sampled_from(LEAVES), value=st.sampled_from(OUTRAGEOUS))
def test_of_any_value_of_a_leaf_they_say_the_same(cluster: Cluster, where: tuple[Leaf, Manifest], value: Any) -> None:
    leaf, spec = where
    agree(cluster, manifest(leaf.kind, "a", placed(spec, leaf, value)))
