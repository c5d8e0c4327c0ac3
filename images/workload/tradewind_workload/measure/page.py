"""The report of a compression beside its artefacts: report.json for programs, report.html for people."""

from __future__ import annotations

import html
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tradewind_workload.io.files import write_atomically
from tradewind_workload.io.reporter import rfc3339
from tradewind_workload.measure.plots import COLOURS, curves, frontier, latency, losses, parts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tradewind.api.bounds import MeasuredQuality
    from tradewind.api.compressionjob import CompressionJobSpec, CompressionResult, Measure, Variant
    from tradewind.api.report import JobDocument
    from tradewind_workload.measure.sweep import Sweep


@dataclass(frozen=True)
class Part:
    """Rows of a part of the data."""

    name: str  # Test or Validation
    rows: int

    def __str__(self) -> str:
        return f"{self.rows} {self.name.lower()} rows"


@dataclass(frozen=True)
class Bounded:
    """How quality was judged."""

    judged: Part  # of the verdicts
    shown: Part  # whose numbers are shown; the same where there is no test part
    more_is_better: bool  # of the metric
    most: float  # loss that is accepted
    least: float  # loss that the rows that judge could show a variant to be within


def write_report(
    folder: Path,
    job: JobDocument,
    spec: CompressionJobSpec,
    result: CompressionResult,
    source_digest: str,
    bounded: Bounded,
    sweeps: Mapping[str, Sweep],
) -> None:
    """Write both files into the output folder; `sweeps` are those of replicas, by variant."""
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
        "quality": asdict(bounded),
        "goals": spec.goals.dump(),
        "measure": spec.measure.dump(),
        "pricePerHour": job.price_per_hour or "Unknown",
        "writtenAt": rfc3339(),
        **result.written(),
        "sweeps": {name: asdict(sweep) for name, sweep in sweeps.items()},
    }
    write_atomically(folder / "report.json", json.dumps(content, indent=1).encode())
    write_atomically(folder / "report.html", page(job, spec, result, bounded, sweeps).encode())


def page(
    job: JobDocument, spec: CompressionJobSpec, result: CompressionResult, bounded: Bounded, sweeps: Mapping[str, Sweep]
) -> str:
    """The page, with the plot inside: it needs no other file and no network."""
    accepted = [variant for variant in result.variants if variant.verdict == "Accepted" and variant.name != "baseline"]
    fastest = max(accepted, key=lambda variant: float(variant.speedup.value) if variant.speedup else 0, default=None)
    lead = (
        "No variant is worth more than the baseline."
        if fastest is None or fastest.speedup is None
        else f"{len(accepted)} of {_count(len(result.variants) - 1, 'candidate')} {_was(len(accepted))} accepted. "
        f"The fastest is {html.escape(fastest.name)}: "
        f"{fastest.speedup.value} times the baseline's speed, asked without pauses (99 % interval "
        f"{fastest.speedup.low} to {fastest.speedup.high}), "
        f"{(fastest.size_bytes or 0) / (result.variants[0].size_bytes or 1):.0%} of its size, "
        f"{_quality(fastest)} after {_quality(result.variants[0])}."
    )
    replicas = any(variant.replica for variant in result.variants)
    baseline = result.variants[0].quality
    metric = html.escape(baseline.metric if baseline is not None else "quality")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(f"{job.namespace}/{job.name}")}: compression</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #1f2328; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; margin-bottom: .2rem; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
p.of {{ color: #59636e; margin-top: 0; }} svg {{ width: 100%; height: auto; }}
div.wide {{ overflow-x: auto; }} table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .35rem .7rem; border-bottom: 1px solid #d1d9e0; text-align: right; vertical-align: top;
  white-space: pre; }}
th:first-child, td:first-child, td.words {{ text-align: left; }} td.words {{ white-space: normal; min-width: 26rem; }}
b.verdict {{ font-weight: 600; }}
</style></head><body>
<h1>Compression {html.escape(job.name)}</h1>
<p class="of">{html.escape(job.namespace)} · {html.escape(result.processor or "")}</p>
<p>{lead}</p>
<h2>The frontier</h2>
{frontier(result.variants, more_is_better=bounded.more_is_better)}
<p>Up and to the left is better; a larger dot is a larger file. The line is the best {metric} that can be had for a
latency. ★ in the table: no other variant is at least as good in {metric}, latency and size. The {metric} is that of
the {bounded.shown}.</p>
{_losses(result, bounded, metric)}
<h2>All variants</h2>
<div class="wide"><table>
<tr><th>variant</th><th>verdict</th><th>{metric}</th><th>loss</th>
<th>loss that judges</th><th>p50 ms</th><th>p95 ms</th><th>p99 ms</th>
<th>{"speed without pauses" if replicas else "speed"}</th><th>{"requests" if replicas else "rows"}/s</th>
<th>size kB</th><th>memory MB</th><th>per million</th><th>methods and reason</th></tr>
{"".join(_row(variant) for variant in result.variants)}
</table></div>
{_replicas(result, sweeps) if replicas else ""}
<h2>How it was measured</h2>
<p>{_of_quality(bounded, metric, replicas=replicas)} {_of_replicas() if replicas else _of_models(spec.measure)}
Speed is the baseline's latency divided by the variant's, with an interval that holds the truth 99 times in 100.
Memory is the peak of a process that serves nothing else. An accepted variant has at least 0.95 of the baseline's speed
by the whole interval, misses no goal, and its file gave the same outputs after it was loaded back from the store.</p>
</body></html>
"""


def _losses(result: CompressionResult, bounded: Bounded, metric: str) -> str:
    """What is lost of quality, where a variant was measured."""
    if not (drawn := losses(result.variants, most=bounded.most, least=bounded.least)):
        return ""
    both = "" if bounded.shown == bounded.judged else f" ○ are the {bounded.shown}, by which nothing was chosen."
    few = ""
    if bounded.least > bounded.most:
        few = f" The hatched part is what so few rows leave open even where none differs (up to {bounded.least:.4g})."
    return f"""<h2>What is lost of {metric}</h2>
{drawn}
<p>● are the {bounded.judged}, which judge.{both} A line is an interval of 95 %, paired row by row: right of 0 the
variant is worse than the baseline. The shaded part is what may be lost, {bounded.most:.4g}.{few}</p>"""


def _of_quality(bounded: Bounded, metric: str, *, replicas: bool) -> str:
    served = ", and some of them by the replica too, which must answer alike" if replicas else ""
    better = "" if bounded.more_is_better else ", for less of it is better"
    judged, shown = bounded.judged, bounded.shown
    which = (
        f"The verdict is of the {judged}; the {metric} that is shown is that of the {shown}, by which nothing was "
        "chosen."
        if shown != judged
        else f"The verdict is of the {judged}, and so is the {metric} that is shown, since there is no test part: it "
        "was chosen by them, and may be a little worse of other rows."
    )
    return f"""{which} The loss is what a variant is worse by than the baseline{better}, with an interval of 95 % by a
bootstrap over pairs of answers to the same rows. An accepted variant loses at most {bounded.most:.4g} by the whole
interval, or no more than so few rows can show of one that decides each of them as the baseline does. Rows were
answered in ONNX Runtime{served}."""


def _of_replicas() -> str:
    return """Latency, requests per second and memory are those of a replica: the server as a process of its own, with
the resources of <code>spec.measure.resources</code>, asked over HTTP for one row at a time. There are pairs of
processes, one of the baseline and one of a variant, each in either container in half of the pairs. Latency is of
requests that come now and then, to one of the pair after the other, with pauses of random length: each finds its
replica waiting, and the weights may have left the processor's cache. Where a request takes so long that few would come
in a second, it is that of a client that asks again at once. Speed is asked without pauses, in turns whose order is
drawn anew for each. Requests per second are the most at which a replica keeps the latency that is named, where requests
come at random times and are timed from when they were due; those that are refused miss it. They are the median of
several processes; in brackets are the lowest and the highest of them."""


def _of_models(measure: Measure) -> str:
    return f"""The numbers are those of the model alone, without HTTP, since no replica could be measured here. Latency
is of {_count(measure.batch_sizes[0], "row")} at a time, with {_count(measure.threads, "thread")}. All variants were
measured in the same minutes, in turns, in an order that was drawn anew for each, {measure.repeats} times each in
several processes, after {measure.warmup} to warm up in each of them. Rows per second are at the best of the batch sizes
{", ".join(map(str, measure.batch_sizes))}."""


def _replicas(result: CompressionResult, sweeps: Mapping[str, Sweep]) -> str:
    """What only replicas have: what they bear, and where the time goes."""
    head = "<tr><th>variant</th><th>requests/s</th><th>within</th><th>p50 ms</th><th>start s</th>"
    rows = "".join(_beside(variant) for variant in result.variants if variant.replica is not None)
    return f"""<h2>What a replica bears</h2>
{curves(sweeps) if sweeps else ""}
<p>▼ is the highest rate that is kept, at the latency that it keeps: the median of several processes of one model, and
the thick line is from the lowest to the highest of them. Each point is a try in the first of them; a curve ends at the
top where requests were refused or never answered.</p>
<h2>Where the time of a request goes</h2>
{parts(result.variants)}
<p>Of the requests whose latency is shown. http is what the server does not see: the network, and what reads and writes
HTTP.</p>
<div class="wide"><table>{head}<th>model alone, p50 ms</th><th>model alone, rows/s</th></tr>
{rows}</table></div>"""


def _beside(variant: Variant) -> str:
    """A replica, and its model alone."""
    assert variant.replica is not None
    within, alone = variant.replica.within, variant.runtime
    cells = [
        html.escape(variant.name),
        _rate(variant) or "-",
        f"{within.milliseconds} ms ({within.percentile} %)",
        latency(variant) or "-",
        variant.replica.start_seconds,
        (latency(alone) if alone is not None else None) or "-",
        (alone.throughput_per_second if alone is not None else None) or "-",
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>\n"


def _rate(variant: Variant) -> str | None:
    """A throughput, and what processes differ by."""
    if (found := variant.throughput_interval) is None:
        return variant.throughput_per_second
    return f"{variant.throughput_per_second}\n({found.low} to {found.high})"


def _quality(variant: Variant) -> str:
    return f"{variant.quality.metric} {variant.quality.value}" if variant.quality else ""


def _loss(quality: MeasuredQuality | None) -> str | None:
    if quality is None:
        return None
    if quality.loss_low is None:
        return quality.loss
    return f"{quality.loss}\n({quality.loss_low} to {quality.loss_high})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _row(variant: Variant) -> str:
    def cell(value: object) -> str:
        return f"<td>{html.escape(str(value)) if value is not None else '-'}</td>"

    speed = f"{variant.speedup.value} ({variant.speedup.low} to {variant.speedup.high})" if variant.speedup else None
    cost = variant.cost_per_million
    quality, judged = variant.quality, variant.judged_quality
    latencies = "".join(cell(latency(variant, percentile)) for percentile in (50, 95, 99))
    return (
        f"<tr>{cell(variant.name + (' ★' if variant.pareto else ''))}"
        f'<td><b class="verdict" style="color:{COLOURS[variant.verdict]}">{variant.verdict}</b></td>'
        f"{cell(quality and quality.value)}{cell(_loss(quality))}{cell(_loss(judged))}{latencies}{cell(speed)}"
        f"{cell(_rate(variant))}"
        f"{cell(None if variant.size_bytes is None else f'{variant.size_bytes / 1000:.1f}')}"
        f"{cell(None if variant.peak_memory_bytes is None else f'{variant.peak_memory_bytes / 1e6:.0f}')}{cell(cost)}"
        f'<td class="words">{html.escape(variant.methods)}<br>{html.escape(variant.reason)}</td></tr>\n'
    )
