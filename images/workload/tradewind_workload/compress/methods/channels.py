"""Which channels of a network matter least, and the network without them: really smaller layers, by torch-pruning.

Its graph of dependencies finds what must go together: a channel of a convolution with the scale behind it, with the
channels of the other branch where two are added, and with what reads it.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch_pruning
from torch import nn
from torch_pruning.ops import OPTYPE

from tradewind_workload.tasks.text.network import AT_ONCE

if TYPE_CHECKING:
    import numpy as np

    from tradewind_workload.train.training import Loss

CHUNK = 256  # rows that a change of the loss is found on at once, fewer where they are large
VALUES = 1 << 22  # of the rows of a chunk
TRACED = 2  # rows that the graph is found by
_ATTENTION = ("BmmBackward", "SoftmaxBackward", "AttentionBackward")  # operations in its graph
ROOTS = (nn.Conv1d, nn.Conv2d, nn.Linear, nn.Embedding)


@dataclass
class Group:
    """Channels that go together, and what reads them."""

    root: nn.Module
    channels: int
    unit: int  # channels that go as one: those of a head of attention
    readers: list[tuple[nn.Module, torch.Tensor, torch.Tensor]]  # layer, its inputs, the channels that they are


def without_channels(
    network: nn.Module, inputs: np.ndarray, targets: np.ndarray, loss: Loss, sparsity: float
) -> nn.Module:
    """A copy of the network with that share of the channels of each layer less; the outputs stay as many.

    The least important go: those whose removal changes the loss on the training rows least, to first order (Molchanov
    et al., 2019). `inputs` are rows as the network takes them, [n, *shape], `targets` what the loss compares with.
    Raises ValueError where no channel can go.
    """
    made = deepcopy(network).eval()
    example = torch.from_numpy(inputs[:TRACED])
    graph = torch_pruning.DependencyGraph().build_dependency(made, example, forward_fn=_forward, verbose=False)
    groups = [found for group in graph.get_all_groups(root_module_types=ROOTS) if (found := _group(graph, group, made))]
    if not groups:
        raise ValueError("the network has no layer that channels can be taken out of")
    scores = _scores(made, groups, inputs, targets, loss)
    for group, score in zip(groups, scores, strict=True):
        kept = set(_best(score, group.unit, sparsity).tolist())
        gone = [channel for channel in range(group.channels) if channel not in kept]
        if gone:
            function = graph.get_pruner_of_module(group.root).prune_out_channels
            graph.get_pruning_group(group.root, function, gone).prune()
    made.zero_grad()
    return made


def _forward(network: nn.Module, rows: torch.Tensor) -> Any:
    return network(rows)


def _group(graph: Any, group: Any, network: nn.Module) -> Group | None:
    """None where channels must stay: those of the outputs, and those that all layers of a transformer add to."""
    kinds = {dep.target.type for dep, _ in group}
    config = getattr(getattr(network, "body", None), "config", None)  # of a transformer
    if OPTYPE.OUTPUT in kinds or (config is not None and kinds & {OPTYPE.LN, OPTYPE.EMBED}):
        return None
    # Behind what is joined with inputs that no layer made, it is not known which are whose.
    if any(dep.target.type == OPTYPE.CONCAT and dep.target.module.offsets is None for dep, _ in group):
        return None
    readers: list[tuple[nn.Module, torch.Tensor, torch.Tensor]] = []
    makers, attends = 0, False
    for item in group:
        layer, handler = item.dep.target.module, item.dep.handler
        makes = graph.is_out_channel_pruning_fn(handler)
        makers += makes and isinstance(layer, nn.Linear)
        attends = attends or any(word in str(layer) for word in _ATTENTION)
        if not makes and graph.is_in_channel_pruning_fn(handler) and isinstance(layer, ROOTS):
            readers.append((layer, torch.tensor(item.idxs), torch.tensor(item.root_idxs)))
    # Queries, keys and values that one layer makes together can't be told apart here.
    if not readers or (attends and makers == 1):
        return None
    channels = len(group[0].idxs)
    unit = channels // int(config.num_attention_heads) if config is not None and attends else 1
    return Group(group[0].dep.target.module, channels, max(1, unit), readers)


def _scores(
    network: nn.Module, groups: list[Group], inputs: np.ndarray, targets: np.ndarray, loss: Loss
) -> list[torch.Tensor]:
    """By group: the squared first-order change of the loss when a channel is set to zero, summed over batches.

    To take a channel away is to set what reads it to zero: the change is the sum of weight times gradient there.
    """
    scores = [torch.zeros(group.channels) for group in groups]
    size = _chunk(inputs)
    for start in range(0, len(inputs), size):
        network.zero_grad()
        loss(
            network(torch.from_numpy(inputs[start : start + size])), torch.from_numpy(targets[start : start + size])
        ).div(len(inputs[start : start + size])).backward()
        for number, group in enumerate(groups):
            change = torch.zeros(group.channels)
            for layer, places, channels in group.readers:
                weight = layer.weight
                assert isinstance(weight, torch.Tensor)
                if weight.grad is None:
                    continue
                by_input = (weight.detach() * weight.grad).transpose(0, 1).flatten(1).sum(1)
                change.index_add_(0, channels, by_input[places])
            scores[number] += change**2
    return scores


def _chunk(inputs: np.ndarray) -> int:
    values = int(inputs[0].size)
    if inputs.dtype == "int32":  # tokens, of each of which a transformer keeps much more
        return max(1, min(CHUNK, AT_ONCE // values))
    return max(1, min(CHUNK, VALUES // values))


def _best(scores: torch.Tensor, unit: int, sparsity: float) -> torch.Tensor:
    """Numbers of the channels of the most important units, ascending; at least one unit stays."""
    by_unit = scores.reshape(-1, unit).sum(1)
    count = max(1, round(len(by_unit) * (1 - sparsity)))
    kept = torch.sort(torch.argsort(by_unit, descending=True, stable=True)[:count]).values
    return (kept[:, None] * unit + torch.arange(unit)).reshape(-1)
