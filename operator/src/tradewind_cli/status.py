"""What the status of the objects would say, in lines for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradewind.core.guessing import better_than_guessing, more_rows
from tradewind_cli.drawing import lost, rate
from tradewind_cli.volumes import path_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tradewind.api.compressionjob import CompressionJob, Variant
    from tradewind.api.modeldeployment import ChosenVariant, ModelDeployment
    from tradewind.api.trainingjob import TrainingJob


def of_training(item: TrainingJob, folder: Path) -> Iterator[str]:
    """Metrics of the model, whether it is better than guessing, and where it lies."""
    model = item.status.model
    assert model is not None
    metrics = ", ".join(f"{metric.name} {metric.value}" for metric in model.metrics)
    yield f"TrainingJob {item.metadata.name}: Complete, {metrics}"
    if model.left_out:
        yield f"  {model.leaves_out()}"
    if (judged := model.evaluation) is not None:
        recipe = item.spec.recipe
        weigh = recipe is not None and recipe.may_yet_weigh and judged.uneven
        remedy = f"Try {'spec.recipe.classWeights Balanced, ' if weigh else ''}{more_rows(judged)} or other inputs."
        yield from (f"  {verdict.message}" for verdict in better_than_guessing(judged, remedy))
    yield f"  {path_of(folder, model.storage_uri)} ({model.digest})"


def of_compression(item: CompressionJob, folder: Path) -> Iterator[str]:
    """A line a variant, and where the report lies."""
    rows: list[tuple[str, ...]] = [
        ("variant", "verdict", "quality", "loss (95 % interval)", "p95 ms", "a second", "bytes", "times as fast")
    ]
    rows += [_row(variant) for variant in item.status.variants]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    yield f"CompressionJob {item.metadata.name}: Complete, measured on this machine ({item.status.processor})"
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for variant in item.status.variants:
        if variant.verdict != "Accepted" and variant.reason:
            yield f"  {variant.name}: {variant.reason}"
    if item.status.report_uri is not None:
        yield f"  {path_of(folder, item.status.report_uri) / 'report.html'}"


def _row(variant: Variant) -> tuple[str, ...]:
    slow = next((row.milliseconds for row in variant.latencies if row.percentile == 95), None)
    quality = f"{variant.quality.metric} {variant.quality.value}" if variant.quality is not None else ""
    return (
        variant.name,
        variant.verdict,
        quality,
        lost(variant.quality),
        str(slow or ""),
        rate(variant),
        str(variant.size_bytes or ""),
        variant.speedup.value if variant.speedup is not None else "",
    )


def of_deployment(item: ModelDeployment, chosen: ChosenVariant) -> Iterator[str]:
    """Which model is served, and why not another one."""
    yield f"ModelDeployment {item.metadata.name}: {chosen.name}"
    yield f"  {chosen.reason}"
    if chosen.runner_up:
        yield f"  The next one: {chosen.runner_up}"
    for rejected in chosen.rejected or ():
        yield f"  {rejected.name}: {rejected.reason}"
    if chosen.throughput_per_second is not None:
        yield "  Speeds are those of this machine, and a replica on a cluster differs; costs are not known here."
