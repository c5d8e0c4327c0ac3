"""Plots of a report as inline SVG; their colours are variables of the page's style, for light, dark and paper."""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.typing import RcKeyType

    from tradewind_workload.report.record import Calibration, Curve, Line, Point, Values

# What matplotlib writes for each colour, and what the page has in its place.
_INK, _MUTED, _GRID, _ONE, _TWO, _PAPER = (f"#0{digit}0{digit}0{digit}" for digit in range(1, 7))
_VARIABLES = {
    _INK: "var(--ink)",
    _MUTED: "var(--muted)",
    _GRID: "var(--grid)",
    _ONE: "var(--one)",
    _TWO: "var(--two)",
    _PAPER: "var(--paper)",
}
_SETTINGS: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",  # texts stay texts
    "svg.hashsalt": "tradewind",  # the same numbers give the same picture
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _MUTED,
    "axes.edgecolor": _MUTED,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "grid.color": _GRID,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "lines.linewidth": 1.8,
}
SIZE = (4.6, 3.2)  # inches
SQUARE = (3.3, 3.3)
_NUMBERED = re.compile(r' id="[A-Za-z0-9.]+_\d+"')  # of every figure alike: a page has several


@contextmanager
def _axes(size: tuple[float, float] = SIZE) -> Iterator[tuple[Any, list[str]]]:
    """Axes to draw on, and a list that has the SVG afterwards."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    out: list[str] = []
    with mpl.rc_context(_SETTINGS):
        figure, axes = pyplot.subplots(figsize=size)
        try:
            yield axes, out
            figure.tight_layout()
            written = io.StringIO()
            figure.savefig(written, format="svg", metadata={"Date": None}, transparent=True)
        finally:
            pyplot.close(figure)
    text = written.getvalue()
    text = _NUMBERED.sub("", text[text.index("<svg") :])
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    out.append(text)


def loss(curve: Curve) -> str:
    """Loss by epoch or round, of training and validation rows."""
    with _axes() as (axes, out):
        _course(axes, curve, "loss", "training rows", _MUTED)
        _course(axes, curve, "validation_loss", "validation rows", _ONE)
        _best(axes, curve, "validation_loss")
        axes.set_title(curve.loss)
        axes.set_xlabel(curve.unit)
        axes.legend(loc="best")  # said, or matplotlib warns in the log where the machine is slow
    return out[0]


def metric(curve: Curve) -> str:
    """The primary metric by epoch, on the validation rows."""
    with _axes() as (axes, out):
        _course(axes, curve, "value", "validation rows", _ONE)
        _best(axes, curve, "value")
        axes.set_title(f"{curve.metric or ''}")
        axes.set_xlabel(curve.unit)
        axes.legend(loc="best")  # said, or matplotlib warns in the log where the machine is slow
    return out[0]


def _course(axes: Any, curve: Curve, field: str, label: str, colour: str) -> None:
    points = [(point.number, getattr(point, field)) for point in curve.points if getattr(point, field) is not None]
    if points:
        x, y = zip(*points, strict=True)
        axes.plot(x, y, color=colour, label=label, marker="o" if len(x) == 1 else None)
        axes.xaxis.get_major_locator().set_params(integer=True)


def _best(axes: Any, curve: Curve, field: str) -> None:
    point: Point | None = next((point for point in curve.points if point.number == curve.best), None)
    value = None if point is None else getattr(point, field)
    if point is None or value is None:
        return
    axes.axvline(point.number, color=_TWO, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot([point.number], [value], "o", color=_TWO, markersize=6, label=f"kept: {curve.unit} {point.number}")


def calibration(found: Calibration) -> str:
    """How often it was so, over how sure the model was; the interval of each share."""
    with _axes(SQUARE) as (axes, out):
        axes.plot([0, 1], [0, 1], color=_MUTED, linewidth=1, linestyle=(0, (4, 3)), label="as it says")
        x = [part.probability for part in found.bins]
        y = [part.happened for part in found.bins]
        below = [max(0.0, part.happened - part.low) for part in found.bins]
        above = [max(0.0, part.high - part.happened) for part in found.bins]
        axes.errorbar(
            x, y, (below, above), color=_ONE, fmt="o-", markersize=5, linewidth=1.4, elinewidth=1, label="this model"
        )
        axes.set_xlabel("probability that the model gives")
        axes.set_ylabel("share of the rows where it is so")
        _unit(axes)
        axes.legend(loc="best")
    return out[0]


def roc(found: Line) -> str:
    """True over false positive rate."""
    with _axes(SQUARE) as (axes, out):
        axes.plot([0, 1], [0, 1], color=_MUTED, linewidth=1, linestyle=(0, (4, 3)), label="guessing")
        axes.plot(found.x, found.y, color=_ONE, drawstyle="steps-post", label="this model")
        axes.set_xlabel("others called so (false positive rate)")
        axes.set_ylabel("found (true positive rate)")
        _unit(axes)
        axes.legend(loc="lower right")
    return out[0]


def precision_recall(found: Line, share: float) -> str:
    """Precision over recall; `share` is that of the positive rows, which guessing gives."""
    with _axes(SQUARE) as (axes, out):
        axes.axhline(share, color=_MUTED, linewidth=1, linestyle=(0, (4, 3)), label="guessing")
        axes.plot(found.x, found.y, color=_ONE, drawstyle="steps-pre", label="this model")
        axes.set_xlabel("found (recall)")
        axes.set_ylabel("right of those called so (precision)")
        _unit(axes)
        axes.legend(loc="best")
    return out[0]


def _unit(axes: Any) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")


def _apart(axes: Any) -> None:
    """Fewer ticks on the x axis where their labels would touch: matplotlib takes numbers for short ones."""
    for most in range(8, 1, -1):
        axes.locator_params(axis="x", nbins=most)
        axes.figure.tight_layout()
        axes.figure.draw_without_rendering()
        seen = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
        if all(left.x1 + left.height / 2 < right.x0 for left, right in pairwise(seen)):
            return


def scatter(found: Values) -> str:
    """The predicted number over the true one."""
    with _axes(SQUARE) as (axes, out):
        ends = [min(*found.truths, *found.answers), max(*found.truths, *found.answers)]
        axes.plot(ends, ends, color=_MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.scatter(found.truths, found.answers, s=14, color=_ONE, alpha=0.5, linewidths=0)
        axes.set_xlabel("true value")
        axes.set_ylabel("answer")
        _apart(axes)
    return out[0]


def residuals(found: Values) -> str:
    """How far the answers are off."""
    with _axes() as (axes, out):
        widths = [high - low for low, high in zip(found.edges, found.edges[1:], strict=False)]
        axes.bar(found.edges[:-1], found.counts, widths, align="edge", color=_ONE, edgecolor=_PAPER, linewidth=0.6)
        axes.axvline(0, color=_MUTED, linewidth=1)
        axes.set_xlabel("answer less true value")
        axes.set_ylabel("rows")
        _apart(axes)
    return out[0]
