"""Networks that read the tokens of a text, from scratch: a bag of vectors, and convolutions.

A row is a text's token ids, int32 [length], with -1 behind its last token. What is behind it changes no answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from tradewind_workload.tasks.text.reading import NOTHING
from tradewind_workload.tasks.text.vocabulary import FIRST

if TYPE_CHECKING:
    from tradewind.api.trainingjob import Architecture

VECTOR = 64  # length of the vector of a token
SPREAD = 0.1  # of its values at the start
FORGOTTEN = 0.3  # share of the tokens that a step of the training does not see
PAIRS = 20_000  # vectors that pairs of neighbouring tokens share, by a hash
WIDTHS = (2, 3, 4)  # tokens that a convolution sees at once
FILTERS = 64  # of each width
DROPOUT = 0.3
AT_ONCE = 4096  # tokens that are judged at once: a transformer takes 50 KB and more for each


class TextNetwork(nn.Module):
    """Rows in, int32 [n, length]; logits out, or one standardised value a row: float32 [n, outputs]."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """The answers for rows; those of many are found for some at a time, unless the network learns from them."""
        if self.training or not len(rows):
            return self._answers(rows)
        order = (rows != NOTHING).sum(1).argsort(stable=True)  # a text is read as far as the longest one beside it
        parts = rows[order].split(max(1, AT_ONCE // rows.shape[1]))
        return torch.cat([self._answers(part) for part in parts])[order.argsort()]

    def _answers(self, rows: torch.Tensor) -> torch.Tensor:
        """As far as the longest text among them goes."""
        mask = rows != NOTHING
        rows = rows[:, : max(1, int(mask.sum(1).max()))] if len(rows) else rows
        mask = rows != NOTHING
        return self.read(torch.where(mask, rows, 0).long(), mask)

    def read(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The answers for tokens, int64 [n, length], of which those are read that `mask`, bool [n, length], has."""
        raise NotImplementedError


class Bag(TextNetwork):
    """The sum of the vectors of a text's tokens, and of the pairs of tokens beside each other, by its length's root.

    A token that the training never saw has a vector of zeros, and so has a pair: they say nothing.
    """

    def __init__(self, tokens: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.tokens = _vectors(tokens)
        self.pairs = nn.Embedding(PAIRS, VECTOR)
        nn.init.zeros_(self.pairs.weight)
        self.dropout = nn.Dropout(dropout)
        self.outputs = nn.Linear(VECTOR, outputs)

    def read(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """See TextNetwork."""
        if self.training:
            mask = mask & (torch.rand(mask.shape, device=mask.device) >= FORGOTTEN)
        found = _mean(self.tokens(tokens), mask)
        pairs = (tokens[:, :-1] * 31_337 + tokens[:, 1:] * 7_919) % PAIRS
        found = found + _mean(self.pairs(pairs), mask[:, :-1] & mask[:, 1:])
        return self.outputs(self.dropout(found))  # type: ignore[no-any-return]


class Convolutions(TextNetwork):
    """How strongly each of some learnt patterns of 2, 3 or 4 tokens occurs in a text, wherever that is."""

    def __init__(self, tokens: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.tokens = _vectors(tokens)
        self.convolutions = nn.ModuleList(nn.Conv1d(VECTOR, FILTERS, width, padding=width // 2) for width in WIDTHS)
        self.dropout = nn.Dropout(dropout)
        self.outputs = nn.Linear(FILTERS * len(WIDTHS), outputs)

    def read(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """See TextNetwork."""
        vectors = self.dropout(self.tokens(tokens) * mask.unsqueeze(2)).transpose(1, 2)
        # A pattern that ends behind the text is none: it counts as far as a token of the text is in its middle.
        # A convolution of an even number of tokens gives one value more than there are tokens.
        outside = nn.functional.pad(~mask, (0, 1), value=True).unsqueeze(1)
        strengths = [torch.relu(convolution(vectors)) for convolution in self.convolutions]
        found = [strength.masked_fill(outside[:, :, : strength.shape[2]], 0).amax(2) for strength in strengths]
        return self.outputs(self.dropout(torch.cat(found, 1)))  # type: ignore[no-any-return]


def _vectors(tokens: int) -> nn.Embedding:
    """A vector of each token; that of what is unknown says nothing until texts with it have been seen."""
    table = nn.Embedding(tokens, VECTOR)
    nn.init.normal_(table.weight, std=SPREAD)
    with torch.no_grad():
        table.weight[:FIRST] = 0
    return table


def _mean(vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The sum of those vectors, float32 [n, length, size], by the root of how many there are: [n, size].

    Twice as long a text with twice as many signs is a surer one, but not twice as sure.
    """
    chosen = mask.unsqueeze(2).to(vectors.dtype)
    return (vectors * chosen).sum(1) / chosen.sum(1).clamp(min=1).sqrt()


def build(architecture: Architecture, tokens: int, outputs: int, seed: int) -> TextNetwork:
    """An untrained network for token ids below `tokens`; the same seed gives the same weights."""
    torch.manual_seed(seed)
    dropout = DROPOUT if architecture.dropout is None else float(architecture.dropout)
    kind = {"bag": Bag, "cnn": Convolutions}[architecture.architecture]
    return kind(tokens, outputs, dropout)
