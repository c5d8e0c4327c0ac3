"""The parts of the page about single answers: who is taken for whom, how sure the model is, its worst mistakes."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from tradewind.api.trainingjob import Recipe
from tradewind_workload.report import words
from tradewind_workload.report.record import Picture
from tradewind_workload.report.style import figure, number, table

if TYPE_CHECKING:
    from tradewind_workload.report.record import Classes, Mistake, OfClass, Record, Sets, Values

SHADE = 70  # per cent of the colour in the fullest cell


def answers(record: Record) -> str:
    """Of classes, of labels or of values."""
    if record.sets is not None:
        return _sets(record, record.sets)
    if record.classes is not None:
        return _confusion(record, record.classes) + _certainty(record, record.classes)
    return _values(record.values) if record.values is not None else ""


def _confusion(record: Record, found: Classes) -> str:
    matrix = _matrix(found.matrix, record.labels) if found.matrix is not None else ""
    pairs = [[escape(pair.truth), escape(pair.answer), f"{pair.rows:,}"] for pair in found.confused]
    confused = table(["class", "taken for", "rows"], pairs, frozenset({1})) if pairs and found.matrix is None else ""
    more = (
        f"<p>Of {found.classes_in_all:,} classes those with the most wrong answers are listed.</p>"
        if len(found.classes) < found.classes_in_all
        else ""
    )
    never = words.never(found.classes, may_weigh=_may_weigh(record))
    warning = f'<p class="warning">{escape(never)}</p>' if never else ""
    head = ["class", "rows", "found (recall)", "right of those called so (precision)"]
    return f"""<h2>What is taken for what</h2>
<p>On the {record.quality[0].part} rows: a line for each true class, a column for each answer.</p>
{matrix}{confused}
{table(head, [_of_class(one) for one in found.classes])}{more}{warning}
"""


def _of_class(found: OfClass) -> list[str]:
    recall = f"{found.right / found.rows:.3f}" if found.rows else "-"
    precision = f"{found.right / found.answered:.3f}" if found.answered else "-"
    return [escape(found.label), f"{found.rows:,}", recall, precision]


def _sets(record: Record, found: Sets) -> str:
    never = words.never(found.labels, may_weigh=_may_weigh(record))
    warning = f'<p class="warning">{escape(never)}</p>' if never else ""
    more = (
        f"<p>Of {found.labels_in_all:,} labels those with the most wrong answers are listed.</p>"
        if len(found.labels) < found.labels_in_all
        else ""
    )
    rows = [[*_of_class(one), number(one.average_precision)] for one in found.labels]
    head = ["label", "rows", "found (recall)", "right of those called so (precision)", "average precision"]
    return f"""<h2>How each label fares</h2>
<p>{escape(words.sets(found))}</p>
{table(head, rows)}{more}{warning}
"""


def _matrix(rows: tuple[tuple[int, ...], ...], labels: tuple[str, ...]) -> str:
    def cell(count: int, whole: int, *, right: bool) -> str:
        share = round(SHADE * count / whole) if whole else 0
        shade = f' style="background:color-mix(in srgb,var(--one) {share}%,transparent)"' if share else ""
        of = ' class="right"' if right else ""
        return f"<td{of}{shade}>{f'{count:,}' if count else ''}</td>"

    head = "".join(f"<th>{escape(label)}</th>" for label in labels)
    lines = "".join(
        f'<tr><th class="side">{escape(label)}</th>'
        f"{''.join(cell(count, sum(row), right=i == j) for j, count in enumerate(row))}</tr>\n"
        for i, (label, row) in enumerate(zip(labels, rows, strict=True))
    )
    corner = '<th class="side">true \\ answer</th>'
    return f'<div class="wide"><table class="matrix"><tr>{corner}{head}</tr>\n{lines}</table></div>'


def _certainty(record: Record, found: Classes) -> str:
    from tradewind_workload.report import drawing

    figures = [figure(drawing.calibration(found.calibration), "calibration")]
    curves = ""
    if found.roc is not None and found.precision_recall is not None:
        share = sum(one.rows for one in found.classes if one.label == found.positive) / record.quality[0].rows
        figures += [
            figure(drawing.roc(found.roc), f"ROC curve of {found.positive}"),
            figure(
                drawing.precision_recall(found.precision_recall, share), f"precision over recall of {found.positive}"
            ),
        ]
        about = escape(repr(found.positive))
        curves = f"<p>The other two curves are about {about}, the rarer class of the training rows.</p>"
    return f"""<h2>How sure it is</h2>
<div class="figures">{"".join(figures)}</div>
<p>{escape(words.calibrated(found.calibration, weighed=_weighed(record)))}</p>{curves}
"""


def _may_weigh(record: Record) -> bool:
    return Recipe.model_validate(record.recipe).may_yet_weigh


def _weighed(record: Record) -> bool:
    return record.recipe.get("classWeights") == "Balanced"


def _values(found: Values) -> str:
    from tradewind_workload.report import drawing

    sample = (
        f"{len(found.truths):,} of the rows are drawn on the left. " if len(found.truths) < sum(found.counts) else ""
    )
    return f"""<h2>Where it is off</h2>
<div class="figures">{figure(drawing.scatter(found), "answers over true values")}
{figure(drawing.residuals(found), "histogram of answer less true value")}</div>
<p>{sample}On the line an answer is right; below it, it is too small.</p>
"""


def mistakes(record: Record) -> str:
    """The rows that the model is most wrong about."""
    part = record.quality[0].part
    if not record.mistakes_asked:
        return "<h2>The worst mistakes</h2>\n<p>They are not shown, as spec.report.mistakes is 0.</p>"
    if not record.mistakes:
        return f"<h2>The worst mistakes</h2>\n<p>There is none among the {part} rows.</p>"
    which = (
        f"Of the {part} rows with a wrong answer, those whose class the model thought least likely."
        if record.classes is not None
        else f"Of the {part} rows with a label too many or too few, those whose labels the model thought least likely."
        if record.sets is not None
        else f"The {part} rows whose answers are furthest off."
    )
    few = all(len(found.row) == 1 for found in record.mistakes)
    pictures = few and all(isinstance(value, Picture) for found in record.mistakes for value in found.row.values())
    shown = "\n".join(map(_mistake, record.mistakes))
    look = ' class="gallery"' if pictures else ""
    return f"""<h2>The worst mistakes</h2>
<p>{which} The label may be wrong, or the columns may say too little. These are rows of your data:
whoever has this page can read them (spec.report.mistakes says how many are shown; 0 for none).</p>
<div{look}>{shown}</div>"""


def _mistake(found: Mistake) -> str:
    sure = "" if found.probability is None else f' <span class="mute">({number(found.probability)})</span>'
    truth = (
        ""
        if found.probability_of_truth is None
        else f' <span class="mute">({number(found.probability_of_truth)})</span>'
    )
    values = "".join(_value(name, value, alone=len(found.row) == 1) for name, value in found.row.items())
    more = f'<p class="mute">and {words.count(found.more_columns, "column")} more</p>' if found.more_columns else ""
    return (
        f'<div class="mistake"><p><span class="mute">{escape(found.place)}:</span> '
        f"answered <b>{_said(found.answer)}</b>{sure}, is <b>{_said(found.truth)}</b>{truth}</p>"
        f"<dl>{values}</dl>{more}</div>"
    )


def _said(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else number(value)


def _value(name: str, value: object, *, alone: bool) -> str:
    if isinstance(value, Picture):
        width = max(64, value.width)
        shown = f'<img alt="{escape(name, quote=True)}" width="{width}" src="data:image/png;base64,{value.png}">'
    elif value is None:
        shown = '<span class="mute">missing</span>'
    elif isinstance(value, bool):
        shown = "true" if value else "false"
    else:
        shown = escape(f"{value:g}" if isinstance(value, float) else str(value))
    known = "" if alone and isinstance(value, Picture) else f"<dt>{escape(name)}</dt>"
    return f"<div>{known}<dd>{shown}</dd></div>"
