"""Objects of our kinds as Hypothesis makes them from the schema: many good, many not, some hostile."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

from tests.crds.objects import SPECS as EXAMPLES
from tests.property.test_hostile_text import HOSTILE
from tests.schema.leaves import SPECS, Schema, Way, choices, fits, pattern, values
from tradewind.api import API_VERSION
from tradewind.generate.schema import INT_OR_STRING

Draw = Any
Manifest = dict[str, Any]

OUTRAGEOUS: list[Any] = [
    *("", " ", "a" * 41, "a" * 64, "a" * 600, "A\n", "-a", "1e3", "NaN", ".5", "٣", "0x10", "1_000", "5"),
    *("0", "0.0", "1.0", "999999999999", "999999999999.999999999999", "9999999999Ti", "0.000000001", "1G", "1Zi"),
    *(-1, 0, 1, 2, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**25),
    *(0.5, 1.0, 1e3, 1e300, -0.0, True, False, None),
    *([], {}, [[]], [None], [0], ["a"], ["a", "a"], [{}], ["a"] * 2000, {"a": {}}, {"name": None}, {"": ""}),
]


def good(schema: Schema) -> st.SearchStrategy[Any]:
    """Values that the schema takes; rules on several fields are left to chance."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get(INT_OR_STRING):
        numbers = st.integers(0, 64)
        return numbers | st.builds(lambda n, unit: f"{n}{unit}", numbers, st.sampled_from(["", "m", "Mi", "Gi", "k"]))
    match schema["type"]:
        case "object" if "additionalProperties" in schema:
            names = st.sampled_from(["team", "cost-center", "sidecar.istio.io/inject"])
            return st.dictionaries(names, st.sampled_from(["a", "false", ""]), max_size=2)
        case "object":
            return _object(schema)
        case "array":
            low = schema.get("minItems", 0)
            return st.lists(good(schema["items"]), min_size=low, max_size=min(low + 2, schema["maxItems"]))
        case "boolean":
            return st.booleans()
        case "integer":
            low, high = schema.get("minimum", 0), schema.get("maximum", 2**63 - 1)
            return st.integers(low, min(high, low + 16)) | st.integers(low, high) | st.just(high)
    form = pattern(schema)
    text = HOSTILE | st.text(max_size=20) if form is None else st.from_regex(form, fullmatch=True)
    return st.sampled_from(values(schema)) | text.filter(lambda made: fits(schema, made))


@st.composite
def _object(draw: Draw, schema: Schema) -> Manifest:
    groups = choices(schema)
    grouped = {name for group in groups for name in group}
    names = {*schema.get("required", ()), *(draw(st.sampled_from(group)) for group in groups)}
    fields = schema.get("properties", {})
    names |= {name for name in fields if name not in grouped and draw(st.integers(0, 2)) == 0}
    return {name: draw(good(field)) for name, field in fields.items() if name in names}


@st.composite
def objects(draw: Draw) -> Manifest:
    """An object: made of nothing or a known one, with up to three of its parts made anew or replaced by anything."""
    if draw(st.booleans()):
        kind, spec = copy.deepcopy(draw(st.sampled_from(list(EXAMPLES.values()))))
    else:
        kind = draw(st.sampled_from(list(SPECS)))
        spec = draw(good(SPECS[kind]))
    for _ in range(draw(st.integers(0, 3))):
        if paths := _paths(spec):
            path = draw(st.sampled_from(paths))
            _replace(draw, spec, path, SPECS[kind])
    metadata: Manifest = {"name": draw(st.sampled_from(["a", "digits", "0", "a.b", "a" * 40, "a" * 41]))}
    if draw(st.integers(0, 3)) == 0:
        metadata["annotations"] = {"note": draw(HOSTILE)}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def _paths(value: Any, path: Way = ()) -> list[Way]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    return found + [below for key, entry in entries for below in _paths(entry, (*path, key))]


def _replace(draw: Draw, spec: Any, path: Way, schema: Schema | None) -> None:
    place = spec
    for number, part in enumerate(path):
        if schema is not None:
            schema = schema.get("items") if isinstance(part, int) else schema.get("properties", {}).get(part)
        if number < len(path) - 1:
            place = place[part]
    how = draw(st.sampled_from(["good", "good", "outrageous", "hostile", "gone", "unknown"]))
    last: Any = path[-1]
    if how == "good" and schema is not None:
        place[last] = draw(good(schema))
    elif how == "outrageous":
        place[last] = copy.deepcopy(draw(st.sampled_from(OUTRAGEOUS)))
    elif how == "hostile":
        place[last] = draw(HOSTILE)
    elif how == "gone" or isinstance(last, int):
        del place[last]
    else:
        place[draw(HOSTILE)] = draw(st.sampled_from(["a", 1, {}]))
