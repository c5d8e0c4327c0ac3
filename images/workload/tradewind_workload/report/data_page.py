"""The part of the page about the data: how it was divided, what columns it has and what became of them."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from tradewind_workload.report import words
from tradewind_workload.report.columns import IS_LABEL, IS_SPLIT
from tradewind_workload.report.style import table

if TYPE_CHECKING:
    from tradewind_workload.report.record import Column, Record

CLASSES = 12  # that the table of the parts has a column of


def data(record: Record) -> str:
    """The whole part."""
    return "\n".join(part for part in (_split(record), _columns(record), _prepared(record)) if part)


def _split(record: Record) -> str:
    split = record.split
    labels = record.labels if len(record.labels) <= CLASSES else ()
    rows = []
    for part in split.parts:
        counts = [_share(count, part.rows) for count in part.classes] if labels else []
        rows.append([part.name, f"{part.rows:,}", *counts])
    how = {
        None: "Each part is a data set of its own.",
        "Row": "Divided by a hash of each row's inputs: equal rows stay together, and a data set that grows keeps its "
        "split.",
        "Group": f"Divided by a hash of {split.column!r}: rows with the same value stay together.",
        "Time": f"Divided by {split.column!r}: the newest rows judge the model.",
    }[split.by]
    return f"""<h2>The data</h2>
{table(["part", "rows", *labels], rows)}
<p>{escape(how)} <span class="mute">Digest of the split: {escape(split.digest[:19])}</span></p>"""


def _share(count: int, whole: int) -> str:
    return f'{count:,} <span class="mute">{count / whole:.1%}</span>' if whole else f"{count:,}"


def _columns(record: Record) -> str:
    if not record.columns:
        shape = " x ".join(map(str, record.shape or ()))
        return f"<p>A row is an array of {shape}.</p>" if shape else ""
    rows = [_column(column) for column in record.columns]
    more = record.columns_in_all - len(rows)
    said = f"<p>and {words.count(more, 'column')} more</p>" if more else ""
    head = ["column", "kind", "missing", "different", "why this kind", "what the model gets of it"]
    return f"<h3>Columns</h3>\n{table(head, rows, frozenset({4, 5}))}{said}"


def _column(column: Column) -> list[str]:
    missing = _missing(column.missing, column.rows)
    became = {"input": column.became or "", "label": IS_LABEL, "split": IS_SPLIT}[column.role]
    distinct = "many" if column.distinct is None else f"{column.distinct:,}"
    return [escape(column.name), column.kind, missing, distinct, escape(column.why), escape(became)]


def _missing(count: int, rows: int) -> str:
    share = count / max(1, rows)
    return f"{count:,} ({'less than 0.1%' if share < 0.0005 else f'{share:.1%}'})" if count else "0"


def _prepared(record: Record) -> str:
    rows = [
        [escape(step.step), escape(step.where), f"{step.before:,}", f"{step.before - step.after:,}", f"{step.after:,}"]
        for step in record.steps
    ]
    steps = table(["step", "data set", "rows before", "dropped", "rows after"], rows, frozenset({1})) if rows else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in record.notes)
    if not steps and not notes:
        return ""
    return f"<h3>What the preparation did</h3>\n{steps}{f'<ul>{notes}</ul>' if notes else ''}"
