"""Whether a live child is as planned: the plan's digest stands on it, and we still own every field that we set.

A child carries the digest of the plan that made it as an annotation. Any change of a field by anyone else takes that
field out of our entry of `metadata.managedFields`, so ownership stands for the values: what the API server rewrites
or fills in by itself (quantities, defaults) needs no rule here, and no body has to be kept or fetched for a comparison.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tradewind.api import GROUP
from tradewind.core.labels import MANAGER
from tradewind.core.plan import Child

ANNOTATION = f"{GROUP}/digest"  # on children: digest of the plan that they were made by


def canonical(value: Any) -> str:
    """JSON with one form for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(child: Child) -> str:
    """Digest of a child as planned: 32 hexadecimal digits."""
    return hashlib.sha256(canonical([child.resource.api_version, child.body]).encode()).hexdigest()[:32]


def applied_digest(body: Mapping[str, Any]) -> str:
    """Digest of the plan that a live child was made by; empty where it carries none."""
    annotations = (body.get("metadata") or {}).get("annotations") or {}
    found = annotations.get(ANNOTATION, "")
    return found if isinstance(found, str) else ""


def owned_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """The set of fields (FieldsV1) that we own of a live child, without its owner references.

    Those of our last apply; of a child that was created and never applied, those that it was created with.

    Owner references are left out because their keys have uids: without them equal plans have equal sets, which the
    reader can share between children.
    """
    ours = {
        entry.get("operation"): entry.get("fieldsV1")
        for entry in (body.get("metadata") or {}).get("managedFields") or ()
        if entry.get("manager") == MANAGER and not entry.get("subresource")
    }
    fields = dict(ours.get("Apply") or ours.get("Update") or {})
    metadata = {k: v for k, v in fields.pop("f:metadata", {}).items() if k != "f:ownerReferences"}
    if metadata:  # an empty one would read as a leaf that is owned
        fields["f:metadata"] = metadata
    return fields


def unowned(fields: Mapping[str, Any], body: Any) -> str | None:
    """Path of the first leaf of a planned body that is not in a set of owned fields; None where all are."""
    return _unowned(fields, body, "") if fields else "."


def _unowned(fields: Mapping[str, Any], value: Any, path: str) -> str | None:
    if not fields or fields.keys() == {"."}:
        return None  # a leaf of the set: it is owned as a whole (a scalar, an atomic list or map, an empty map)
    if isinstance(value, Mapping):
        return _unowned_in_map(fields, value, path)
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            below = _member(fields, item, index)
            here = f"{path}[{index}]"
            if below is None:
                return here
            # The item of a list by keys is in the set itself, besides the fields in it.
            check = _unowned_in_map if isinstance(item, Mapping) and "." in below else _unowned
            if (found := check(below, item, here)) is not None:
                return found
        return None
    return path  # the set says that there is structure where the plan has a scalar


def _unowned_in_map(fields: Mapping[str, Any], value: Mapping[str, Any], path: str) -> str | None:
    for key, item in value.items():
        below = fields.get(f"f:{key}")
        if below is None:
            if item is not None:  # the API server drops fields that are null
                return f"{path}.{key}"
        elif (found := _unowned(below, item, f"{path}.{key}")) is not None:
            return found
    return None


def _member(fields: Mapping[str, Any], item: Any, index: int) -> Mapping[str, Any] | None:
    """The part of a list's set that is about one item: by keys, by value or by position."""
    for name, below in fields.items():
        kind, _, text = name.partition(":")
        if kind == "k" and isinstance(item, Mapping):
            # A key that the plan leaves out has the schema's default (protocol TCP of a port).
            if all(item.get(key, wanted) == wanted for key, wanted in _parsed(text).items()):
                return below if isinstance(below, Mapping) else None
        elif (kind == "v" and _parsed(text) == item) or (kind == "i" and int(text) == index):
            return below if isinstance(below, Mapping) else None
    return None


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Any:
    """The keys or the value of an item: the same few for all children, and each is compared with each item."""
    return json.loads(text)
