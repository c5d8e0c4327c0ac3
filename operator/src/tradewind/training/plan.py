"""Decide about a TrainingJob: whether it can be carried out, what runs, and what its result is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache, partial
from typing import Any

from tradewind.api.report import Report
from tradewind.api.trainingjob import TrainingJob
from tradewind.core.conditions import Reason, Verdict
from tradewind.core.controller import Surroundings
from tradewind.core.guessing import better_than_guessing, more_rows
from tradewind.core.plan import Observed, Plan, Refusal
from tradewind.core.podmetadata import not_allowed
from tradewind.core.references import taken
from tradewind.ray import life
from tradewind.ray.document import LARGEST
from tradewind.ray.job import RAY_JOB
from tradewind.ray.view import Job
from tradewind.training.placement import place
from tradewind.training.program import program


def plan(item: TrainingJob, observed: Observed, surroundings: Surroundings, now: datetime) -> Plan:
    """One pass over a TrainingJob."""
    return life.plan(_job(item, observed, surroundings), observed, surroundings, now)


def _job(item: TrainingJob, observed: Observed, surroundings: Surroundings) -> Job:
    if RAY_JOB in observed.missing:
        return _refused(item, life.without_kuberay())
    placed = place(item.spec, surroundings.config, item.status.pool)
    if isinstance(placed, Refusal):
        return _refused(item, placed)
    if (refusal := not_allowed(item.spec.pod_metadata, surroundings.config)) is not None:
        return _refused(item, refusal)
    if (refusal := taken(observed.writers, item.status)) is not None:
        return _refused(item, refusal)
    groups, choice = placed
    attempts = cache(partial(program, item, surroundings))  # a pass asks for the same attempt several times
    size = len(attempts(1).document.encode())
    if size > LARGEST:
        remedy = (
            "put long arguments and variables into a file of spec.entrypoint.workingDir"
            if item.spec.entrypoint is not None
            else "shorten spec.data.inputs, or leave it out to take all columns"
        )
        words = f"The spec has {size} bytes, and {LARGEST} can be handed to a pod: {remedy}."
        return _refused(item, Refusal(Reason.SPEC_TOO_LARGE, words))
    return Job(
        item=item,
        accepted=Verdict("Accepted", "True", Reason.ACCEPTED, f"It runs on pool {choice.name}: {choice.reason}."),
        groups=groups,
        choice=choice,
        program=attempts,
        further=attempts,
        reports_result=item.spec.recipe is not None,
        result=_result,
        judged=partial(_judged, item),
    )


def _refused(item: TrainingJob, refusal: Refusal) -> Job:
    return Job(
        item=item,
        accepted=life.refused(item, refusal),
        reports_result=item.spec.recipe is not None,
        result=_result,
        judged=partial(_judged, item),
    )


def _result(report: Report) -> tuple[Mapping[str, Any], str] | None:
    model = report.model
    if model is None:
        return None
    measured = ", ".join(f"{metric.name} {metric.value}" for metric in model.metrics)
    judged = model.evaluation
    on = f" on {judged.rows} {judged.part.lower()} rows" if judged is not None else ""
    beside = f" {model.leaves_out()}" if model.left_out else ""
    beside += "" if model.report_uri is None else f" Its report is {model.report_uri}."
    return {"model": model}, f"The model is in {model.storage_uri}{f': {measured}{on}' if measured else ''}.{beside}"


def _judged(item: TrainingJob, report: Report) -> tuple[Verdict, ...]:
    """Whether the model is better than guessing, and what to do where it is not."""
    evaluation = report.model.evaluation if report.model is not None else None
    if evaluation is None:
        return ()
    recipe = item.spec.recipe
    weigh = recipe is not None and recipe.may_yet_weigh and evaluation.uneven
    changes = ["spec.recipe.classWeights Balanced"] if weigh else []
    changes += [more_rows(evaluation), "other inputs"]
    again = f"delete this {item.kind} and create it again, or create one of another name"
    return better_than_guessing(evaluation, f"Try {', '.join(changes[:-1])} or {changes[-1]}: {again}.")
