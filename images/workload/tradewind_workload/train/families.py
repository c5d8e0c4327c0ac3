"""Which family of models trains on prepared rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tradewind.api.trainingjob import TORCHVISION
from tradewind_workload.data.dataset import has_pictures
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import ENCODING
from tradewind_workload.io.retries import read_whole

if TYPE_CHECKING:
    from pathlib import Path

    from tradewind.api.artefact import Manifest
    from tradewind.api.data import Data
    from tradewind.api.trainingjob import Recipe
    from tradewind_workload.data.dataset import Takes
    from tradewind_workload.data.headers import Headers
    from tradewind_workload.data.preparation import Prepared
    from tradewind_workload.tasks.family import Fitted


def takes(recipe: Recipe) -> Takes:
    """What the models of a recipe can take."""
    if recipe.task.startswith("text-"):
        return "texts"
    if recipe.model.architecture == "trees":
        return "columns"
    return "either" if recipe.task.startswith("tabular-") else "matrix"


def require_taken(headers: Headers, recipe: Recipe) -> None:
    """Raises Fault(NotSupported) where the network can't take what the data has."""
    if recipe.model.architecture in TORCHVISION and not headers.pictures:
        raise Fault(
            "NotSupported",
            f"{recipe.model.architecture} takes files of pictures, and {headers.train.uri} has pixels as numbers: "
            "write them as PNG files, or set spec.recipe.model.architecture to cnn.",
        )


def trimmed(prepared: Prepared, data: Data) -> Prepared:
    """The same without training rows that a step leaves out by what all of them show. Raises Fault(InvalidData)."""
    if prepared.schema is None or has_pictures(prepared.schema):
        return prepared
    from tradewind_workload.tasks.tabular import family as tabular

    return tabular.without_outliers(prepared, data.prepare)


def fit(prepared: Prepared, recipe: Recipe, data: Data) -> Fitted:
    """What the family fits on the training rows. Raises Fault(InvalidData) where nothing can be learnt from them."""
    if prepared.schema is None:
        from tradewind_workload.tasks.matrix import family as matrix

        return matrix.fit(prepared)
    if recipe.task.startswith("text-"):
        from tradewind_workload.tasks.text import family as text

        return text.fit(prepared, recipe)
    if has_pictures(prepared.schema):
        from tradewind_workload.tasks.image import family as image

        return image.fit(prepared, recipe, data)
    from tradewind_workload.tasks.tabular import family as tabular

    return tabular.fit(prepared, data.prepare, trees=recipe.model.architecture == "trees")


def encoded(prepared: Prepared, fitted: Fitted) -> Prepared:
    """The same with rows that load as a network takes them."""
    if prepared.schema is None:
        return prepared
    train = prepared.train.encoded(fitted.rows, fitted.shape)
    validation = prepared.validation.encoded(fitted.rows, fitted.shape)
    test = prepared.test.encoded(fitted.rows, fitted.shape) if prepared.test is not None else None
    return replace(prepared, train=train, validation=validation, test=test, row_shape=fitted.shape)


def side(recipe: Recipe) -> int:
    """Pixels of the longer side of a picture that the models of a recipe see, where spec.data says nothing."""
    from tradewind_workload.tasks.image.family import LARGEST, LARGEST_TORCHVISION

    return LARGEST_TORCHVISION if recipe.model.architecture in TORCHVISION else LARGEST


def side_of(manifest: Manifest) -> int:
    """The same of a finished model; 0 where it takes no pictures."""
    pictures = (tensor.processor.picture for tensor in manifest.inputs if tensor.processor is not None)
    return max((max(picture.height, picture.width) for picture in pictures if picture is not None), default=0)


def read_by(manifest: Manifest) -> Takes:
    """What a finished model takes, as its inputs say."""
    kinds = {tensor.kind for tensor in manifest.inputs}
    if any(tensor.processor is not None and tensor.processor.tokenizer is not None for tensor in manifest.inputs):
        return "texts"
    return "matrix" if kinds <= {None, "image"} else "columns"


def read(manifest: Manifest, folder: Path, prepared: Prepared) -> Fitted:
    """What a family fitted when the model in the folder was trained, for other rows of its kind.

    Raises Fault(InvalidModel) where the folder lacks what it needs, StorageUnavailable.
    """
    takes, first = read_by(manifest), manifest.inputs[0]
    try:
        if takes == "texts":
            from tradewind_workload.tasks.text import family as text

            return text.read(manifest.inputs, folder)
        if takes == "columns":
            from tradewind_workload.tasks.tabular import family as tabular

            return tabular.read(read_whole(folder / ENCODING))
        if first.processor is not None:
            from tradewind_workload.tasks.image import family as image

            return image.read(first, prepared)
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        said = " ".join(str(error).split())[:300]
        raise Fault("InvalidModel", f"{folder} does not say how its model reads its inputs: {said}.") from None
    from tradewind_workload.tasks.matrix import family as matrix

    return matrix.read(first, prepared)
