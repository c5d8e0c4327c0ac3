"""A frontier as a picture."""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tradewind_cli.frontier import Frontier, Point

SERVED, COULD, REFUSED = "#1a7f5a", "#2a78d6", "#8a6d00"
LINE, LETTERS = 0.2, 120  # of a line below the plot: its height in inches, and letters


def png(frontier: Frontier) -> bytes:
    """The content of a file."""
    from matplotlib.figure import Figure

    names = [_wrapped(f"{point.name}: {point.told}") for point in frontier.points]
    told = [_wrapped(f"{name}: not drawn; {why}") for name, why in frontier.others]
    lines = sum(name.count("\n") + 1 for name in (*names, *told))
    figure = Figure(figsize=(9, 5 + LINE * lines), layout="constrained")
    axes = figure.subplots()
    axes.grid(color="#eceff2")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.axhline(0, color="#59636e", linewidth=0.9)
    right = 1.08 * max((point.x for point in frontier.points), default=0) or 1
    if edge := frontier.edge:
        xs, losses = [*(point.x for point in edge), right], [*(point.loss for point in edge), edge[-1].loss]
        axes.step(xs, losses, where="post", color="#b8c0c8", linewidth=1.5, zorder=1)
    for (point, mark), name in zip(frontier.marks.items(), names, strict=True):
        _draw(axes, point, mark, name)
    axes.margins(y=0.08)
    axes.set_xlim(0, right)
    axes.set_xlabel(frontier.across)
    axes.set_ylabel(frontier.lost)
    axes.set_title(
        "Down and to the left is better; the grey line is the best that can be served",
        fontsize=9,
        loc="left",
        color="#59636e",
    )
    for line in told:
        axes.plot([], [], " ", label=line)
    figure.legend(loc="outside lower left", frameon=False, fontsize=9)
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=150)
    return written.getvalue()


def _draw(axes: Any, point: Point, mark: str, name: str) -> None:
    """Its loss with its interval, and its name in the list below."""
    colour = SERVED if point.chosen else REFUSED if point.refused else COULD
    axes.plot([point.x] * 2, point.interval, color=colour, linewidth=1.6, marker="_", markersize=8, zorder=2)
    axes.plot([point.x], [point.loss], "o", color=colour, markersize=13, zorder=3)
    axes.annotate(mark, (point.x, point.loss), ha="center", va="center_baseline", color="white", fontsize=8.5, zorder=4)
    axes.plot([], [], color=colour, linestyle="", marker=f"${mark}$", label=name)


def _wrapped(text: str) -> str:
    return textwrap.fill(text.replace("$", r"\$"), LETTERS)  # which would begin a formula
