"""What an attempt of a CompressionJob runs, and with which volumes."""

from __future__ import annotations

from typing import Any

from tradewind.api.compressionjob import CompressionJob
from tradewind.compression.source import Source
from tradewind.core.controller import Surroundings
from tradewind.core.labels import RUN, labels
from tradewind.core.names import run_name
from tradewind.economics.prices import per_hour
from tradewind.ray.document import document, report_url
from tradewind.ray.groups import Group
from tradewind.ray.pods import Program, claims


def program(item: CompressionJob, source: Source, group: Group, surroundings: Surroundings, attempt: int) -> Program:
    """The program of that attempt, on the one pod of the group."""
    url = report_url(surroundings.config.reporting.url, item.plural, item.metadata)
    told: dict[str, Any] = item.spec.written() | {"data": source.data.written()}
    told.pop("runPolicy", None)
    told["resources"] = {"cpu": group.cpu, "memory": group.memory}
    # The rows that it reports say where they were measured.
    measure = told.setdefault("measure", {})
    measure["resources"] = {**measure.get("resources", {}), "pool": group.pool.name}
    replica = item.spec.measure.resources
    datasets = [dataset.storage_uri for dataset in source.data.sets()]
    return Program(
        image=surroundings.config.images.workload,
        labels={**labels(item.kind, item.metadata.name), RUN: run_name(attempt)},
        document=document(
            "CompressionJob",
            item.metadata,
            attempt,
            url,
            told,
            price_per_hour=per_hour(group.pool, replica.cpu, replica.memory, replica.accelerators),
            source=source.model,
        ),
        ca=surroundings.ca,
        report_url=url,
        pod_labels=item.spec.pod_metadata.labels,
        pod_annotations=item.spec.pod_metadata.annotations,
        tokens=surroundings.tokens,
        claims=claims([source.model.storage_uri, *datasets], [item.spec.output.storage_uri]),
    )
