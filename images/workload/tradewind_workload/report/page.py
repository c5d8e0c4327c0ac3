"""report.html: the report for people; it needs no other file and no network."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING

from tradewind_workload.report import data_page, words
from tradewind_workload.report.answers_page import answers, mistakes
from tradewind_workload.report.style import STYLE, figure, number, table

if TYPE_CHECKING:
    from tradewind_workload.report.record import Measured, Record


def page(record: Record) -> str:
    """The page of a report."""
    name = f"{record.object.namespace}/{record.object.name}"
    parts = (
        _head(record),
        _quality(record),
        _curve(record),
        answers(record),
        mistakes(record),
        data_page.data(record),
        _spent(record),
        _recipe(record),
    )
    body = "\n".join(part for part in parts if part)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(name)}: training</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<style>{STYLE}</style></head><body><main>
{body}
</main></body></html>
"""


def _head(record: Record) -> str:
    architecture = record.recipe.get("model", {}).get("architecture", "")
    verdict = "" if record.better_than_guessing else f'<p class="warning">{escape(words.no_better(record))}</p>'
    return f"""<h1>Training {escape(record.object.name)}</h1>
<p class="of">{escape(record.object.namespace)} · {escape(record.task)} · {escape(str(architecture))} ·
{escape(record.written_at)}</p>
<p class="lead">{escape(words.headline(record))}</p>{verdict}"""


def _quality(record: Record) -> str:
    parts = record.quality
    head = ["metric", *(f"{found.part} ({found.rows:,} rows)" for found in parts), f"guessing ({parts[0].part})", ""]
    rows = []
    for metric in parts[0].metrics:
        others = [next((one for one in found.metrics if one.name == metric.name), None) for found in parts]
        strong = metric.name == record.primary_metric
        name = f"<b>{escape(metric.name)}</b>" if strong else escape(metric.name)
        direction = "more is better" if metric.higher_is_better else "less is better"
        rows.append([name, *map(_measured, others), number(metric.guessing), f'<span class="mute">{direction}</span>'])
    return f"""<h2>How good it is</h2>
{table(head, rows)}
<p>{escape(words.how_measured(record))}</p>"""


def _measured(found: Measured | None) -> str:
    if found is None:
        return "-"
    interval = "" if found.low is None else f' <span class="mute">{number(found.low)} to {number(found.high)}</span>'
    return f"{number(found.value)}{interval}"


def _curve(record: Record) -> str:
    curve = record.curve
    if curve is None or not curve.points:
        return ""
    from tradewind_workload.report import drawing

    figures = [figure(drawing.loss(curve), f"{curve.loss} by {curve.unit}")]
    if curve.metric not in (None, curve.loss) and any(point.value is not None for point in curve.points):
        figures.append(figure(drawing.metric(curve), f"{curve.metric} by {curve.unit}"))
    return f"""<h2>How it learnt</h2>
<div class="figures">{"".join(figures)}</div>
<p>{escape(words.learnt(curve))}</p>"""


def _spent(record: Record) -> str:
    spent = record.spent
    rows = [[escape(phase.name), f"{phase.seconds:,.1f}"] for phase in spent.phases]
    software = ", ".join(f"{name} {version}" for name, version in record.software.items())
    return f"""<h2>What it took</h2>
{table(["phase", "seconds"], rows)}
<p>{escape(words.spent(record))}</p>
<p class="mute">{escape(software)}</p>"""


def _recipe(record: Record) -> str:
    written = escape(json.dumps({"recipe": record.recipe, "data": record.data}, indent=1, ensure_ascii=False))
    return f"<h2>Recipe and data, as the spec has them</h2>\n<pre>{written}</pre>"
