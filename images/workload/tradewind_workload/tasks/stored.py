"""A network with stored tensors: each layer becomes as wide as they are, for pruning takes channels out for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping


def filled(network: nn.Module, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """The network with these weights and buffers, on the CPU. Raises ValueError where they are of another network."""
    for name, module in network.named_modules():
        weight = tensors.get(f"{name}.weight")
        if weight is not None and isinstance(module, _WIDE) and weight.shape != module.weight.shape:
            _widen(module, weight, name)
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise ValueError(" ".join(str(error).split())[:300]) from None
    return network.eval()


_WIDE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.BatchNorm2d, nn.LayerNorm, nn.Embedding)


def _widen(module: nn.Module, weight: torch.Tensor, name: str) -> None:
    """Make a layer as wide as its weights are; what it computes with them stays."""
    if weight.ndim != module.weight.ndim:
        raise ValueError(f"{name}.weight has {weight.ndim} axes, and the network of the recipe {module.weight.ndim}")
    width = weight.shape[0]
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = weight.shape
    elif isinstance(module, nn.Conv1d | nn.Conv2d):
        if module.groups > 1:  # depthwise: a channel is a group
            module.groups = width
        module.out_channels, module.in_channels = width, weight.shape[1] * module.groups
    elif isinstance(module, nn.BatchNorm2d):
        module.num_features = width
        for field in ("running_mean", "running_var"):
            setattr(module, field, torch.zeros(width))
    elif isinstance(module, nn.LayerNorm):
        module.normalized_shape = tuple(weight.shape)
    elif isinstance(module, nn.Embedding):
        module.num_embeddings, module.embedding_dim = weight.shape
    module.weight = nn.Parameter(torch.zeros(weight.shape))
    if getattr(module, "bias", None) is not None:
        module.bias = nn.Parameter(torch.zeros(width))
