"""A frontier as text: 80 columns, without colours, the same on a terminal and through a pipe."""

from __future__ import annotations

import io
import math
import sys
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tradewind.api.bounds import MeasuredQuality
    from tradewind.api.compressionjob import Variant
    from tradewind_cli.frontier import Frontier

WIDTH, HEIGHT = 80, 15  # of the plot without the list of names below it
MARGIN = 9  # columns for the numbers of the axis
INDENT = " " * 5  # of what follows a mark


def drawn(frontier: Frontier) -> Iterator[str]:
    """The lines: the plot, where anything was measured, then what each mark is."""
    if frontier.points:
        yield frontier.lost
        yield from _plot(frontier)
        yield frontier.across.rjust(WIDTH)
        yield "Down and to the left is better; ┈ is the best that can be served."
    for point, mark in frontier.marks.items():
        loss = _lost(point.loss, point.low, point.high)
        said = f"  {mark}  {point.name}: {shown(point.x)}, loss {loss}; {point.told}"
        yield from textwrap.wrap(said, WIDTH, subsequent_indent=INDENT)
    for name, told in frontier.others:
        yield from textwrap.wrap(f"  -  {name}: not drawn; {told}", WIDTH, subsequent_indent=INDENT)


def say_all() -> None:
    """Print a question mark for what a terminal's encoding lacks: a run of minutes must not end with it."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def lost(quality: MeasuredQuality | None) -> str:
    """What is lost of quality, with its interval where there is one; nothing where it was not measured."""
    if quality is None or quality.loss is None:
        return ""
    low, high = (None if end is None else float(end) for end in (quality.loss_low, quality.loss_high))
    return _lost(float(quality.loss), low, high)


def rate(variant: Variant) -> str:
    """What it answers in a second, with what processes differ by; nothing where that was not measured."""
    found = variant.throughput_interval
    interval = "" if found is None else f" [{found.low}, {found.high}]"
    return f"{variant.throughput_per_second or ''}{interval}"


def _lost(loss: float, low: float | None, high: float | None) -> str:
    interval = "" if low is None or high is None else f" [{shown(low)}, {shown(high)}]"
    return f"{shown(loss)}{interval}"


def shown(number: float) -> str:
    """Four digits that count, and all before the point."""
    return f"{number:.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def _plot(frontier: Frontier) -> Iterator[str]:
    points, marks, width = frontier.points, frontier.marks, WIDTH - MARGIN - 1
    ends = [end for point in points for end in point.interval]
    ys = _ticks(min(0.0, *ends), max(0.0, *ends))
    xs = _ticks(0.0, max(point.x for point in points))
    lowest, highest = min(ys[0], *ends), max(ys[-1], *ends)
    right = max(xs[-1], *(point.x for point in points))

    def row(y: float) -> int:
        return round((highest - y) / (highest - lowest) * (HEIGHT - 1))

    columns = _columns([round(point.x / right * (width - 1)) for point in points], width)
    grid = [[" "] * width for _ in range(HEIGHT)]
    grid[row(0.0)] = ["─"] * width  # what the baseline has
    at = dict(zip(points, columns, strict=True))
    edge = frontier.edge
    for point, after in zip(edge, [*edge[1:], None], strict=True):
        until = width - 1 if after is None else at[after]
        for column in range(at[point], until + 1):
            grid[row(point.loss)][column] = "┈"
        for line in range(row(point.loss), row(after.loss) if after is not None else row(point.loss)):
            grid[line][until] = "┊"
    for point, column in at.items():
        low, high = (row(end) for end in point.interval)
        for line in range(high, low + 1):
            grid[line][column] = "│"
        if high < low:
            grid[high][column], grid[low][column] = "┬", "┴"
        grid[row(point.loss)][column] = marks[point]
    labels = {row(y): shown(y) for y in ys}
    for line, cells in enumerate(grid):
        yield f"{labels.get(line, ''):>{MARGIN - 1}} {'┤' if line in labels else '│'}{''.join(cells)}".rstrip()
    yield from _below(xs, right, width)


def _below(xs: Sequence[float], right: float, width: int) -> Iterator[str]:
    """The axis of what is minimised, and its numbers."""
    line, numbers = ["─"] * width, [" "] * (width + MARGIN)
    for x in xs:
        column, text = round(x / right * (width - 1)), shown(x)
        line[column] = "┬"
        start = min(column - len(text) // 2 + MARGIN + 1, WIDTH - len(text))
        numbers[start : start + len(text)] = text
    yield f"{' ' * MARGIN}└{''.join(line)}"
    yield "".join(numbers).rstrip()


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between the two, about four steps of 1, 2 or 5 times a power of ten."""
    if high <= low:
        return [low, low + 1]
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)
    return [tick * step for tick in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _columns(wanted: Sequence[int], width: int) -> list[int]:
    """A column for each, in their order: two apart, so that each mark is seen, and as near as that allows."""
    found: list[int] = []
    for column in wanted:
        found.append(max(column, found[-1] + 2) if found else column)
    for place, number in enumerate(reversed(range(len(found)))):
        found[number] = min(found[number], width - 1 - 2 * place)
    return found
