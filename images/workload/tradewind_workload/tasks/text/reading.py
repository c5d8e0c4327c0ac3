"""How the columns of a table become the tokens of one text a row, in training, export and serving alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind_processors import Tokenizing, joined

if TYPE_CHECKING:
    import pyarrow as pa

NOTHING = -1  # in a row, behind the last token


@dataclass(frozen=True)
class Reading:
    """The columns with the texts, in their order, and what makes tokens of them."""

    columns: tuple[str, ...]
    tokenizer: bytes  # the content of tokenizer.json
    length: int  # tokens that are read of a text

    def tokens(self, table: pa.Table) -> dict[str, np.ndarray]:
        """`input_ids` and `attention_mask`, int64 [n, length]."""
        return Tokenizing(self.tokenizer, self.length)(texts(table, self.columns))

    def rows(self, table: pa.Table) -> np.ndarray:
        """The tokens, int32 [n, length], with NOTHING behind the last one."""
        found = self.tokens(table)
        return np.where(found["attention_mask"] == 1, found["input_ids"], NOTHING).astype(np.int32)

    def instances(self, table: pa.Table) -> list[Any]:
        """The texts by the names of their columns, as a user sends them."""
        found: list[dict[str, str | None]] = table.select(list(self.columns)).to_pylist()
        return found


def texts(table: pa.Table, columns: tuple[str, ...]) -> list[str | None]:
    """One text a row: those of several columns stand each on a line of its own; None where there is none."""
    return joined([table.column(name).to_pylist() for name in columns])
