"""A metric: its name, its direction, and how it is computed of answers and truths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


@dataclass(frozen=True)
class Metric:
    """A number that tells how good answers are."""

    name: str
    higher_is_better: bool
    measure: Callable[[np.ndarray, np.ndarray], float]  # answers and truths, rows first

    def better(self, one: float, other: float) -> bool:
        """Whether the one value is better than the other; equal ones are not."""
        return one > other if self.higher_is_better else one < other
