"""Rows that variants are asked, as their graphs take them: a few at a time, whatever their number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.export.inference import asked, joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import onnxruntime

    from tradewind_workload.compress.source import Source
    from tradewind_workload.data.rows import Rows
    from tradewind_workload.tasks.family import Fitted

PIECE = 1024  # rows
_TEXT = 100  # bytes of a text of a table, about


@dataclass(frozen=True)
class Answers:
    """What a model answers to the rows that judge, and to those whose numbers are shown."""

    judged: np.ndarray
    shown: np.ndarray


@dataclass(frozen=True)
class Judged:
    """The rows of a part, and what is true of them."""

    part: str  # Test or Validation
    rows: Rows
    fitted: Fitted
    held: tuple[dict[str, np.ndarray], ...] | None  # all pieces, where there is room for them

    @classmethod
    def of(cls, part: str, rows: Rows, fitted: Fitted, room: int) -> Judged:
        """Of these rows; they are held as the graph takes them if that is so many bytes at most, else made anew."""
        held, size = [], 0
        for piece in _pieces(rows, fitted):
            size += sum(map(_bytes, piece.values()))
            if size > room:
                return cls(part, rows, fitted, None)
            held.append(piece)
        return cls(part, rows, fitted, tuple(held))

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        return f"{len(self)} {self.part.lower()} rows"

    @property
    def targets(self) -> np.ndarray:
        """Of all rows: see Rows."""
        return self.rows.targets

    def pieces(self) -> Iterator[dict[str, np.ndarray]]:
        """All rows in their order, by the name of the input."""
        return _pieces(self.rows, self.fitted) if self.held is None else iter(self.held)

    def some(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """The rows of these numbers, of which there are few."""
        return self.fitted.feeds(self.rows.take(numbers).table())

    def outputs(self, session: onnxruntime.InferenceSession, batch: int) -> dict[str, np.ndarray]:
        """All outputs of a model for all rows, by name, of which it is asked so many at a time."""
        return joined(asked(session, self.pieces(), batch))


@dataclass(frozen=True)
class Parts:
    """The rows that judge, and those whose numbers are shown: the same ones where there is no test part."""

    judged: Judged
    shown: Judged

    @classmethod
    def of(cls, source: Source) -> Parts:
        """Of a model's data."""
        parts = dict([source.judging, source.showing])
        room = source.room.held // len(parts)
        made = {name: Judged.of(name, rows, source.fitted, room) for name, rows in parts.items()}
        return cls(made[source.judging[0]], made[source.showing[0]])

    def answers(self, of: Callable[[Judged], np.ndarray]) -> Answers:
        """Those of a model that answers the rows of a part so."""
        judged = of(self.judged)
        return Answers(judged, judged if self.shown is self.judged else of(self.shown))


def _pieces(rows: Rows, fitted: Fitted) -> Iterator[dict[str, np.ndarray]]:
    for some in rows.by_block():
        table = some.table()
        for start in range(0, table.num_rows, PIECE):
            yield fitted.feeds(table.slice(start, PIECE))


def _bytes(values: np.ndarray) -> int:
    return _TEXT * values.size if values.dtype == object else values.nbytes
