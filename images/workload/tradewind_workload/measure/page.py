"""The report of a compression beside its artefacts: report.json for programs, report.html for people."""

from __future__ import annotations

import html
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind_workload.io.files import write_atomically
from tradewind_workload.io.reporter import rfc3339

if TYPE_CHECKING:
    from pathlib import Path

    from tradewind.api.compressionjob import CompressionJobSpec, CompressionResult, Variant
    from tradewind.api.report import JobDocument

COLOURS = {
    "Accepted": "#1a7f5a",
    "Regression": "#b4232a",
    "NotFaster": "#8a6d00",
    "Infeasible": "#7a4bb5",
    "NotApplicable": "#666666",
    "Failed": "#666666",
}


@dataclass(frozen=True)
class Part:
    """What the variants were judged on."""

    name: str  # test or validation
    rows: int
    more_is_better: bool  # of the metric


def write_report(
    folder: Path, job: JobDocument, spec: CompressionJobSpec, result: CompressionResult, source_digest: str, part: Part
) -> None:
    """Write both files into the output folder."""
    content = {
        "object": {
            "kind": job.kind,
            "namespace": job.namespace,
            "name": job.name,
            "uid": job.uid,
            "attempt": job.attempt,
            "run": job.run,
        },
        "source": {"storageUri": job.source.storage_uri if job.source else None, "digest": source_digest},
        "judged": {"part": part.name, "rows": part.rows},
        "goals": spec.goals.dump(),
        "measure": spec.measure.dump(),
        "pricePerHour": job.price_per_hour or "Unknown",
        "writtenAt": rfc3339(),
        **result.written(),
    }
    write_atomically(folder / "report.json", json.dumps(content, indent=1).encode())
    write_atomically(folder / "report.html", page(job, spec, result, part).encode())


def page(job: JobDocument, spec: CompressionJobSpec, result: CompressionResult, part: Part) -> str:
    """The page, with the plot inside: it needs no other file and no network."""
    accepted = [variant for variant in result.variants if variant.verdict == "Accepted" and variant.name != "baseline"]
    fastest = max(accepted, key=lambda variant: float(variant.speedup.value) if variant.speedup else 0, default=None)
    lead = (
        "No variant is worth more than the baseline."
        if fastest is None or fastest.speedup is None
        else f"{len(accepted)} of {_count(len(result.variants) - 1, 'candidate')} {_was(len(accepted))} accepted. "
        f"The fastest is {html.escape(fastest.name)}: "
        f"{fastest.speedup.value} times the baseline's speed (95 % interval {fastest.speedup.low} to "
        f"{fastest.speedup.high}), "
        f"{(fastest.size_bytes or 0) / (result.variants[0].size_bytes or 1):.0%} of its size, "
        f"{_quality(fastest)} after {_quality(result.variants[0])}."
    )
    measure = spec.measure
    batches = ", ".join(map(str, measure.batch_sizes))
    baseline = result.variants[0].quality
    metric = html.escape(baseline.metric if baseline is not None else "quality")
    lost = spec.goals.max_quality_loss.value
    most = "what goals.maxQualityLoss allows" if lost is None else f"{lost:f}"
    better = "" if part.more_is_better else ", for less of it is better"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(f"{job.namespace}/{job.name}")}: compression</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #1f2328; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; margin-bottom: .2rem; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
p.of {{ color: #59636e; margin-top: 0; }} svg {{ width: 100%; height: auto; }}
div.wide {{ overflow-x: auto; }} table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .35rem .7rem; border-bottom: 1px solid #d1d9e0; text-align: right; vertical-align: top;
  white-space: nowrap; }}
th:first-child, td:first-child, td.words {{ text-align: left; }} td.words {{ white-space: normal; min-width: 18rem; }}
b.verdict {{ font-weight: 600; }}
</style></head><body>
<h1>Compression {html.escape(job.name)}</h1>
<p class="of">{html.escape(job.namespace)} · {html.escape(result.processor or "")} ·
{_count(measure.threads, "thread")}</p>
<p>{lead}</p>
<h2>The frontier</h2>
{plot(result.variants, more_is_better=part.more_is_better)}
<p>Up and to the left is better; a larger dot is a larger file. The line is the best {metric} that can be had for a
latency. ★ in the table: no other variant is at least as good in {metric}, latency and size.</p>
<h2>All variants</h2>
<div class="wide"><table>
<tr><th>variant</th><th>verdict</th><th>{metric}</th><th>loss</th><th>p50 ms</th><th>p95 ms</th><th>p99 ms</th>
<th>speed</th><th>rows/s</th>
<th>size kB</th><th>memory MB</th><th>per million</th><th>methods and reason</th></tr>
{"".join(_row(variant) for variant in result.variants)}
</table></div>
<h2>How it was measured</h2>
<p>The {metric} is that of all {part.rows} {part.name} rows, through ONNX Runtime, which serves the model too; the loss
is what a variant is worse by than the baseline{better}. Latency is of one request with
{_count(measure.batch_sizes[0], "row")}. All variants were measured in the same minutes, in turns, in an order that was
drawn anew for each, {measure.repeats} requests each in several processes, after {measure.warmup} to warm up in each of
them; speed is the baseline's latency divided by the variant's, with an interval that holds the truth 99 times in 100.
Rows per second are at the best of the batch sizes {batches}. Memory is the peak of a process that serves nothing else.
An accepted variant lost at most {most} of {metric}, has at least 0.95 of the baseline's speed by the whole interval,
misses no goal, and its file gave
the same outputs after it was loaded back from the store.</p>
</body></html>
"""


def _quality(variant: Variant) -> str:
    return f"{variant.quality.metric} {variant.quality.value}" if variant.quality else ""


def _latency(variant: Variant, percentile: int = 50) -> str | None:
    return next((found.milliseconds for found in variant.latencies if found.percentile == percentile), None)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _row(variant: Variant) -> str:
    def cell(value: object) -> str:
        return f"<td>{html.escape(str(value)) if value is not None else '-'}</td>"

    speed = f"{variant.speedup.value} ({variant.speedup.low} to {variant.speedup.high})" if variant.speedup else None
    cost = variant.cost_per_million
    quality = variant.quality
    latencies = "".join(cell(_latency(variant, percentile)) for percentile in (50, 95, 99))
    return (
        f"<tr>{cell(variant.name + (' ★' if variant.pareto else ''))}"
        f'<td><b class="verdict" style="color:{COLOURS[variant.verdict]}">{variant.verdict}</b></td>'
        f"{cell(quality and quality.value)}{cell(quality and quality.loss)}{latencies}{cell(speed)}"
        f"{cell(variant.throughput_per_second)}"
        f"{cell(None if variant.size_bytes is None else f'{variant.size_bytes / 1000:.1f}')}"
        f"{cell(None if variant.peak_memory_bytes is None else f'{variant.peak_memory_bytes / 1e6:.0f}')}{cell(cost)}"
        f'<td class="words">{html.escape(variant.methods)}<br>{html.escape(variant.reason)}</td></tr>\n'
    )


def _point(variant: Variant) -> tuple[float, float]:
    """Median latency in milliseconds, and quality."""
    return float(_latency(variant) or 0), float(variant.quality.value) if variant.quality else 0.0


def plot(variants: tuple[Variant, ...], *, more_is_better: bool) -> str:
    """Quality over latency as inline SVG, the better the higher; the area of a point is the size of the model."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.fonttype"] = "none"
    matplotlib.rcParams["svg.hashsalt"] = "tradewind"  # the same numbers give the same picture
    from matplotlib import pyplot

    shown = [variant for variant in variants if _latency(variant) and variant.quality and variant.size_bytes]
    figure, axes = pyplot.subplots(figsize=(9, 4.6))
    largest = max((variant.size_bytes or 1 for variant in shown), default=1)
    sign = 1 if more_is_better else -1
    best = -sign * float("inf")
    edge: list[tuple[float, float]] = []  # what can be had for a latency: the upper left edge of the points
    for latency, quality in sorted(map(_point, shown), key=lambda point: (point[0], -sign * point[1])):
        if sign * quality > sign * best:
            best = quality
            edge.append((latency, quality))
    if edge:
        last = max(latency for latency, _ in map(_point, shown))
        axes.step(
            [x for x, _ in edge] + [last],
            [y for _, y in edge] + [best],
            where="post",
            color="#b8c0c8",
            linewidth=1.5,
            zorder=1,
        )
    for number, variant in enumerate(sorted(shown, key=_point)):
        x, y = _point(variant)
        axes.scatter(
            x,
            y,
            s=40 + 360 * (variant.size_bytes or 0) / largest,
            color=COLOURS[variant.verdict],
            alpha=0.75,
            zorder=2,
            linewidths=0,
        )
        above = number % 2 == 0  # neighbours' names keep apart
        axes.annotate(
            f"{variant.name}\n{(variant.size_bytes or 0) / 1000:.0f} kB",
            (x, y),
            xytext=(0, 16 if above else -16),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            fontsize=8.5,
        )
    for verdict in dict.fromkeys(variant.verdict for variant in shown):
        axes.scatter([], [], color=COLOURS[verdict], label=verdict, s=50)
    axes.margins(0.14, 0.35)
    axes.set_xlabel("median latency of the model alone, without HTTP, ms")
    axes.set_ylabel(next((variant.quality.metric for variant in shown if variant.quality), "quality"))
    if not more_is_better:
        axes.invert_yaxis()
    axes.grid(color="#eceff2")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=8.5, loc="best")
    figure.tight_layout()
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    drawn = out.getvalue()
    return drawn[drawn.index("<svg") :]
