"""Which family of models trains on prepared rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradewind.api.data import Data
    from tradewind.api.trainingjob import Recipe
    from tradewind_workload.data.dataset import Takes
    from tradewind_workload.data.preparation import Prepared
    from tradewind_workload.tasks.family import Fitted


def takes(recipe: Recipe) -> Takes:
    """What the models of a recipe can take."""
    if recipe.task.startswith("text-"):
        return "texts"
    if recipe.model.architecture == "trees":
        return "columns"
    return "either" if recipe.task.startswith("tabular-") else "matrix"


def trimmed(prepared: Prepared, data: Data) -> Prepared:
    """The same without training rows that a step leaves out by what all of them show. Raises Fault(InvalidData)."""
    if prepared.schema is None:
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
    from tradewind_workload.tasks.tabular import family as tabular

    return tabular.fit(prepared, data.prepare, trees=recipe.model.architecture == "trees")


def encoded(prepared: Prepared, fitted: Fitted) -> Prepared:
    """The same with rows that load as a network takes them."""
    if prepared.schema is None:
        return prepared
    train, validation = (rows.encoded(fitted.rows, fitted.shape) for rows in (prepared.train, prepared.validation))
    test = prepared.test.encoded(fitted.rows, fitted.shape) if prepared.test is not None else None
    return replace(prepared, train=train, validation=validation, test=test, row_shape=fitted.shape)
