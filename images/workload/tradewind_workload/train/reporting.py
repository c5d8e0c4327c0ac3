"""The report of a finished model: report.json for programs and report.html for people, beside it."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tradewind.api.trainingjob import Showing
from tradewind_workload.data.blocks import block_inputs
from tradewind_workload.data.streamed import tally_of
from tradewind_workload.heads.classification import Classification
from tradewind_workload.heads.regression import Regression
from tradewind_workload.io.files import REPORT, REPORT_PAGE
from tradewind_workload.io.reporter import rfc3339
from tradewind_workload.report.classes import classes_of
from tradewind_workload.report.columns import described
from tradewind_workload.report.figures import cut, rounded
from tradewind_workload.report.mistakes import Shown, of_arrays, of_table, wrong_classes, wrong_sets, wrong_values
from tradewind_workload.report.page import page
from tradewind_workload.report.quality import quality_of
from tradewind_workload.report.record import CLASSES, NAME, NOTES, Curve, Made, Part, Phase, Record, Spent, Split, Step
from tradewind_workload.report.sets import sets_of
from tradewind_workload.report.software import versions
from tradewind_workload.report.values import values_of
from tradewind_workload.tasks.family import Telling
from tradewind_workload.train.judging import head_of, judging_part

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from tradewind.api.evaluation import Evaluation
    from tradewind.api.report import JobDocument
    from tradewind.api.trainingjob import TrainingJobSpec
    from tradewind_workload.data.preparation import Prepared
    from tradewind_workload.report.record import Mistake, Quality
    from tradewind_workload.tasks.family import Fitted


@dataclass(frozen=True)
class Course:
    """How a model came about."""

    curve: Curve | None = None
    became: Mapping[str, str] = field(default_factory=dict)  # what the model gets of each column
    notes: tuple[str, ...] = ()  # what the family says of it
    seconds: Mapping[str, float] = field(default_factory=dict)  # of each phase so far
    since: float = field(default_factory=time.monotonic)  # when the last phase, that of exporting, began


def told_of(fitted: Fitted, prepared: Prepared) -> tuple[dict[str, str], tuple[str, ...]]:
    """What the family gets of each column, and its notes: `became` and `notes` of a Course."""
    columns = tuple(column.name for column in prepared.seen.inputs) if prepared.seen is not None else ()
    return fitted.became(columns) if isinstance(fitted, Telling) else {}, fitted.notes


def report_files(
    job: JobDocument,
    spec: TrainingJobSpec,
    prepared: Prepared,
    course: Course,
    evaluation: Evaluation,
    answers: Mapping[Literal["validation", "test"], np.ndarray],
) -> dict[str, bytes]:
    """Both files by name; `answers` are those of the stored model to all rows of each part that it was asked.

    A model that is whole is not lost for its report: where that can't be made, the log says why, and there is none.
    """
    try:
        record = record_of(job, spec, prepared, course, evaluation, answers)
        return {REPORT: record.file(), REPORT_PAGE: page(record).encode()}
    except Exception as error:  # noqa: BLE001 -- see above
        traceback.print_exc()
        print(f"the report could not be made ({type(error).__name__}: {error}); the model is whole", flush=True)
        return {}


def record_of(
    job: JobDocument,
    spec: TrainingJobSpec,
    prepared: Prepared,
    course: Course,
    evaluation: Evaluation,
    answers: Mapping[Literal["validation", "test"], np.ndarray],
) -> Record:
    """The content of the report."""
    assert spec.recipe is not None and spec.data is not None
    recipe, head = spec.recipe, head_of(prepared)
    _, judging = judging_part(prepared)
    part: Literal["validation", "test"] = "test" if prepared.test is not None else "validation"
    told, most = answers[part], (spec.report or Showing()).mistakes
    columns, columns_in_all = described(prepared.seen, course.became)
    return Record(
        object=Made(kind=job.kind, namespace=job.namespace, name=job.name, uid=job.uid, attempt=job.attempt),
        written_at=rfc3339(),
        task=recipe.task,
        labels=tuple(cut(label, NAME) for label in prepared.labels[:CLASSES]),
        columns=columns,
        columns_in_all=columns_in_all,
        shape=None if prepared.seen is not None and prepared.image is None else prepared.row_shape,
        steps=tuple(
            Step(where=step.where, step=step.step, before=step.before, after=step.after) for step in prepared.steps
        ),
        notes=_notes(prepared, course),
        split=_split(spec, prepared),
        curve=course.curve,
        primary_metric=evaluation.metric,
        better_than_guessing=evaluation.better_than_guessing,
        quality=_quality(prepared, evaluation, answers, recipe.seed),
        commonest=evaluation.commonest,
        classes=classes_of(head, prepared.labels, told, judging.targets) if isinstance(head, Classification) else None,
        sets=sets_of(prepared.labels, told, judging.targets) if prepared.several else None,
        values=values_of(told, judging.targets, recipe.seed) if isinstance(head, Regression) else None,
        mistakes=_mistakes(prepared, told, most),
        mistakes_asked=most,
        spent=_spent(spec, course),
        software=versions(recipe.model.architecture),
        recipe=recipe.written(),
        data=spec.data.written(),
    )


def _notes(prepared: Prepared, course: Course) -> tuple[str, ...]:
    """What neither the steps say nor the columns."""
    said = {step.note for step in prepared.steps}
    columns = set(course.became)
    notes = [note for note in prepared.notes if note not in said]
    notes += [note for note in course.notes if not any(note.startswith(f"the column {name!r} ") for name in columns)]
    return tuple(cut(note, 4 * NAME) for note in notes[:NOTES])


def _quality(
    prepared: Prepared,
    evaluation: Evaluation,
    answers: Mapping[Literal["validation", "test"], np.ndarray],
    seed: int,
) -> tuple[Quality, ...]:
    """Of each part, the one that judges first; what counts has the very interval that the status has."""
    rows = {"validation": prepared.validation, "test": prepared.test}
    head, found = head_of(prepared), []
    for name in ("test", "validation"):
        part = rows[name]
        if name not in answers or part is None or head.undefined(evaluation.metric, part.targets):
            continue
        found.append(quality_of(head, name, evaluation.metric, answers[name], part.targets, seed))
    judged = found[0]
    low, high = rounded(float(evaluation.low)), rounded(float(evaluation.high))
    ends = {"low": None, "high": None} if low == high else {"low": low, "high": high}
    counts = judged.metrics[0].model_copy(update=ends)
    return (judged.model_copy(update={"metrics": (counts, *judged.metrics[1:])}), *found[1:])


def _mistakes(prepared: Prepared, told: np.ndarray, most: int) -> tuple[Mistake, ...]:
    _, judging = judging_part(prepared)

    def show(numbers: np.ndarray) -> Shown:
        if not len(numbers):
            return Shown((), ())
        rows = judging.take(numbers)
        table = rows.table()
        if prepared.schema is not None:
            return of_table(table, rows.places())
        return of_arrays(block_inputs(table), rows.places(), prepared.columns, prepared.image)

    if prepared.several:
        return wrong_sets(show, prepared.labels, told, judging.targets, most)
    if prepared.labels:
        return wrong_classes(show, prepared.labels, told, judging.targets, most)
    return wrong_values(show, told, judging.targets, most)


def _split(spec: TrainingJobSpec, prepared: Prepared) -> Split:
    data = spec.data
    assert data is not None
    divides = data.validation_fraction is not None or data.test_fraction is not None
    parts = []
    for name, rows in (("train", prepared.train), ("validation", prepared.validation), ("test", prepared.test)):
        if rows is not None:
            counts = tally_of(rows, len(prepared.labels)).classes
            parts.append(Part(name=name, rows=len(rows), classes=tuple(int(count) for count in counts[:CLASSES])))
    by = (data.split.by if data.split is not None else "Row") if divides else None
    return Split(
        by=by,
        column=data.split.column if data.split is not None else None,
        digest=prepared.split_digest,
        parts=tuple(parts),
    )


def _spent(spec: TrainingJobSpec, course: Course) -> Spent:
    phases = dict(course.seconds) | {"export and judge": time.monotonic() - course.since}
    return Spent(
        phases=tuple(Phase(name=name, seconds=rounded(round(seconds, 2))) for name, seconds in phases.items()),
        workers=spec.workers,
        cpu=spec.resources.cpu,
        memory=spec.resources.memory,
        accelerators=spec.resources.accelerators,
        pool=spec.resources.pool,
    )
