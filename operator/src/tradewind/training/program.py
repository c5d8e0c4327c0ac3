"""What an attempt of a TrainingJob runs, and with which volumes."""

from __future__ import annotations

from typing import Any

from tradewind.api.trainingjob import EnvVar, TrainingJob, TrainingJobSpec
from tradewind.core.controller import Surroundings
from tradewind.core.labels import RUN, labels
from tradewind.core.names import run_name
from tradewind.ray.document import document, report_url
from tradewind.ray.pods import Program, claims


def program(item: TrainingJob, surroundings: Surroundings, attempt: int) -> Program:
    """The program of that attempt."""
    spec, entrypoint = item.spec, item.spec.entrypoint
    url = report_url(surroundings.config.reporting.url, item.plural, item.metadata)
    return Program(
        image=(entrypoint.image if entrypoint else None) or surroundings.config.images.workload,
        labels={**labels(item.kind, item.metadata.name), RUN: run_name(attempt)},
        document=document("TrainingJob", item.metadata, attempt, url, _told(spec)),
        agent_image=surroundings.config.images.workload if entrypoint and entrypoint.image else None,
        ca=surroundings.ca,
        report_url=url,
        tokens=surroundings.tokens,
        claims=claims(_inputs(spec), [spec.output.storage_uri]),
        working_dir=entrypoint.working_dir.config_map if entrypoint and entrypoint.working_dir else None,
        pod_labels=spec.pod_metadata.labels,
        pod_annotations=spec.pod_metadata.annotations,
        env=tuple(_variable(variable) for variable in entrypoint.env) if entrypoint else (),
    )


def _inputs(spec: TrainingJobSpec) -> list[str]:
    found = [] if spec.data is None else [dataset.storage_uri for dataset in spec.data.sets()]
    if spec.recipe is not None and spec.recipe.model.storage_uri is not None:
        found.append(spec.recipe.model.storage_uri)
    return found


def _told(spec: TrainingJobSpec) -> dict[str, Any]:
    """The spec without what is not the program's: how the job lives, and variables, which the container has already."""
    told = spec.written()
    told.pop("runPolicy", None)
    if spec.entrypoint is not None:
        told["entrypoint"].pop("env", None)
    return told


def _variable(variable: EnvVar) -> dict[str, Any]:
    if variable.secret_key_ref is not None:
        key = variable.secret_key_ref
        return {"name": variable.name, "valueFrom": {"secretKeyRef": {"name": key.name, "key": key.key}}}
    # Kubernetes would put variables in place of $(NAME) and $ in place of $$: the value is to arrive as it was written.
    return {"name": variable.name, "value": (variable.value or "").replace("$", "$$")}
