"""Documents as a newer version of us would write them: with fields that this one does not know."""

from __future__ import annotations

from typing import Any

NEW = {"fromTheFuture": {"deep": [1, "two"]}}
# Their keys are names, not fields.
MAPS = ("files", "labels", "annotations")


def newer(document: Any, maps: tuple[str, ...] = MAPS) -> Any:
    """The document with an unknown field at every level."""
    if isinstance(document, list):
        return [newer(entry) for entry in document]
    if not isinstance(document, dict):
        return document
    return NEW | {
        key: {name: newer(entry) for name, entry in value.items()}
        if key in maps and isinstance(value, dict)
        else newer(value)
        for key, value in document.items()
    }
