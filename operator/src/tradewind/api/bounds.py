"""What is measured of a model and bounded: latency and quality, each in one shape wherever it is meant."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tradewind.api.base import Count, DecimalString, Model, Observed, Rule, SignedDecimalString

MetricName = Annotated[str, StringConstraints(min_length=1, max_length=63)]
Percentile = Literal[50, 95, 99]
_Measured = Annotated[str, StringConstraints(max_length=63)]


class Latency(Model):
    """A bound on a percentile of a latency."""

    percentile: Percentile = Field(default=95, description="50, 95 or 99.")
    milliseconds: DecimalString = Field(description="Longest time, in milliseconds.")


class QualityLoss(Model):
    """A bound on what may be lost of a metric, in the metric's own scale."""

    metric: MetricName | None = Field(default=None, description="A metric of the model; its primary one when left out.")
    value: DecimalString | None = Field(
        default=None,
        description="Largest loss: '0.01' of an accuracy is one percentage point, and 5 of an rmse is 5 of the label's "
        "units. When left out it is 0.01, and of rmse and mae 1 % of the baseline's value.",
    )


class Quality(Model):
    """A bound on a metric, in the metric's own scale."""

    rules = (Rule("has(self.min) != has(self.max)", "give either min (more is better) or max (less is better)"),)

    metric: MetricName = Field(description="A metric of the model, for example accuracy.")
    min: SignedDecimalString | None = Field(default=None, description="Lowest value.")
    max: SignedDecimalString | None = Field(default=None, description="Highest value.")


class MeasuredLatency(Observed):
    """A percentile of the latency."""

    percentile: Annotated[int, Field(ge=1, le=99)] = Field(description="50, 95 or 99.")
    milliseconds: Annotated[str, StringConstraints(max_length=26)] = Field(description="Time, in milliseconds.")


class MeasuredQuality(Observed):
    """A metric of a variant beside the baseline's on the same rows, in the metric's own scale."""

    metric: MetricName = Field(description="Name of the metric.")
    value: _Measured = Field(description="Its value for the variant.")
    loss: _Measured | None = Field(
        default=None,
        description="What it is worse by than the baseline, also where less of the metric is better; below 0 where the "
        "variant is better.",
    )
    loss_low: _Measured | None = Field(
        default=None,
        description="Lower end of the 95 % interval of the loss, paired row by row. Both ends are left out of the "
        "baseline's own, and where these rows can't tell an interval.",
    )
    loss_high: _Measured | None = Field(default=None, description="Upper end of it.")
    part: Annotated[str, StringConstraints(max_length=63)] | None = Field(
        default=None, description="The part of the data that the rows are of: Test or Validation."
    )
    rows: Count | None = Field(default=None, description="Rows of that part.")
