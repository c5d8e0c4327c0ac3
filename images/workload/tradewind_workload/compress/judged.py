"""The rows that judge the variants, as their graphs take them: a few at a time, whatever their number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.export.inference import asked, joined

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnxruntime

    from tradewind_workload.data.rows import Rows
    from tradewind_workload.tasks.family import Fitted

PIECE = 1024  # rows
_TEXT = 100  # bytes of a text of a table, about


@dataclass(frozen=True)
class Judged:
    """The rows, and what is true of them."""

    rows: Rows
    fitted: Fitted
    held: tuple[dict[str, np.ndarray], ...] | None  # all pieces, where there is room for them

    @classmethod
    def of(cls, rows: Rows, fitted: Fitted, room: int) -> Judged:
        """Of these rows; they are held as the graph takes them if that is so many bytes at most, else made anew."""
        held, size = [], 0
        for piece in _pieces(rows, fitted):
            size += sum(map(_bytes, piece.values()))
            if size > room:
                return cls(rows, fitted, None)
            held.append(piece)
        return cls(rows, fitted, tuple(held))

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

    def outputs(self, session: onnxruntime.InferenceSession) -> dict[str, np.ndarray]:
        """All outputs of a model for all rows, by name."""
        return joined(asked(session, self.pieces()))


def _pieces(rows: Rows, fitted: Fitted) -> Iterator[dict[str, np.ndarray]]:
    for some in rows.by_block():
        table = some.table()
        for start in range(0, table.num_rows, PIECE):
            yield fitted.feeds(table.slice(start, PIECE))


def _bytes(values: np.ndarray) -> int:
    return _TEXT * values.size if values.dtype == object else values.nbytes
