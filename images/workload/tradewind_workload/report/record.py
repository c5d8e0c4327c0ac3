"""The content of report.json: all that the page shows, as numbers; of bounded size whatever the data is.

Floats have six significant digits. Rows of a list that was cut are counted beside it.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field

from tradewind.api.base import Observed

COLUMNS = 200  # that are described one by one
NOTES = 100
POINTS = 500  # of a curve
MATRIX = 30  # classes of a confusion matrix that is written whole
PAIRS = 20  # of classes that are taken for each other
CLASSES = 100  # that have a row of their own
ROWS = 400  # of a scatter plot
CELLS = 40  # of a row that is shown
TEXT = 400  # characters of a text that is shown
NAME = 120  # characters of a name


class Made(Observed):
    """The object that the model is of."""

    kind: str
    namespace: str
    name: str
    uid: str
    attempt: int


class Column(Observed):
    """A column of the data, and what became of it."""

    name: str
    kind: str = Field(description="number, boolean, category, datetime, text or image.")
    why: str = Field(description="How the kind was decided.")
    rows: int = Field(description="Rows that were looked at, before any was dropped.")
    missing: int = Field(description="Rows without a value.")
    distinct: int | None = Field(default=None, description="Different values; none where they are too many to count.")
    role: Literal["input", "label", "split"] = "input"
    became: str | None = Field(default=None, description="What the model gets of it.")


class Step(Observed):
    """A step of the preparation that looks at whole rows."""

    where: str = Field(description="The data set: its address.")
    step: str = Field(description="Name of the step.")
    before: int = Field(description="Rows that it was given.")
    after: int = Field(description="Rows that it left.")


class Part(Observed):
    """A part of the data."""

    name: Literal["train", "validation", "test"]
    rows: int
    classes: tuple[int, ...] = Field(default=(), description="Rows of each class or label, in the order of `labels`.")


class Split(Observed):
    """How the rows were divided."""

    by: str | None = Field(default=None, description="Row, Group or Time; none where each part is a data set.")
    column: str | None = None
    digest: str
    parts: tuple[Part, ...]


class Point(Observed):
    """An epoch of a network, or a round of trees."""

    number: int = Field(description="From 1.")
    loss: float | None = Field(default=None, description="Mean loss over the training rows, while it learnt.")
    validation_loss: float | None = Field(default=None, description="Of the validation rows, after it.")
    value: float | None = Field(default=None, description="The primary metric on the validation rows, after it.")


class Curve(Observed):
    """How the model learnt; of a long training only some of the points."""

    unit: Literal["epoch", "round"]
    loss: str = Field(description="Name of the loss.")
    metric: str | None = Field(default=None, description="The primary metric, where the points have it.")
    best: int | None = Field(default=None, description="Number of the point whose model was kept.")
    done: int = Field(description="Epochs or rounds that were done.")
    points: tuple[Point, ...]


class Measured(Observed):
    """A metric on a part of the data."""

    name: str
    value: float
    low: float | None = Field(default=None, description="Lower end of the 95 % interval, where the rows tell one.")
    high: float | None = Field(default=None, description="Upper end of it.")
    guessing: float | None = Field(default=None, description="What answering always the same gives.")
    higher_is_better: bool


class Quality(Observed):
    """The metrics of the finished model on one part, as the stored file answers."""

    part: Literal["validation", "test"]
    rows: int
    metrics: tuple[Measured, ...] = Field(description="The primary one first.")


class OfClass(Observed):
    """How one class fares."""

    label: str
    rows: int = Field(description="Rows of this class.")
    answered: int = Field(description="Rows that the model gave to it.")
    right: int = Field(description="Rows that are both.")


class Pair(Observed):
    """Rows of one class that were taken for another."""

    truth: str
    answer: str
    rows: int


class Bin(Observed):
    """Rows with like probabilities."""

    probability: float = Field(description="Mean of what the model said.")
    happened: float = Field(description="Share of the rows where it was so.")
    low: float = Field(description="Lower end of the 95 % interval of that share.")
    high: float
    rows: int


class Calibration(Observed):
    """Whether a probability of 0.8 means eight of ten."""

    about: str | None = Field(default=None, description="The class; none where it is the answer, whichever it is.")
    error: float = Field(description="Mean distance of the bins from what they say, weighed by their rows.")
    bins: tuple[Bin, ...]


class Line(Observed):
    """A curve."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class Classes(Observed):
    """Answers of a classification on the part that judges it."""

    matrix: tuple[tuple[int, ...], ...] | None = Field(
        default=None, description="Rows by truth (first index) and answer, in the order of `labels`; of few classes."
    )
    confused: tuple[Pair, ...] = Field(default=(), description="What is taken for what most often.")
    classes: tuple[OfClass, ...] = Field(default=(), description="Of many classes those with the most wrong answers.")
    classes_in_all: int
    calibration: Calibration
    positive: str | None = Field(default=None, description="Of two classes, the one that the curves are about.")
    roc: Line | None = Field(default=None, description="True over false positive rate.")
    precision_recall: Line | None = Field(default=None, description="Precision over recall.")


class OfLabel(OfClass):
    """How one of a row's labels fares."""

    average_precision: float | None = Field(default=None, description="None where no row has the label.")


class Sets(Observed):
    """Answers of a multi-label classification on the part that judges it."""

    labels: tuple[OfLabel, ...] = Field(default=(), description="Of many labels those with the most wrong answers.")
    labels_in_all: int
    rows: int
    all_right: int = Field(description="Rows all of whose labels were told, and no others.")
    one_wrong: int = Field(description="Rows with one label too many or too few.")


class Values(Observed):
    """Answers of a regression on the part that judges it."""

    truths: tuple[float, ...] = Field(description="Of some rows.")
    answers: tuple[float, ...]
    edges: tuple[float, ...] = Field(description="Of the histogram of answer less truth.")
    counts: tuple[int, ...]


class Picture(Observed):
    """A small copy of a picture."""

    png: str = Field(description="Base64.")
    width: int
    height: int


class Mistake(Observed):
    """A row that the model is most wrong about."""

    place: str = Field(description="Where it stands in the data.")
    row: dict[str, float | int | bool | str | Picture | None] = Field(description="Its values, as in the data.")
    more_columns: int = Field(default=0, description="Columns that are not shown.")
    truth: str | float
    answer: str | float
    probability: float | None = Field(default=None, description="Of the answer.")
    probability_of_truth: float | None = None


class Phase(Observed):
    """A part of the work and what it took."""

    name: str
    seconds: float


class Spent(Observed):
    """What the training took, on what."""

    phases: tuple[Phase, ...]
    workers: int
    cpu: str = Field(description="CPUs of a worker.")
    memory: str
    accelerators: int = 0
    pool: str | None = None


class Record(Observed):
    """The content of report.json."""

    format_version: Literal[1] = 1
    object: Made
    written_at: str
    task: str
    labels: tuple[str, ...] = Field(
        default=(), description="Names of the classes or labels; the first ones, where many."
    )
    columns: tuple[Column, ...] = ()
    columns_in_all: int = 0
    shape: tuple[int, ...] | None = Field(default=None, description="Of a row, where it is an array.")
    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = Field(default=(), description="What the log says of the preparation.")
    split: Split
    curve: Curve | None = None
    primary_metric: str
    better_than_guessing: bool
    quality: tuple[Quality, ...] = Field(description="The part that judges the model first.")
    commonest: str | None = Field(default=None, description="What guessing always answers.")
    classes: Classes | None = None
    sets: Sets | None = None
    values: Values | None = None
    mistakes: tuple[Mistake, ...] = ()
    mistakes_asked: int = Field(description="How many spec.report.mistakes asks for.")
    spent: Spent
    software: dict[str, str]
    recipe: dict[str, Any]
    data: dict[str, Any]

    def file(self) -> bytes:
        """The bytes of report.json."""
        content = {"formatVersion": self.format_version, **self.written()}
        return json.dumps(content, indent=1, ensure_ascii=False).encode()
