"""Numbers as a report has them: six significant digits, and fewer points of a long curve."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

_Item = TypeVar("_Item")


def rounded(value: float) -> float:
    """With six significant digits."""
    return float(f"{value:.6g}")


def finite(value: float) -> float | None:
    """The same; None for what is no number."""
    return rounded(value) if math.isfinite(value) else None


def all_rounded(values: np.ndarray) -> tuple[float, ...]:
    """Each of them."""
    return tuple(rounded(float(value)) for value in values)


def evenly(items: Sequence[_Item], most: int) -> list[_Item]:
    """At most so many of them, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, most).round().astype(int))]


def cut(text: str, most: int) -> str:
    """At most so many characters, and a sign where some were left out."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def cut_apart(texts: Sequence[str], most: int) -> list[str]:
    """Each cut, with a number behind those that would be as another one before them: long names start alike."""
    found: dict[str, None] = {}
    for text in texts:
        short, number = cut(text, most), 1
        while short in found:
            number += 1
            behind = f" ({number})"
            short = cut(text, most - len(behind)) + behind
        found[short] = None
    return list(found)
