"""How good a trained model is by the metric that counts, how sure that is, and what guessing would give."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tradewind.api.base import Count, Observed

# As the field writes them, those of several labels a row as scikit-learn does. Of log_loss, rmse and mae less is
# better, of the others more.
CLASSIFICATION = ("accuracy", "balanced_accuracy", "f1", "auroc", "average_precision", "log_loss")
MULTILABEL = ("average_precision", "f1_micro", "f1_macro", "subset_accuracy", "log_loss")
REGRESSION = ("rmse", "mae", "r2")
PrimaryMetric = Literal[
    "accuracy",
    "balanced_accuracy",
    "f1",
    "auroc",
    "average_precision",
    "log_loss",
    "f1_micro",
    "f1_macro",
    "subset_accuracy",
    "rmse",
    "mae",
    "r2",
]

MISSED = 10  # classes that a status names
MISSED_ROWS = 5  # of such a class, at least: that a row or two are wrong says nothing of their class
# Said where a model answers each class all right or all wrong.
NO_INTERVAL = "no 95 % interval: each resample of these rows gives the same value, so they say little about other rows"

_Number = Annotated[str, StringConstraints(max_length=63)]
_Label = Annotated[str, StringConstraints(max_length=256)]


class Evaluation(Observed):
    """The primary metric of a finished model beside that of guessing."""

    metric: _Number = Field(description="Name of the primary metric.")
    value: _Number = Field(description="Its value for the model.")
    low: _Number = Field(
        description="Lower end of the 95 % interval of the value: Wilson's of accuracy and subset_accuracy, which are "
        "shares of rows, and by a bootstrap over the rows of any other metric."
    )
    high: _Number = Field(
        description="Upper end of it; equal to the lower one where these rows can't tell an interval."
    )
    part: Annotated[str, StringConstraints(max_length=63)] = Field(
        description="Where it and all metrics were measured: Test, or Validation where the data has no test part."
    )
    rows: Count = Field(description="Rows of that part.")
    guessing: _Number = Field(
        description="Value of the metric for always answering the commonest class of the training rows, the mean of "
        "their labels, or the share of them that has each label."
    )
    better_than_guessing: bool = Field(description="Whether the model is better than that beyond chance.")
    commonest: _Label | None = Field(default=None, description="The class with the most training rows.")
    rarest: _Label | None = Field(
        default=None,
        description="The class with the fewest training rows; left out where all classes have about as many.",
    )
    positive: _Label | None = Field(
        default=None, description="Of two classes, the one that f1, auroc and average_precision are about."
    )
    missed: Annotated[tuple[_Label, ...], Field(max_length=MISSED)] | None = Field(
        default=None,
        description="Classes or labels with five rows or more in that part of which the model found none, the first "
        "ten; left out where there is no such class.",
    )
    missed_rows: Count | None = Field(
        default=None, description="Rows in that part of all classes that it found none of."
    )

    labels: Count | None = Field(
        default=None, description="Where a row has any number of labels, how many there are to tell."
    )

    def certainty(self) -> str:
        """The 95 % interval in words, or why there is none."""
        if self.low != self.high:
            return f"95 % interval {self.low} to {self.high}"
        return NO_INTERVAL

    def guess(self) -> str:
        """What guessing is, in words."""
        if self.metric in REGRESSION:
            return "always answering the mean of the training rows"
        if self.labels is not None:
            return "always answering how often each label occurs"
        if self.commonest is None:
            return "always answering the commonest class"
        return f"always answering {short(self.commonest)}"

    @property
    def uneven(self) -> bool:
        """Whether classes or labels can differ in size, so that weights of them may change something."""
        return self.rarest is not None or self.labels is not None

    def misses(self) -> str:
        """The classes of which no row was found, in words; empty where there are none."""
        missed = self.missed or ()
        shown = ", ".join(short(label) for label in missed[:3])
        return f"{shown} and others" if len(missed) > 3 else shown


def short(label: str) -> str:
    """A label as sentences name it."""
    return repr(label if len(label) <= 64 else f"{label[:63]}…")
