"""Names of columns in a sentence: the ones that there are, and the one that may have been meant."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LISTED = 12
_COMPARED = 100  # characters of a name: comparing long ones takes time
_NEAR = 0.75  # difflib's ratio: a letter too many in `maker`, but not `label` in `x:y:label`, a header read as one name


def listed(names: Iterable[object]) -> str:
    """The first names, and how many there are besides."""
    found = [str(name) for name in names]
    return ", ".join(found[:_LISTED]) + (f" and {len(found) - _LISTED} more" if len(found) > _LISTED else "")


def meant(name: str, names: Iterable[str]) -> str:
    """A hint at the names that are nearly this one, to stand behind it in a sentence; nothing where none is."""
    if len(name) > _COMPARED:
        return ""
    found = get_close_matches(name, [one for one in names if len(one) <= _COMPARED], 3, _NEAR)
    return f" (did you mean {' or '.join(map(repr, found))}?)" if found else ""
