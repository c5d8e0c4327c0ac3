"""Networks on encoded tables: linear, and a perceptron that learns a vector for each category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from tradewind_workload.tasks.tabular.encoding import Encoding

DEFAULT_HIDDEN = (128, 64)
DEFAULT_DROPOUT = 0.1


@dataclass(frozen=True)
class Layers:
    """What stands between the encoded rows and the outputs; without hidden layers, the network is linear."""

    hidden: tuple[int, ...] = DEFAULT_HIDDEN
    dropout: float = DEFAULT_DROPOUT


LINEAR = Layers((), 0.0)


def vector_size(codes: int) -> int:
    """Length of the vectors of a category with so many codes: 2 gives 2, 10 gives 6, 100 gives 21, 1000 gives 50."""
    length: int = round(1.6 * codes**0.56)
    return min(50, codes, length)


class TabularNetwork(nn.Module):
    """Rows in, float32 [n, numbers + codes] as Encoding.rows has them; logits out, or one standardised value a row."""

    def __init__(self, numbers: int, codes: tuple[int, ...], outputs: int, layers: Layers) -> None:
        super().__init__()
        self.numbers = numbers
        linear = not layers.hidden
        # Without hidden layers, the vector of a code is its weights for the outputs.
        sizes = [outputs if linear else vector_size(size) for size in codes]
        self.embeddings = nn.ModuleList(nn.Embedding(size, length) for size, length in zip(codes, sizes, strict=True))
        for table in self.embeddings:
            assert isinstance(table, nn.Embedding)
            if linear:
                nn.init.zeros_(table.weight)
            else:
                nn.init.normal_(table.weight, std=0.1)
                # Missing and unknown values say nothing until rows with them have been seen.
                with torch.no_grad():
                    table.weight[:2] = 0
        self.hidden = nn.Sequential()
        width = numbers + (0 if linear else sum(sizes))
        for i, units in enumerate(layers.hidden):
            self.hidden.add_module(f"linear{i}", nn.Linear(width, units))
            self.hidden.add_module(f"norm{i}", nn.LayerNorm(units))
            self.hidden.add_module(f"active{i}", nn.ReLU())
            self.hidden.add_module(f"dropout{i}", nn.Dropout(layers.dropout))
            width = units
        self.outputs = nn.Linear(max(width, 1), outputs)
        if linear:
            nn.init.zeros_(self.outputs.weight)
            nn.init.zeros_(self.outputs.bias)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Logits, or standardised values, float32 [n, outputs]."""
        numbers, codes = rows[:, : self.numbers], rows[:, self.numbers :].long()
        vectors: list[torch.Tensor] = [table(codes[:, i]) for i, table in enumerate(self.embeddings)]
        made: torch.Tensor
        if not len(self.hidden):
            made = self.outputs(numbers if self.numbers else torch.zeros(len(rows), 1, device=rows.device))
            return sum(vectors, start=made)
        made = self.outputs(self.hidden(torch.cat([numbers, *vectors], 1)))
        return made


def build(encoding: Encoding, outputs: int, layers: Layers, seed: int) -> TabularNetwork:
    """An untrained network; the same seed gives the same weights."""
    torch.manual_seed(seed)
    return TabularNetwork(encoding.width, encoding.sizes, outputs, layers)
