"""What a recipe's model is judged by: the head of its training rows, and the verdict on the finished model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind.api.artefact import SplitRecord
from tradewind.api.base import KeyValue
from tradewind.api.evaluation import MISSED, MISSED_ROWS, Evaluation
from tradewind_workload.data.splits import occurring
from tradewind_workload.data.streamed import Streamed
from tradewind_workload.heads.answer import Answer, Classes, Labels, Value
from tradewind_workload.heads.certainty import certainty
from tradewind_workload.heads.classification import Classification
from tradewind_workload.heads.multilabel import MultiLabel, answered
from tradewind_workload.heads.regression import Regression
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tradewind.api.trainingjob import Recipe
    from tradewind_workload.data.preparation import Prepared
    from tradewind_workload.data.rows import Rows
    from tradewind_workload.heads.head import Head

ALIKE = 0.75  # classes are of about one size where the rarest has this share of the training rows of the commonest
SMALL, BEYOND = 1e-3, 1e50  # of metrics


def head_of(prepared: Prepared) -> Head:
    """What the answers are measured by: labels or classes where the labels have names, else numbers."""
    if isinstance(prepared.train, Streamed):
        tally = prepared.train.tally
        if prepared.several:
            return MultiLabel(tally.classes, tally.rows)
        if prepared.labels:
            return Classification(tally.classes, prepared.judged_by)
        return Regression(tally.spread.mean)
    if prepared.several:
        return MultiLabel.of(prepared.train.targets)
    if prepared.labels:
        return replace(Classification.of(prepared.train.targets, len(prepared.labels)), judged_by=prepared.judged_by)
    return Regression.of(prepared.train.targets)


def answer_of(prepared: Prepared) -> Answer:
    """What the model gives."""
    if prepared.several:
        return Labels(prepared.labels)
    if prepared.labels:
        return Classes(prepared.labels)
    if isinstance(prepared.train, Streamed):
        spread = prepared.train.tally.spread
        return Value(spread.mean, spread.deviation or 1.0)
    return Value.of(prepared.train.targets)


def judging_part(prepared: Prepared) -> tuple[str, Rows]:
    """Name and rows of what the finished model is judged by: the test data, else the validation data."""
    return ("Test", prepared.test) if prepared.test is not None else ("Validation", prepared.validation)


def require_measurable(prepared: Prepared, recipe: Recipe) -> tuple[str, ...]:
    """Sentences about classes or labels that a part has no row of, for the log.

    Raises Fault(InvalidData) where the primary metric can't be measured for that reason.
    """
    head = head_of(prepared)
    metric = head.primary(recipe.primary_metric).name
    notes = _always(head, prepared)
    of = "has the label" if prepared.several else "is of class"
    for name, rows in (("validation", prepared.validation), ("test", prepared.test)):
        if rows is None:
            continue
        undefined = head.undefined(metric, rows.targets)
        if not prepared.labels:
            if undefined:
                raise Fault(
                    "InvalidData",
                    f"all {len(rows)} {name} rows have the same label: {metric} can't be measured on them. Give more "
                    f"rows, a larger spec.data.{name}Fraction, or choose rmse as spec.recipe.primaryMetric.",
                )
            continue
        absent = np.setdiff1d(np.arange(len(prepared.labels)), occurring(rows.targets))
        shown = ", ".join(repr(prepared.labels[label]) for label in absent[:5])
        if undefined:
            raise Fault(
                "InvalidData",
                f"none of the {len(rows)} {name} rows {of} {shown}: {metric} can't be measured on them. Give "
                f"more rows of it, a larger spec.data.{name}Fraction, or {name} data of its own (spec.data.{name}).",
            )
        if len(absent):
            notes.append(
                f"none of the {len(rows)} {name} rows {of} {shown}"
                f"{f' and {len(absent) - 5} more' if len(absent) > 5 else ''}: nothing is measured of that"
            )
    return tuple(notes)


def _always(head: Head, prepared: Prepared) -> list[str]:
    """A sentence on labels that all training rows have."""
    if not isinstance(head, MultiLabel) or not (always := np.flatnonzero(head.counts == head.rows)).size:
        return []
    shown = ", ".join(repr(prepared.labels[label]) for label in always[:5])
    more = f" and {len(always) - 5} more" if len(always) > 5 else ""
    return [f"all training rows have the label {shown}{more}: nothing but that can be learnt of it"]


def evaluate(prepared: Prepared, recipe: Recipe, answers: np.ndarray) -> tuple[dict[str, float], Evaluation]:
    """All metrics of the finished model on the part that judges it, and what the primary one is worth.

    `answers` are probabilities, float32 [n, classes or labels], or values, float32 [n], for the rows of that part.
    """
    head, (part, rows) = head_of(prepared), judging_part(prepared)
    metric = head.primary(recipe.primary_metric)
    groups = rows.targets if prepared.labels else None
    if prepared.several:
        groups = np.asarray(rows.targets.any(1), np.int64)
    found = certainty(metric, answers, head.guesses(len(rows)), rows.targets, groups, recipe.seed)
    return head.measured(answers, rows.targets, metric.name), Evaluation(
        metric=metric.name,
        value=metric_of(found.value),
        low=metric_of(found.low),
        high=metric_of(found.high),
        part=part,
        rows=len(rows),
        guessing=metric_of(found.guessing),
        better_than_guessing=found.better_than_guessing,
        **_missed(head, answers, rows.targets, prepared.labels),
        **_classes(head, prepared.labels),
    )


def split_of(prepared: Prepared) -> SplitRecord:
    """What a manifest says of the division of the rows."""
    return SplitRecord(
        digest=prepared.split_digest,
        training_rows=len(prepared.train),
        validation_rows=len(prepared.validation),
        test_rows=0 if prepared.test is None else len(prepared.test),
        answers=prepared.answers_digest,
    )


def written(metrics: Mapping[str, float]) -> tuple[KeyValue, ...]:
    """Metrics as a manifest has them."""
    return tuple(KeyValue(name=name, value=metric_of(value)) for name, value in metrics.items())


def _missed(head: Head, answers: np.ndarray, truths: np.ndarray, labels: tuple[str, ...]) -> dict[str, Any]:
    """The first classes or labels with rows enough, of which none was found, and their rows; empty where all were."""
    if isinstance(head, Regression):
        return {}
    if isinstance(head, MultiLabel):
        rows, found = (truths > 0).sum(0), (answered(answers) & (truths > 0)).any(0)
    else:
        rows = np.bincount(truths, minlength=len(labels))
        found = np.isin(np.arange(len(labels)), truths[answers.argmax(1) == truths])
    missed = np.flatnonzero((rows >= MISSED_ROWS) & ~found)
    if not len(missed):
        return {}
    return {"missed": tuple(labels[i][:256] for i in missed[:MISSED]), "missed_rows": int(rows[missed].sum())}


def _classes(head: Head, labels: tuple[str, ...]) -> dict[str, Any]:
    """The classes that sentences name, or how many labels there are."""
    if isinstance(head, Regression):
        return {}
    if isinstance(head, MultiLabel):
        return {"labels": len(labels)}
    rarest = head.rarest if head.counts.min() < ALIKE * head.counts.max() else None
    named = {"commonest": head.commonest, "rarest": rarest, "positive": head.positive}
    return {name: labels[index][:256] for name, index in named.items() if index is not None}


def decimal(value: float, digits: int = 6) -> str:
    """A measurement as the decimal string that the API has it as."""
    text = f"{value:.{digits}f}"
    short = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if short == "-0" else short


def metric_of(value: float) -> str:
    """A metric, which has the scale of the labels, as such a string: six digits that count where it is small.

    Beyond 10^50, where no string of the API's length says it, it is told as that.
    """
    held = min(max(value, -BEYOND), BEYOND)
    small = 1 / BEYOND < abs(held) < SMALL
    return decimal(held, 5 - math.floor(math.log10(abs(held))) if small else 6)
