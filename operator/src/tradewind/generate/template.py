"""Manifests as YAML, with places in them that Helm fills in."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True)
class Place:
    """Something that Helm fills in: a template expression whose value is written as JSON, which is YAML on one line."""

    expression: str
    # Leave the whole field out where the value is empty.
    optional: bool = False
    # The expression gives lines of text, written as a block.
    lines: bool = False


@dataclass(frozen=True)
class When:
    """A field's value that stands there, field and all, only where a condition of Helm's is true."""

    condition: str
    value: Any


class _Dumper(yaml.SafeDumper):
    """YAML as people write it: lists indented, texts of several lines as blocks."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def dump(documents: Iterable[dict[str, Any]]) -> str:
    """The documents as YAML, in the order of their keys."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def template(documents: Iterable[dict[str, Any]], condition: str | None = None) -> str:
    """The documents as a template of Helm, all of it under a condition if one is given."""
    places: list[Place | When] = []

    def marked(value: Any) -> Any:
        match value:
            case Place() | When():
                places.append(value)
                return f"PLACE-{len(places) - 1}-"
            # Braces for someone else's templates.
            case str() if "{{" in value:
                return marked(Place(f"`{value}`"))
            case dict():
                return {key: marked(entry) for key, entry in value.items()}
            case list():
                return [marked(entry) for entry in value]
        return value

    text = dump([marked(document) for document in documents])
    lines = []
    for line in text.splitlines():
        start, found, rest = line.partition("PLACE-")
        lines += _filled(start, places[int(rest.rstrip("-"))]) if found else [line]
    if condition:
        lines = [f"{{{{- if {condition} }}}}", *lines, "{{- end }}"]
    return "\n".join(lines) + "\n"


def _filled(start: str, place: Place | When) -> list[str]:
    if isinstance(place, When):
        return [f"{{{{- if {place.condition} }}}}", f"{start}{json.dumps(place.value)}", "{{- end }}"]
    indent = len(start) - len(start.lstrip())
    if place.lines:
        return [f"{start}|", f"{{{{ {place.expression} | trim | indent {indent + 2} }}}}"]
    if place.optional:
        return [f"{{{{- with {place.expression} }}}}", f"{start}{{{{ toJson . }}}}", "{{- end }}"]
    return [f"{start}{{{{ toJson ({place.expression}) }}}}"]
