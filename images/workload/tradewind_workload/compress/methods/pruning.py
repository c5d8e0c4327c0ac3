"""Structured pruning: whole channels and hidden units are taken out, a smaller dense network is built of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from tradewind.api.trainingjob import Architecture
from tradewind_workload.io.fault import Fault
from tradewind_workload.tasks.matrix.network import Classifier, Impute, Standardize, build_network, widths

if TYPE_CHECKING:
    from pathlib import Path

    from tradewind.api.artefact import Manifest
    from tradewind.api.trainingjob import Recipe

CHUNK = 256


def load(weights: Path, manifest: Manifest, recipe: Recipe, image: tuple[int, int, int] | None) -> Classifier:
    """The network of a model's folder, from its safetensors. Raises Fault(InvalidModel) where they don't fit."""
    try:
        tensors = load_file(weights)
    except (SafetensorError, OSError, ValueError) as error:
        raise Fault("InvalidModel", f"{weights} can't be read as safetensors: {error}.") from None
    stages: list[nn.Module] = []
    while any(name.startswith(f"preparation.{len(stages)}.") for name in tensors):
        mark = f"preparation.{len(stages)}."
        if f"{mark}mean" in tensors and f"{mark}deviation" in tensors:
            stages.append(Standardize(tensors[f"{mark}mean"], tensors[f"{mark}deviation"]))
        elif f"{mark}values" in tensors:
            stages.append(Impute(tensors[f"{mark}values"]))
        else:
            raise Fault("InvalidModel", f"{weights} has no known preparation at {mark!r}.")
    features = int(np.prod(manifest.inputs[0].shape[1:]))
    network = build_network(recipe.model, features, image, len(manifest.labels))
    model = Classifier(nn.Sequential(*stages), network, image)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        said = " ".join(str(error).split())[:300]
        raise Fault("InvalidModel", f"{weights} does not fit the recipe in model.json: {said}") from None
    return model


def prune(
    model: Classifier,
    architecture: Architecture,
    features: int,
    inputs: np.ndarray,
    classes: np.ndarray,
    sparsity: float,
) -> tuple[Classifier, Architecture]:
    """A classifier with that share of the channels and hidden units of each layer less, and its architecture.

    The least important go: those whose removal changes the loss on the training rows least, to first order (Molchanov
    et al., 2019). `inputs` is float32 [n, *row shape], `classes` int64 [n].
    """
    channels, hidden = widths(architecture)
    scores = _importance(model, inputs, classes)
    kept = {name: _best(score, sparsity) for name, score in scores.items()}
    smaller = Architecture(
        architecture=architecture.architecture,
        channels=tuple(len(kept[f"conv{i}"]) for i in range(len(channels))),
        hidden_units=tuple(len(kept[f"hidden{i}"]) for i in range(len(hidden))),
        dropout=architecture.dropout,
    )
    classes_out = model.network.get_submodule("classes").out_features
    network = build_network(smaller, features, model.image, int(classes_out))
    _copy(model.network, network, kept)
    return Classifier(model.preparation, network, model.image), smaller


def _importance(model: Classifier, inputs: np.ndarray, classes: np.ndarray) -> dict[str, torch.Tensor]:
    """By layer: the squared first-order change of the loss when a unit is set to zero, summed over batches."""
    model.eval()
    scores: dict[str, torch.Tensor] = {}
    for start in range(0, len(inputs), CHUNK):
        model.zero_grad()
        logits = model(torch.from_numpy(inputs[start : start + CHUNK]))
        nn.functional.cross_entropy(logits, torch.from_numpy(classes[start : start + CHUNK])).backward()
        for name, module in model.network.named_children():
            # A convolution's channel is switched by what follows it: scale and shift of its batch normalisation.
            layer = name.replace("norm", "conv")
            if not isinstance(module, nn.BatchNorm2d) and not name.startswith("hidden"):
                continue
            change = torch.zeros(())
            for parameter in module.parameters():
                assert parameter.grad is not None
                change = change + (parameter.detach() * parameter.grad).reshape(len(parameter), -1).sum(1)
            scores[layer] = scores.get(layer, torch.zeros(())) + change**2
    model.zero_grad()
    return scores


def _best(scores: torch.Tensor, sparsity: float) -> torch.Tensor:
    """Numbers of the most important units, ascending; at least one stays."""
    count = max(1, round(len(scores) * (1 - sparsity)))
    return torch.sort(torch.argsort(scores, descending=True, stable=True)[:count]).values


def _copy(old: nn.Sequential, new: nn.Sequential, kept: dict[str, torch.Tensor]) -> None:
    """Copy what stays; `before` are the kept units of the layer in front."""
    before: torch.Tensor | None = None
    channels = 0  # of the last convolution, before pruning
    with torch.no_grad():
        for name, source in old.named_children():
            target = new.get_submodule(name)
            if isinstance(source, nn.Conv2d) and isinstance(target, nn.Conv2d):
                mine = kept[name]
                weight = source.weight[mine]
                target.weight.copy_(weight if before is None else weight[:, before])
                before, channels = mine, source.out_channels
            elif isinstance(source, nn.BatchNorm2d) and isinstance(target, nn.BatchNorm2d):
                assert before is not None
                for field in ("weight", "bias", "running_mean", "running_var"):
                    getattr(target, field).copy_(getattr(source, field)[before])
            elif isinstance(source, nn.Linear) and isinstance(target, nn.Linear):
                mine = kept.get(name, torch.arange(source.out_features))
                weight = source.weight[mine]
                if channels:  # behind the convolutions: each channel is a run of pixels
                    pixels = source.in_features // channels
                    assert before is not None
                    before = (before[:, None] * pixels + torch.arange(pixels)).reshape(-1)
                    channels = 0
                target.weight.copy_(weight if before is None else weight[:, before])
                target.bias.copy_(source.bias[mine])
                before = mine
