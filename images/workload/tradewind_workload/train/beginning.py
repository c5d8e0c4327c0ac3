"""What the log says when a network's training begins, also whether it has steps enough to learn anything."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradewind.api.trainingjob import Recipe

# Of networks that start from random weights. `bag` needs about 150 to tell 3 topics of short texts apart with the
# learning rate that it has when none is given; with 70 it is right for two of three texts.
ENOUGH_STEPS = 200


def beginning(recipe: Recipe, each: int, done: int) -> str:
    """Of a training with `each` steps in an epoch, of which `done` epochs are done."""
    if done:
        return f"continuing after epoch {done}"
    steps = recipe.epochs * each
    if steps >= ENOUGH_STEPS or recipe.model.storage_uri is not None:
        return "starting"
    return (
        f"starting; {steps} steps in all ({each} in each of {recipe.epochs} epochs) are few for a network that starts "
        f"from random weights: if it learns too little, set spec.recipe.epochs to {math.ceil(ENOUGH_STEPS / each)} or "
        "more"
    )
