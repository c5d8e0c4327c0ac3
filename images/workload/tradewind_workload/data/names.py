"""The names of classes and categories: one name for one value, whatever file or type it comes from."""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tradewind_workload.data.cells import is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# A number starts with no zero of many, as codes do.
_WHOLE = re.compile(r"0|-?[1-9][0-9]*")
_WHOLE_FLOAT = re.compile(r"^(0|-?[1-9][0-9]*)[.,]0+$")
_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?")


def name_of(value: Any) -> str | None:
    """A value's name: texts as they stand, true and false, whole numbers without a point; None for a missing one."""
    if value is None or value != value:  # noqa: PLR0124 -- NaN
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | Decimal):
        return str(int(value)) if value == value // 1 else str(value)
    return value.isoformat() if isinstance(value, datetime | date) else str(value)


def names(column: pa.Array) -> pa.Array:
    """The names of a column's values as text, null where one is missing or not finite."""
    if is_text(column.type):
        return column.cast(pa.string())
    encoded = column.dictionary_encode()
    values = [None if value in (float("inf"), float("-inf")) else value for value in encoded.dictionary.to_pylist()]
    return pa.array([name_of(value) for value in values], pa.string()).take(encoded.indices)


def is_plain_number(text: str) -> bool:
    """Whether a text is a number with a decimal point, if any, and not a code such as 007."""
    return "," not in text and _NUMBER.fullmatch(text) is not None


def renaming(found: set[str]) -> Callable[[str], str]:
    """How a name among those of a label's values becomes that of its class: where all of them are numbers, 1.0 is 1.

    Programs write whole numbers with a point as soon as one is missing in a file, and one class must not become two.
    """
    if not all(_NUMBER.fullmatch(name) for name in found):
        return str
    return lambda name: _WHOLE_FLOAT.sub(r"\1", name)


def fractions(found: set[str]) -> set[str]:
    """Those that are no whole number, where all of them are numbers: a quantity, and no classes."""
    if not all(_NUMBER.fullmatch(name) for name in found):
        return set()
    return {name for name in found if not _WHOLE.fullmatch(_WHOLE_FLOAT.sub(r"\1", name))}


_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")  # soft hyphen, spaces without width


def looks(name: str) -> str:
    """How a name looks: equal for two that differ in spaces, invisible signs or Unicode's forms alone."""
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFC", name)).split())


def alike(found: Iterable[str]) -> tuple[str, str] | None:
    """Two different names that look the same, if there are some."""
    seen: dict[str, str] = {}
    for name in sorted(found):
        if (other := seen.setdefault(looks(name), name)) != name:
            return other, name
    return None


def written_otherwise(name: str, known: Iterable[str]) -> str:
    """A hint for a sentence that a name is not among those known, where one of them looks the same; else nothing."""
    other = next((other for other in known if other != name and looks(other) == looks(name)), None)
    if other is None:
        return ""
    return f" ({other!a} looks the same, and is not {name!a}: copy the name from the data)"


def in_order(found: set[str]) -> tuple[str, ...]:
    """Names of classes: whole numbers by value, others by name."""
    return tuple(sorted(found, key=int)) if all(map(_WHOLE.fullmatch, found)) else tuple(sorted(found))
