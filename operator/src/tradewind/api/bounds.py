"""What is measured of a model and bounded: latency and quality, each in one shape wherever it is meant."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tradewind.api.base import DecimalString, Model, Observed, Rule, SignedDecimalString

MetricName = Annotated[str, StringConstraints(min_length=1, max_length=63)]
Percentile = Literal[50, 95, 99]


class Latency(Model):
    """A bound on a percentile of the latency of a request."""

    percentile: Percentile = Field(default=95, description="50, 95 or 99.")
    milliseconds: DecimalString = Field(description="Longest time, in milliseconds.")


class QualityLoss(Model):
    """A bound on what may be lost of a metric, in the metric's own scale."""

    metric: MetricName | None = Field(default=None, description="A metric of the model; its primary one when left out.")
    value: DecimalString = Field(
        default="0.01",
        validate_default=True,
        description="Largest loss: '0.01' of an accuracy is one percentage point.",
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
    """A metric of a variant beside the baseline's, in the metric's own scale."""

    metric: MetricName = Field(description="Name of the metric.")
    value: Annotated[str, StringConstraints(max_length=26)] = Field(description="On the whole validation set.")
    loss: Annotated[str, StringConstraints(max_length=26)] | None = Field(
        default=None, description="What is lost against the baseline; below 0 where the variant is better."
    )
