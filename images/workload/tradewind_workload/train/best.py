"""The best epoch so far, by the primary metric on the validation data; and when to wait for a better one no longer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from tradewind_workload.heads.metric import Metric
    from tradewind_workload.train.history import Lap


@dataclass(frozen=True)
class Best:
    """The model after its best epoch."""

    epoch: int  # from 1
    value: float  # of the primary metric on the validation rows
    loss: float  # mean over them
    reached: int  # the first epoch that had this value
    tensors: dict[str, torch.Tensor] = field(compare=False)  # weights and buffers, on the CPU


@dataclass(frozen=True)
class Patience:
    """After how many epochs without a better one a training ends."""

    epochs: int
    with_loss: bool = False  # whether a lower validation loss is something better too, and not a better metric alone


class Choice:
    """Chooses among epochs as they come; of those with an equal metric, that with the lowest validation loss.

    A metric that counts rows is soon the same in many epochs, and the first of them has learnt the least.
    """

    def __init__(
        self, metric: Metric, patience: Patience | None, best: Best | None = None, laps: Sequence[Lap] = ()
    ) -> None:
        """`best` and `laps` are those of the epochs that are done already."""
        self.metric = metric
        self.best = best
        self._patience = patience
        self._lowest, self._lowest_at = math.inf, 0  # validation loss, and its epoch
        for lap in laps:
            self._look(lap.number, math.nan if lap.validation_loss is None else lap.validation_loss)

    def judge(self, epoch: int, value: float, loss: float, model: torch.nn.Module) -> None:
        """Keep the model of this epoch where it is better than all before."""
        self._look(epoch, loss)
        better = self.best is None or self.metric.better(value, self.best.value)
        if better or (self.best is not None and value == self.best.value and loss < self.best.loss):
            kept = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
            self.best = Best(epoch, value, loss, epoch if better or self.best is None else self.best.reached, kept)

    def over(self, epoch: int) -> bool:
        """Whether so many epochs brought nothing better that the training ends after this one."""
        if self._patience is None or self.best is None:
            return False
        last = max(self.best.epoch, self._lowest_at) if self._patience.with_loss else self.best.reached
        return epoch - last >= self._patience.epochs

    def _look(self, epoch: int, loss: float) -> None:
        if loss < self._lowest:
            self._lowest, self._lowest_at = loss, epoch
