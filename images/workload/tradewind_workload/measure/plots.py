"""Plots of a compression as inline SVG."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tradewind.api.compressionjob import Runtime, Variant
    from tradewind_workload.measure.sweep import Sweep

COLOURS = {
    "Accepted": "#1a7f5a",
    "Regression": "#b4232a",
    "NotFaster": "#8a6d00",
    "Infeasible": "#7a4bb5",
    "Inconclusive": "#2a78d6",
    "NotApplicable": "#666666",
    "Failed": "#666666",
}
# Of variants, and of parts of a request, so that neighbours differ; the same as in other places for whoever sees few.
SERIES = ("#2a78d6", "#c2570c", "#1a7f5a", "#7a4bb5", "#b4232a", "#8a6d00", "#0f7d8c", "#59636e")
STYLES = ("-", "--", ":", "-.")
_ROOM = 1.6  # times the largest SLO, which the curves are shown up to


def latency(variant: Variant | Runtime, percentile: int = 50) -> str | None:
    """Milliseconds, where it was measured."""
    return next((found.milliseconds for found in variant.latencies if found.percentile == percentile), None)


@contextmanager
def _axes(height: float) -> Iterator[tuple[Any, list[str]]]:
    """Axes to draw on, and a list that has the SVG afterwards."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.fonttype"] = "none"
    matplotlib.rcParams["svg.hashsalt"] = "tradewind"  # the same numbers give the same picture
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, height))
    out: list[str] = []
    try:
        yield axes, out
        axes.grid(color="#eceff2")
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        figure.tight_layout()
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
    finally:
        pyplot.close(figure)
    drawn = written.getvalue()
    out.append(drawn[drawn.index("<svg") :])


def _point(variant: Variant) -> tuple[float, float]:
    """Median latency in milliseconds, and quality."""
    return float(latency(variant) or 0), float(variant.quality.value) if variant.quality else 0.0


def frontier(variants: Sequence[Variant], *, more_is_better: bool) -> str:
    """Quality over latency, the better the higher; the area of a point is the size of the model."""
    shown = [variant for variant in variants if latency(variant) and variant.quality and variant.size_bytes]
    largest = max((variant.size_bytes or 1 for variant in shown), default=1)
    with _axes(4.6) as (axes, out):
        _edge(axes, list(map(_point, shown)), 1 if more_is_better else -1)
        for number, variant in enumerate(sorted(shown, key=_point)):
            x, y = _point(variant)
            area = 40 + 360 * (variant.size_bytes or 0) / largest
            axes.scatter(x, y, s=area, color=COLOURS[variant.verdict], alpha=0.75, zorder=2, linewidths=0)
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
        seldom = "of a request that comes now and then"
        of = seldom if any(variant.replica for variant in shown) else "of the model alone, without HTTP"
        axes.set_xlabel(f"median latency {of}, ms")
        axes.set_ylabel(next((variant.quality.metric for variant in shown if variant.quality), "quality"))
        if not more_is_better:
            axes.invert_yaxis()
        axes.legend(frameon=False, fontsize=8.5, loc="best")
    return out[0]


def _edge(axes: Any, points: Sequence[tuple[float, float]], sign: int) -> None:
    """What can be had for a latency: the upper left edge of the points."""
    best = -sign * float("inf")
    edge: list[tuple[float, float]] = []
    for x, quality in sorted(points, key=lambda point: (point[0], -sign * point[1])):
        if sign * quality > sign * best:
            best = quality
            edge.append((x, quality))
    if edge:
        xs = [x for x, _ in edge] + [max(x for x, _ in points)]
        ys = [y for _, y in edge] + [best]
        axes.step(xs, ys, where="post", color="#b8c0c8", linewidth=1.5, zorder=1)


def losses(variants: Sequence[Variant], *, most: float, least: float) -> str | None:
    """What variants are worse by in quality, with intervals: filled on the rows that judge, hollow on other ones.

    `most` may be lost, and of so few rows `least` can't be shown. None where no variant was measured.
    """
    shown = [variant for variant in reversed(variants) if variant.judged_quality and variant.name != "baseline"]
    if not shown:
        return None
    with _axes(1.3 + 0.5 * len(shown)) as (axes, out):
        left = 0.0
        for place, variant in enumerate(shown):
            both = [variant.judged_quality, variant.quality]
            told = [found for found in both if found is not None and found.loss is not None]
            for number, found in enumerate(told if told[0] != told[-1] else told[:1]):
                colour, y = COLOURS[variant.verdict], place + 0.11 - 0.22 * number
                value = float(found.loss or 0)
                low, high = float(found.loss_low or value), float(found.loss_high or value)
                left = min(left, low)
                face = "white" if number else colour
                axes.plot([low, high], [y, y], color=colour, linewidth=1.6, solid_capstyle="butt")
                axes.plot([value], [y], marker="o", markersize=6.5, color=colour, markerfacecolor=face)
        axes.axvline(0, color="#59636e", linewidth=0.9)
        axes.margins(0.06, 0)
        start = min(axes.get_xlim()[0], left)
        axes.axvspan(start, most, color="#1a7f5a", alpha=0.08, linewidth=0)
        if least > most:
            axes.axvspan(most, least, facecolor="none", edgecolor="#b8c0c8", hatch="///", linewidth=0)
        axes.set_xlim(left=start)
        axes.set_ylim(-0.6, len(shown) - 0.4)
        axes.set_yticks(range(len(shown)), [f"{variant.name}\n{variant.verdict}" for variant in shown])
        metric = next((variant.quality.metric for variant in shown if variant.quality), "quality")
        axes.set_xlabel(f"loss of {metric}")
    return out[0]


def curves(sweeps: Mapping[str, Sweep]) -> str:
    """The latency that the SLO is about over the rate of requests, and the highest rate that keeps it."""
    import numpy as np

    top = _ROOM * max(sweep.slo.milliseconds for sweep in sweeps.values())
    with _axes(4.2) as (axes, out):
        for number, (name, sweep) in enumerate(sweeps.items()):
            colour, style = SERIES[number % len(SERIES)], STYLES[number // len(SERIES) % len(STYLES)]
            tries: dict[float, list[float]] = {}
            for point in sweep.points:
                tries.setdefault(point.rate, []).append(np.inf if point.latency is None else point.latency)
            rates = sorted(tries)
            medians = [min(float(np.median(tries[rate])), 2 * top) for rate in rates]
            label = f"{name}: {sweep.median:.0f} a second ({sweep.low:.0f} to {sweep.high:.0f})"
            axes.plot(rates, medians, color=colour, linestyle=style, marker="o", markersize=3.5, label=label)
            axes.axhline(sweep.slo.milliseconds, color=colour, linestyle=style, linewidth=0.8, alpha=0.5)
            kept, within = [sweep.low, sweep.median, sweep.high], sweep.slo.milliseconds
            axes.plot(kept, [within] * 3, color=colour, linewidth=3, solid_capstyle="butt")
            axes.plot([sweep.median], [within], marker="v", color=colour, markersize=8)
        axes.set_ylim(0, top)
        axes.set_xlim(left=0)
        axes.set_xlabel("requests per second, at random times")
        percentiles = sorted({sweep.slo.percentile for sweep in sweeps.values()})
        axes.set_ylabel(f"{' and '.join(f'{of}th' for of in percentiles)} percentile of the latency, ms")
        axes.legend(frameon=False, fontsize=8.5, loc="upper left")
    return out[0]


def parts(variants: Sequence[Variant]) -> str:
    """Where the time of a request goes, a bar a variant."""
    shown = {
        variant.name: {part.part: float(part.milliseconds) for part in variant.replica.parts}
        for variant in reversed(variants)
        if variant.replica is not None
    }
    names = dict.fromkeys(name for times in shown.values() for name in times)
    with _axes(1 + 0.45 * len(shown)) as (axes, out):
        left = [0.0] * len(shown)
        for number, name in enumerate(names):
            widths = [times.get(name, 0.0) for times in shown.values()]
            axes.barh(list(shown), widths, 0.6, left, color=SERIES[number % len(SERIES)], label=name)
            left = [start + width for start, width in zip(left, widths, strict=True)]
        axes.set_xlabel("mean time of a request that comes now and then, ms")
        axes.legend(frameon=False, fontsize=8.5, loc="upper left", bbox_to_anchor=(1, 1))
    return out[0]
