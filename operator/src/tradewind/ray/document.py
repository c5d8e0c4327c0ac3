"""job.json: the document that a program starts with, as text."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Literal

from tradewind.api.base import ObjectMeta
from tradewind.api.report import JobDocument, SourceModel, report_path
from tradewind.core.names import run_name
from tradewind.economics.prices import money

# It is an annotation of the pods, whose annotations together may have 256 KiB.
LARGEST = 200 * 1024


def report_url(base: str, plural: str, metadata: ObjectMeta) -> str:
    """Where the program of that object posts its reports."""
    return base + report_path(metadata.namespace, plural, metadata.name)


def document(
    kind: Literal["TrainingJob", "CompressionJob"],
    metadata: ObjectMeta,
    attempt: int,
    url: str,
    spec: dict[str, Any],
    *,
    price_per_hour: Decimal | None = None,
    source: SourceModel | None = None,
) -> str:
    """The JSON, the same for the same attempt. `spec` is without runPolicy, which is the operator's and may change."""
    job = JobDocument(
        kind=kind,
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        attempt=attempt,
        run=run_name(attempt),
        report_url=url,
        price_per_hour=None if price_per_hour is None else money(price_per_hour),
        source=source,
        spec=spec,
    )
    return json.dumps(job.dump(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
