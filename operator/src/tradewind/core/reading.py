"""Parts of live objects: what isn't there or isn't as expected reads as empty, so that no body makes a reader fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def mapping(value: Any) -> Mapping[str, Any]:
    """A map; empty where it is none."""
    return value if isinstance(value, Mapping) else {}


def text(value: Any) -> str:
    """A text; empty where it is none."""
    return value if isinstance(value, str) else ""


def condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """The condition of that type in a status; empty where there is none."""
    conditions = status.get("conditions")
    found = (mapping(one) for one in (conditions if isinstance(conditions, list) else ()))
    return next((one for one in found if one.get("type") == kind), {})
