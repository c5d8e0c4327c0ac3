"""What a recipe's model is judged by: the head of its training rows, and the verdict on the finished model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tradewind.api.evaluation import Evaluation
from tradewind_workload.heads.certainty import certainty
from tradewind_workload.heads.classification import Classification
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from tradewind.api.trainingjob import Recipe
    from tradewind_workload.data.preparation import Prepared
    from tradewind_workload.data.rows import Rows


def head_of(prepared: Prepared) -> Classification:
    """The head of a classification."""
    return Classification.of(prepared.train.classes, len(prepared.labels))


def judging_part(prepared: Prepared) -> tuple[str, Rows]:
    """Name and rows of what the finished model is judged by: the test data, else the validation data."""
    return ("Test", prepared.test) if prepared.test is not None else ("Validation", prepared.validation)


def require_measurable(prepared: Prepared, recipe: Recipe) -> tuple[str, ...]:
    """Sentences about classes that a part has no row of, for the log.

    Raises Fault(InvalidData) where the primary metric can't be measured for that reason.
    """
    head = head_of(prepared)
    metric = head.primary(recipe.primary_metric).name
    notes = []
    for name, rows in (("validation", prepared.validation), ("test", prepared.test)):
        if rows is None:
            continue
        absent = np.setdiff1d(np.arange(len(prepared.labels)), rows.classes)
        shown = ", ".join(repr(prepared.labels[label]) for label in absent[:5])
        if head.undefined(metric, rows.classes):
            raise Fault(
                "InvalidData",
                f"none of the {len(rows)} {name} rows is of class {shown}: {metric} can't be measured on them. Give "
                f"more rows of it, a larger spec.data.{name}Fraction, or {name} data of its own (spec.data.{name}).",
            )
        if len(absent):
            notes.append(
                f"none of the {len(rows)} {name} rows is of class {shown}"
                f"{f' and {len(absent) - 5} more' if len(absent) > 5 else ''}: nothing is measured of that"
            )
    return tuple(notes)


def evaluate(prepared: Prepared, recipe: Recipe, probabilities: np.ndarray) -> tuple[dict[str, float], Evaluation]:
    """All metrics of the finished model on the part that judges it, and what the primary one is worth.

    `probabilities` are float32 [n, classes], of the rows of that part.
    """
    head, (part, rows) = head_of(prepared), judging_part(prepared)
    metric = head.primary(recipe.primary_metric)
    found = certainty(metric, probabilities, head.guesses(len(rows)), rows.classes, rows.classes, recipe.seed)
    return head.measured(probabilities, rows.classes, metric.name), Evaluation(
        metric=metric.name,
        value=decimal(found.value),
        low=decimal(found.low),
        high=decimal(found.high),
        part=part,
        rows=len(rows),
        guessing=decimal(found.guessing),
        better_than_guessing=found.better_than_guessing,
        commonest=prepared.labels[head.commonest][:256],
        rarest=prepared.labels[head.rarest][:256],
        positive=None if head.positive is None else prepared.labels[head.positive][:256],
    )


def decimal(value: float, digits: int = 6) -> str:
    """A measurement as the decimal string that the API has it as."""
    text = f"{value:.{digits}f}"
    short = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if short == "-0" else short
