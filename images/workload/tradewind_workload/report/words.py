"""The sentences of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradewind.api.evaluation import MISSED_ROWS, NO_INTERVAL
from tradewind_workload.heads.certainty import SHARES
from tradewind_workload.report.style import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tradewind_workload.report.record import Calibration, Curve, Measured, OfClass, Record, Sets


def count(rows: int, noun: str) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{rows:,} {noun}" if rows == 1 else f"{rows:,} {noun}s"


def headline(record: Record) -> str:
    """How good the model is, beside guessing."""
    judged = record.quality[0]
    primary = _primary(record)
    interval = NO_INTERVAL
    if primary.low is not None:
        interval = f"95 % interval {number(primary.low)} to {number(primary.high)}"
    always = "the mean of the training rows" if record.commonest is None else f"{record.commonest!r}"
    if record.sets is not None:
        always = "how often each label occurs"
    rows = count(judged.rows, f"{judged.part} row")
    return (
        f"On {rows} the model has {primary.name} {number(primary.value)} ({interval}); "
        f"always answering {always} gives {number(primary.guessing)}."
    )


def _primary(record: Record) -> Measured:
    return next(found for found in record.quality[0].metrics if found.name == record.primary_metric)


def no_better(record: Record) -> str:
    """Where the model is worth nothing."""
    return (
        f"By {record.primary_metric} the model is not better than that beyond chance. More rows, other columns or "
        "another recipe may help; see the condition BetterThanGuessing of the TrainingJob."
    )


def how_measured(record: Record) -> str:
    """What the table of metrics says."""
    judged = record.quality[0].part
    other = (
        "The validation rows chose the model, so their numbers are a little too good."
        if judged == "test"
        else "There is no test part: the same rows chose the model and judge it, so its numbers are a little too good. "
        "spec.data.testFraction or spec.data.test gives rows that nothing is chosen by."
    )
    shares = [metric.name for metric in record.quality[0].metrics if metric.name in SHARES]
    wilson = f": Wilson's of {' and '.join(shares)} (a share of rows), of other metrics" if shares else ","
    apart = ", in which each class keeps its number of rows" if record.classes else ""
    if record.sets:
        apart = ", in which as many rows have a label"
    return (
        f"Measured with the stored file, as it is served. Intervals are of 95 %{wilson} by a bootstrap over the "
        f"rows{apart}. Where every draw has the same value, a bootstrap tells none. "
        f"Guessing gives every row the same answer. {other}"
    )


def learnt(curve: Curve) -> str:
    """What the curves say."""
    kept = "" if curve.best is None else f"The model of {curve.unit} {curve.best} of {curve.done} was kept"
    by = {
        "epoch": f", the best by {curve.metric} on the validation rows." if curve.metric else ".",
        "round": f", which has the least {curve.loss} on the validation rows.",
    }
    shown = f" {len(curve.points):,} of the points are drawn." if len(curve.points) < curve.done else ""
    return f"{kept}{by[curve.unit] if kept else ''}{shown}".strip() or f"{count(curve.done, curve.unit)} were done."


def never(found: Sequence[OfClass], *, may_weigh: bool) -> str:
    """Which classes or labels have rows enough, none of which was answered so; empty where there is no such class.

    `may_weigh`: classWeights Balanced would be a change, and is accepted.
    """
    names = [repr(one.label) for one in found if one.rows >= MISSED_ROWS and not one.right]
    if not names:
        return ""
    shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    balanced = ", or let all classes weigh alike in the loss (spec.recipe.classWeights: Balanced)"
    advice = balanced if may_weigh else ""
    return f"No row of {shown} was answered so. To find some, set a limit of your own for the probability{advice}."


def sets(found: Sets) -> str:
    """How often all labels of a row are right."""
    return (
        f"Of {count(found.rows, 'row')} {found.all_right:,} ({found.all_right / found.rows:.1%}) were given exactly "
        f"their labels, {found.one_wrong:,} ({found.one_wrong / found.rows:.1%}) one too many or too few. A label is "
        "answered where its probability is 0.5 or more; answers have the probabilities of all labels, so a limit of "
        "your own can be set for each."
    )


def calibrated(found: Calibration, *, weighed: bool) -> str:
    """What the calibration curve says."""
    what = "the answer is right" if found.about is None else f"a row is {found.about!r}"
    balanced = (
        " With classWeights Balanced, probabilities are those of balanced classes, and so not these shares."
        if weighed
        else ""
    )
    return (
        f"How likely it is that {what}: what the model says, and how often it was so, with 95 % intervals. On average "
        f"the two are {number(found.error)} apart.{balanced}"
    )


def spent(record: Record) -> str:
    """What it ran on, and where its cost stands."""
    of = record.spent
    accelerators = f" and {count(of.accelerators, 'accelerator')}" if of.accelerators else ""
    pool = f" on pool {of.pool}" if of.pool else ""
    return (
        f"{count(of.workers, 'worker')} with {of.cpu} CPU, {of.memory} of memory{accelerators} each{pool}. Seconds are "
        "of the clock. What it cost is in status.cost of the TrainingJob, which counts the pods' whole time and knows "
        "the prices."
    )
