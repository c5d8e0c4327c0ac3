"""The leaves of our kinds' specs, read from the schema: where each stands, and what may stand there."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import find
from hypothesis import strategies as st

from tradewind.generate.crd import KINDS, definition
from tradewind.generate.schema import INT_OR_STRING, RULES, Schema

Way = tuple[str | int, ...]  # from the spec on: ("alerts", 0, "name")
Value = Any

SPECS: dict[str, Schema] = {
    kind.kind: definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    for kind in KINDS
}


class Absent:
    """The value of a leaf that is left out."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = Absent()

# Texts that mean something to the planners, where a pattern takes them.
_TEXTS = ["local", "accuracy", "edge", "digits", "0", "0.5", "0.25", "1", "2x4", "4x4", "pvc://a/b", "pvc://c/d"]
_MATCHES = re.compile(r"self\.matches\(r'(.*)'\)$")
_EITHER = re.compile(r"has\(self\.(\w+)\) != has\(self\.(\w+)\)$")
_GIVEN = re.compile(r"has\(self\.(\w+)\)")


@dataclass(frozen=True)
class Leaf:
    """A field without fields: a scalar, a list of scalars, or a choice without settings."""

    kind: str
    path: Way
    schema: Schema
    required: bool

    def __str__(self) -> str:
        return f"{self.kind}.{''.join(f'[{p}]' if isinstance(p, int) else f'.{p}' for p in self.path)[1:]}"

    @property
    def values(self) -> list[Value]:
        """Different good values, also its absence where it may be left out."""
        return [*([] if self.required else [ABSENT]), *values(self.schema)]


def leaves(kind: str) -> list[Leaf]:
    """All leaves of the kind's spec. Of a list of objects, those of its first item."""
    return [Leaf(kind, *found) for found in _leaves(SPECS[kind], (), True)]


def _leaves(schema: Schema, path: Way, required: bool) -> Iterator[tuple[Way, Schema, bool]]:
    if fields := schema.get("properties"):
        # Of a choice, what is chosen can't be left out without choosing another.
        needed = {*schema.get("required", ()), *(name for group in choices(schema) for name in group)}
        for name, field in fields.items():
            yield from _leaves(field, (*path, name), name in needed)
    elif "properties" in schema.get("items", {}):
        yield from _leaves(schema["items"], (*path, 0), True)
    else:
        yield path, schema, required


def choices(schema: Schema) -> list[tuple[str, ...]]:
    """Groups of fields of an object of which exactly one is to be given, read from its rules."""
    found = []
    for rule in schema.get(RULES, ()):
        if rule["rule"].endswith("exists_one(given, given)"):
            found.append(tuple(_GIVEN.findall(rule["rule"])))
        elif match := _EITHER.match(rule["rule"]):
            found.append((match[1], match[2]))
    return found


def pattern(schema: Schema) -> str | None:
    """The pattern of a text, which is one of its rules."""
    rules = [match[1] for rule in schema.get(RULES, ()) if (match := _MATCHES.search(rule["rule"]))]
    assert len(rules) <= 1
    return rules[0] if rules else None


def fits(schema: Schema, text: str) -> bool:
    """Whether the text is as long as it may be, and as its pattern says."""
    form = pattern(schema)
    long = schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text))
    return long and (form is None or re.fullmatch(form, text) is not None)


def values(schema: Schema) -> list[Value]:
    """Good values of a leaf; two at least, where there are two."""
    if "enum" in schema:
        return list(schema["enum"])
    if schema.get(INT_OR_STRING):
        return ["1", 2, "1500m", "3Gi"]
    match schema["type"]:
        case "boolean":
            return [False, True]
        case "integer":
            low, high = schema.get("minimum", 0), schema.get("maximum")
            if high is None or high > 10**6:  # seconds, bytes: a few of them would mean an end at once
                return [low + 1000, low + 2000]
            return sorted({low, low + 1, schema.get("default", low) + 1, high})
        case "array":
            items = values(schema["items"])
            least = max(1, schema.get("minItems", 1))
            return [[item] * least for item in items[:2]]
        case "object" if "additionalProperties" in schema:
            return [{}, {"team": "vision"}, {"team": "speech"}]  # a name that the configuration lets objects set
        case "object":
            return [{}]
        case "string":
            known = [text for text in _TEXTS if fits(schema, text)][:5]
            form = pattern(schema)
            texts = st.text(max_size=9) if form is None else st.from_regex(form, fullmatch=True)
            while len(known) < 2:
                known.append(find(texts, lambda text: fits(schema, text) and text not in known))
            return known
    raise TypeError(f"a leaf of the type {schema['type']}")


def least(schema: Schema) -> Value:
    """The smallest good value."""
    if schema.get("type") == "object":
        names = [*schema.get("required", ()), *(group[0] for group in choices(schema))]
        return {name: least(schema["properties"][name]) for name in dict.fromkeys(names)}
    if schema.get("type") == "array" and "properties" in schema["items"]:
        return [least(schema["items"])] * schema.get("minItems", 0)
    return values(schema)[0]


def placed(spec: Value, leaf: Leaf, value: Value) -> Value:
    """The spec with the leaf as given; what it is in is made where it is missing, what excludes it is taken away."""
    made = copy.deepcopy(spec)
    place, schema = made, SPECS[leaf.kind]
    for number, part in enumerate(leaf.path):
        last = number == len(leaf.path) - 1
        if isinstance(part, int):
            schema = schema["items"]
            if not place:
                place.append(least(schema))
            place = place[part]
            continue
        for group in choices(schema):
            for other in group if part in group else ():
                if other != part:
                    place.pop(other, None)
        schema = schema["properties"][part]
        if last and value is ABSENT:
            place.pop(part, None)
        elif last:
            place[part] = copy.deepcopy(value)
        else:
            place = place.setdefault(part, least(schema))
    return made
