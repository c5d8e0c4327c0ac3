"""Pictures as a family: what is fitted on the training pictures, and what every worker makes of a table with it."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind.api.artefact import Picture, Processor, Tensor
from tradewind.api.trainingjob import TORCHVISION
from tradewind_processors import Picturing
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import WEIGHTS
from tradewind_workload.io.places import local_path
from tradewind_workload.tasks.image import looking

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Literal

    import pyarrow as pa
    import torch
    from torch import nn

    from tradewind.api.data import Augment, Data
    from tradewind.api.trainingjob import Architecture, Recipe
    from tradewind_workload.data.preparation import Prepared
    from tradewind_workload.heads.answer import Answer
    from tradewind_workload.tasks.image.networks import PictureNetwork

# What torchvision's weights were trained with, of pixels from 0 to 255.
IMAGENET_MEAN: tuple[float, ...] = (123.675, 116.28, 103.53)
IMAGENET_DEVIATION: tuple[float, ...] = (58.395, 57.12, 57.375)
LARGEST = 64  # pixels a side, where spec.data.imageShape says nothing: what a small network learns on CPUs
LARGEST_TORCHVISION, SMALLEST_TORCHVISION = 224, 32
COLOURS = 3
MOST_BYTES = 1 << 18  # of a file that becomes a golden sample


@dataclass(frozen=True)
class Pictures:
    """What training and serving make of the files of pictures."""

    column: str
    shape: tuple[int, int, int]  # height, width, channels of a row as the network takes it
    resize: Literal["Stretch", "Crop"]
    mean: tuple[float, ...]  # by channel, of pixels from 0 to 255
    deviation: tuple[float, ...]
    variation: Augment | None
    notes: tuple[str, ...]

    @property
    def scaled(self) -> bool:
        """The network scales the pixels itself."""
        return True

    @property
    def picturing(self) -> Picturing:
        """From files to pixels, as the server does it."""
        return Picturing(*self.shape, self.resize)

    def became(self, columns: tuple[str, ...]) -> dict[str, str]:
        """What the model gets of the pictures, in words."""
        height, width, channels = self.shape
        how = "stretched" if self.resize == "Stretch" else "cropped"
        colours = "grey" if channels == 1 else "red, green and blue"
        told = f"the picture, {how} to {height} x {width} pixels of {colours}"
        return dict.fromkeys(columns, told)

    def written(self) -> str:
        """Exact, and the same for the same pictures."""
        return json.dumps(
            {
                "column": self.column,
                "shape": self.shape,
                "resize": self.resize,
                "mean": [float(value).hex() for value in self.mean],
                "deviation": [float(value).hex() for value in self.deviation],
            },
            sort_keys=True,
        )

    def rows(self, table: pa.Table) -> np.ndarray:
        """Pixels, uint8 [n, height, width, channels]."""
        return self.picturing(table[self.column].to_pylist())

    def feeds(self, table: pa.Table) -> dict[str, np.ndarray]:
        """Pixels by the name of their column, uint8 [n, height, width, channels]."""
        return {self.column: self.rows(table)}

    def instances(self, table: pa.Table) -> list[Any]:
        """Files in base64; none of large ones, since samples are read whenever a replica starts."""
        return [self._instance(content) for content in table[self.column].to_pylist()]

    def _instance(self, content: bytes | None) -> Any:
        if content is None or len(content) > MOST_BYTES:
            return None
        return {self.column: {"b64": b64encode(content).decode()}}

    def network(self, architecture: Architecture, outputs: int, seed: int) -> PictureNetwork:
        """An untrained network, or one with the weights that it is to start from; a seed, the same weights.

        Raises Fault(InvalidModel) for weights of another network.
        """
        import torch

        from tradewind_workload.tasks.image import networks

        torch.manual_seed(seed)
        if architecture.architecture not in TORCHVISION:
            body: nn.Module = networks.own(architecture, self.shape, outputs)
        else:
            body = networks.of_torchvision(architecture.architecture, outputs)
        if (uri := architecture.storage_uri) is not None:
            from tradewind_workload.tasks.image.weights import start_from

            start_from(body, architecture.architecture, local_path(uri), uri)
        return networks.PictureNetwork(body, (self.mean, self.deviation))

    def stored(self, architecture: Architecture, outputs: int, tensors: Mapping[str, torch.Tensor]) -> torch.nn.Module:
        """See Fitted."""
        from tradewind_workload.tasks.stored import filled

        made = architecture.model_copy(update={"storage_uri": None})  # what it started from is in the tensors
        return filled(self.network(made, outputs, 0), tensors)

    def augment(self) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """A batch, uint8 [n, *shape], varied at random, as float32; in training only."""
        if self.variation is None:
            return None
        from tradewind_workload.tasks.augmentation import vary

        return partial(vary, image=self.shape, augment=self.variation)

    def model(self, network: nn.Module, answer: Answer) -> PictureModel:
        """With one input, the files of pictures, by the name of their column."""
        from safetensors.torch import save

        from tradewind_workload.tasks.image.graph import exported

        network.eval()
        weights = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
        return PictureModel(exported(network, self.shape, self.column, answer), {WEIGHTS: weights}, self, answer)


@dataclass(frozen=True)
class PictureModel:
    """What is stored and served: the server makes pixels of the files as the training did."""

    onnx: bytes
    weights: dict[str, bytes]
    fitted: Pictures
    answer: Answer

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The files of pictures."""
        height, width, channels = self.fitted.shape
        picture = Picture(height=height, width=width, channels=channels, resize=self.fitted.resize)
        name, made = self.fitted.column, Processor(picture=picture)
        return (Tensor(name=name, datatype="BYTES", shape=(-1,), kind="image", processor=made),)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """Those of the answer."""
        return self.answer.tensors

    def feeds(self, table: pa.Table) -> dict[str, np.ndarray]:
        """See Pictures."""
        return self.fitted.feeds(table)

    def instances(self, table: pa.Table) -> list[Any]:
        """See Pictures."""
        return self.fitted.instances(table)


def read(taken: Tensor, prepared: Prepared) -> Pictures:
    """Of a finished model with that input; how its network scales pixels stands in its weights. Raises ValueError."""
    match taken.processor:
        case Processor(picture=Picture(resize="Stretch" | "Crop" as resize) as picture):
            shape = (picture.height, picture.width, picture.channels)
            nothing, one = (0.0,) * picture.channels, (1.0,) * picture.channels
            return Pictures(taken.name, shape, resize, nothing, one, prepared.augment, ())
    raise ValueError(f"{taken.name} is no input of pictures that this version knows")


def fit(prepared: Prepared, recipe: Recipe, data: Data) -> Pictures:
    """Look at all pictures, and fit what training needs on the training ones.

    Raises Fault(InvalidData) for pictures that can't be opened, and for a shape that can't be had.
    """
    assert prepared.schema is not None
    (column,) = (column.name for column in prepared.schema.inputs)
    seen = looking.look(prepared.train, column, "training")
    for part, rows in (("validation", prepared.validation), ("test", prepared.test)):
        if rows is not None:
            looking.look(rows, column, part)
    shape = _shape(seen, recipe.model, data)
    picturing = Picturing(*shape, data.image_fit)
    if recipe.model.storage_uri is not None:
        mean, deviation = IMAGENET_MEAN, IMAGENET_DEVIATION
    else:
        mean, deviation = _scale(*looking.sums(prepared.train, column, picturing))
    smallest, largest = seen.sizes.min(axis=0).tolist(), seen.sizes.max(axis=0).tolist()
    sizes = " to ".join(dict.fromkeys(f"{height} x {width}" for height, width in (smallest, largest)))
    own = "" if data.image_shape is not None else "; spec.data.imageShape sets another size"
    note = (
        f"{len(seen.sizes)} training pictures of {sizes} pixels, "
        f"{'grey' if seen.grey else 'in colours'}; the model sees {shape[0]} x {shape[1]} x {shape[2]}{own}"
    )
    augment = prepared.augment
    return Pictures(column, shape, data.image_fit, mean, deviation, augment, (note,))


def _shape(seen: looking.Look, architecture: Architecture, data: Data) -> tuple[int, int, int]:
    ready_made = architecture.architecture in TORCHVISION
    name = architecture.architecture
    channels = COLOURS if ready_made or not seen.grey else 1
    if data.image_shape is not None:
        height, width, channels = (*data.image_shape, channels)[:3]
    else:
        height, width = _sides(looking.median(seen), LARGEST_TORCHVISION if ready_made else LARGEST)
        if ready_made:
            height, width = max(height, SMALLEST_TORCHVISION), max(width, SMALLEST_TORCHVISION)
    if channels not in (1, COLOURS):
        raise Fault(
            "InvalidData",
            f"spec.data.imageShape has {channels} channels, and a picture has 1 (grey) or 3 (red, green, blue): "
            "correct it, or leave the channels out.",
        )
    if ready_made and channels != COLOURS:
        raise Fault(
            "InvalidData", f"spec.data.imageShape has 1 channel, and {name} takes 3: leave the channels out, or say 3."
        )
    if ready_made and min(height, width) < SMALLEST_TORCHVISION:
        raise Fault(
            "InvalidData",
            f"spec.data.imageShape is {height} x {width}, and {name} needs {SMALLEST_TORCHVISION} pixels a side at "
            "least: make it larger, or choose cnn.",
        )
    return height, width, channels


def _sides(median: tuple[int, int], largest: int) -> tuple[int, int]:
    """Height and width in the proportions of the median, the longer one no longer than `largest`."""
    smaller = min(1.0, largest / max(median))
    return max(1, round(median[0] * smaller)), max(1, round(median[1] * smaller))


def _scale(mean: np.ndarray, deviation: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    # A channel that never varies is left at 0 rather than blown up by a division by (almost) nothing.
    return tuple(mean.tolist()), tuple(np.where(deviation < 1e-3, 1.0, deviation).tolist())
