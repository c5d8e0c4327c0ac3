"""Weights that a network of torchvision starts from: a .safetensors file in a store, with torchvision's names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import load

from tradewind_workload.io.fault import Fault
from tradewind_workload.io.retries import entries, read_whole

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


# The last layer of each by its name: what is made anew for the classes.
LAST = {
    "resnet18": "fc",
    "resnet34": "fc",
    "resnet50": "fc",
    "mobilenet_v3_small": "classifier.3",
    "mobilenet_v3_large": "classifier.3",
    "efficientnet_b0": "classifier.1",
}
_PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl")
_LISTED = 5


def start_from(network: nn.Module, architecture: str, path: Path, uri: str) -> None:
    """Give a network the weights of a file, its last layer apart.

    Raises Fault(InvalidModel) where the file has not exactly the other weights of this network; StorageUnavailable.
    """
    file = _file(path, uri)
    try:
        found = load(read_whole(file))
    except (SafetensorError, ValueError) as error:
        raise Fault("InvalidModel", f"{uri} can't be read as safetensors: {error}. Save the weights again.") from None
    last = f"{LAST[architecture]}."
    mine = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(last)}
    given = {name: tensor for name, tensor in found.items() if not name.startswith(last)}
    counters = {name for name in mine if name.endswith("num_batches_tracked")}  # of no use to what is trained further
    lacking = sorted(mine.keys() - given.keys() - counters)
    further = sorted(given.keys() - mine.keys())
    told = [f"lacks {_listed(lacking)}"] if lacking else []
    told += [f"has {_listed(further)} besides"] if further else []
    told += [
        f"has {name} as {list(given[name].shape)} in place of {list(mine[name].shape)}"
        for name in sorted(mine.keys() & given.keys())
        if mine[name].shape != given[name].shape
    ][:_LISTED]
    if told:
        raise Fault(
            "InvalidModel",
            f"{file.name} of {uri} has not the weights of {architecture} as torchvision names them: it "
            f"{' and it '.join(told)}. Set spec.recipe.model.architecture to the network that they are of, or name "
            "other weights in spec.recipe.model.storageUri.",
        )
    network.load_state_dict({name: tensor.to(mine[name].dtype) for name, tensor in given.items()}, strict=False)


def _file(path: Path, uri: str) -> Path:
    inside = [path] if path.is_file() else sorted(entries(path))
    found = [file for file in inside if not file.name.startswith(".")]
    tensors = [file for file in found if file.suffix == ".safetensors"]
    if len(tensors) == 1:
        return tensors[0]
    if tensors:
        raise Fault(
            "InvalidModel",
            f"{uri} has {len(tensors)} files of weights ({', '.join(file.name for file in tensors[:_LISTED])}): name "
            "one of them in spec.recipe.model.storageUri.",
        )
    if pickles := [file for file in found if file.suffix in _PICKLES]:
        raise Fault(
            "InvalidModel",
            f"{pickles[0].name} of {uri} is a pickle, which is never read, since it can run any program: convert it "
            "with safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'model.safetensors').",
        )
    raise Fault(
        "InvalidModel",
        f"{uri} has no .safetensors file: put the weights there, or correct spec.recipe.model.storageUri.",
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
