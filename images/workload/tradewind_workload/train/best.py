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
    value: float  # of the primary metric
    tensors: dict[str, torch.Tensor] = field(compare=False)  # weights and buffers, on the CPU


class Choice:
    """Chooses among epochs as they come; of equal ones, the first."""

    def __init__(self, metric: Metric, patience: int | None, best: Best | None = None) -> None:
        self.metric = metric
        self.best = best
        self._patience = patience

    def judge(self, epoch: int, value: float, model: torch.nn.Module) -> None:
        """Keep the model of this epoch where it is better than all before."""
        if self.best is None or self.metric.better(value, self.best.value):
            kept = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
            self.best = Best(epoch, value, kept)

    def over(self, epoch: int) -> bool:
        """Whether so many epochs brought nothing better that the training ends after this one."""
        return self._patience is not None and self.best is not None and epoch - self.best.epoch >= self._patience
