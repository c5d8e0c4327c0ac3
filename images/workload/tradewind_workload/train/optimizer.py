"""The optimisers of torch without its compiler."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tradewind.api.trainingjob import Optimizer

_Kind = TypeVar("_Kind", bound=torch.optim.Optimizer)

KINDS: dict[str, type[torch.optim.AdamW | torch.optim.Adam | torch.optim.SGD]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
}


def optimizer(parameters: Sequence[torch.nn.Parameter], settings: Optimizer, rate: float) -> torch.optim.Optimizer:
    """An optimiser of these parameters, with this learning rate at the start."""
    kind = _eager(KINDS[settings.name])
    return kind(parameters, lr=rate, weight_decay=float(settings.weight_decay))


def _eager(kind: type[_Kind]) -> type[_Kind]:
    """The same algorithm, without the marks on its methods that are for torch.compile.

    Each mark imports torch._dynamo at the first call, which takes 3 s of processor time and 160 MB in every worker.
    Only a compiled training needs them; no recipe is compiled.
    """
    marked = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in marked}
    # Its mark also turns gradients off.
    return type(kind.__name__, (kind,), methods | {"step": torch.no_grad()(inspect.unwrap(kind.step))})
