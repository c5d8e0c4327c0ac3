"""How long a network trains, and what the log says of it when that begins."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tradewind.api.trainingjob import TORCHVISION
from tradewind_workload.train.best import Patience

if TYPE_CHECKING:
    from tradewind.api.trainingjob import Recipe

PASSES = 10  # epochs where the spec names none
# Steps of a network from random weights where the spec names no epochs. A few hundred rows are ten steps an epoch, and
# the learning rate falls over all steps: by epochs alone, the fewer rows there are the less is learnt of each.
STEPS = 1000
# So many of these, and at least PASSES epochs, have to bring neither a better metric nor a lower validation loss before
# such a training ends. With the metric alone it ended too soon: see docs/decisions.md.
PATIENT_STEPS = STEPS // 4
# `bag` needs about 150 to tell 3 topics of short texts apart with the learning rate that it has when none is given;
# with 70 it is right for two of three texts.
ENOUGH_STEPS = 200


def steps_of(rows: int, batch_size: int) -> int:
    """Steps of an epoch."""
    return max(1, math.ceil(rows / batch_size))


def epochs_of(recipe: Recipe, rows: int) -> int:
    """The epochs of a training on so many rows."""
    if recipe.epochs is not None:
        return recipe.epochs
    # A step of torchvision's networks takes seconds on CPUs; what starts from weights needs few.
    if recipe.model.storage_uri is not None or recipe.model.architecture in TORCHVISION:
        return PASSES
    return max(PASSES, math.ceil(STEPS / steps_of(rows, recipe.batch_size)))


def patience_of(recipe: Recipe, rows: int) -> Patience | None:
    """When a training on so many rows ends before its last epoch; None: never."""
    if recipe.early_stopping is not None:
        return Patience(recipe.early_stopping.patience)
    if recipe.epochs is not None or epochs_of(recipe, rows) == PASSES:
        return None
    return Patience(max(PASSES, math.ceil(PATIENT_STEPS / steps_of(rows, recipe.batch_size))), with_loss=True)


def beginning(recipe: Recipe, rows: int, done: int) -> str:
    """Of a training on so many rows, of which `done` epochs are done."""
    if done:
        return f"continuing after epoch {done}"
    return f"starting; {said}" if (said := length(recipe, rows)) else "starting"


def length(recipe: Recipe, rows: int) -> str:
    """What is to be said of the number of epochs; empty where that is what the spec asks for, and sound."""
    epochs, each = epochs_of(recipe, rows), steps_of(rows, recipe.batch_size)
    if epochs * each < ENOUGH_STEPS and recipe.model.storage_uri is None:
        return (
            f"{epochs * each} steps in all ({each} in each of {epochs} epochs) are few for a network that starts from "
            f"random weights: if it learns too little, set spec.recipe.epochs to {math.ceil(ENOUGH_STEPS / each)} or "
            "more"
        )
    if recipe.epochs is not None:
        return ""
    patience = patience_of(recipe, rows)
    fewer = ""
    if patience is not None:
        unless = "neither a better metric nor a lower validation loss" if patience.with_loss else "no better metric"
        fewer = f"; fewer where {patience.epochs} of them bring {unless}"
    return f"{epochs} epochs of {each} steps, as spec.recipe.epochs names no other number{fewer}"
