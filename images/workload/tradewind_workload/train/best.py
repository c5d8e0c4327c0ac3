"""The best epoch so far, by the primary metric on the validation data; and when to wait for a better one no longer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from tradewind_workload.heads.metric import Metric


@dataclass(frozen=True)
class Best:
    """The model after its best epoch."""

    epoch: int  # from 1
    value: float  # of the primary metric on the validation rows
    loss: float  # mean over them
    reached: int  # the first epoch that had this value
    tensors: dict[str, torch.Tensor] = field(compare=False)  # weights and buffers, on the CPU


class Choice:
    """Chooses among epochs as they come; of those with an equal metric, that with the lowest validation loss.

    A metric that counts rows is soon the same in many epochs, and the first of them has learnt the least.
    """

    def __init__(self, metric: Metric, patience: int | None, best: Best | None = None) -> None:
        self.metric = metric
        self.best = best
        self._patience = patience

    def judge(self, epoch: int, value: float, loss: float, model: torch.nn.Module) -> None:
        """Keep the model of this epoch where it is better than all before."""
        better = self.best is None or self.metric.better(value, self.best.value)
        if better or (self.best is not None and value == self.best.value and loss < self.best.loss):
            kept = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
            self.best = Best(epoch, value, loss, epoch if better or self.best is None else self.best.reached, kept)

    def over(self, epoch: int) -> bool:
        """Whether so many epochs brought no better metric that the training ends after this one."""
        return self._patience is not None and self.best is not None and epoch - self.best.reached >= self._patience
