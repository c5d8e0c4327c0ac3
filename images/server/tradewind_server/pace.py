"""How long runs of the model take, by their rows."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping


class Pace:
    """The curve that was measured when the model was loaded, times how much of it runs have taken of late.

    A unit is a second of that curve. Without a curve every run is one unit, whatever its rows.
    """

    def __init__(self, curve: Mapping[int, float]) -> None:
        """`curve` has seconds by the number of rows, from 1."""
        self._rows = sorted(curve)
        self._seconds = [curve[rows] for rows in self._rows]
        self._of_unit = 1.0 if curve else 0.0

    def units(self, rows: int) -> float:
        """Of a run with so many rows."""
        if not self._rows:
            return 1.0
        at = bisect_right(self._rows, rows)
        if at == len(self._rows):
            return self._seconds[-1] * rows / self._rows[-1]
        if at == 0:
            return self._seconds[0]
        part = (rows - self._rows[at - 1]) / (self._rows[at] - self._rows[at - 1])
        return self._seconds[at - 1] + part * (self._seconds[at] - self._seconds[at - 1])

    def seconds(self, units: float) -> float:
        """What these units take at present."""
        return self._of_unit * units

    def known(self, rows: int) -> float:
        """Seconds of a run with so many rows at present; infinity where no curve tells them."""
        return self._of_unit * self.units(rows) if self._rows else math.inf

    def add(self, units: float, seconds: float) -> None:
        """A run of so many units took so long."""
        if not units:
            return  # the clock stood still while the curve was measured
        found = seconds / units
        if not self._of_unit:
            self._of_unit = found
        # One run that the machine held up says little about the next ones; several soon do.
        self._of_unit += 0.1 * (min(found, 4 * self._of_unit) - self._of_unit)
