"""CompressionJob: make a model smaller and faster, and measure what that costs in accuracy."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from tradewind.api.base import (
    FRACTION,
    NAME_RULE,
    DecimalString,
    FractionString,
    Model,
    Name,
    ObjectMeta,
    ObjectName,
    Observed,
    OneOf,
    PrinterColumn,
    Quantity,
    Rule,
    StorageUri,
    fixed,
)
from tradewind.api.data import Data
from tradewind.api.job import JobStatus, Output, RunPolicy


class ModelSource(OneOf):
    """The model to compress."""

    training_job: ObjectName | None = Field(
        default=None, description="TrainingJob with a recipe, in the same namespace; waited for until it is Complete."
    )
    storage_uri: StorageUri | None = Field(
        default=None, description="Folder with model.onnx, model.safetensors and model.json."
    )


class Prune(Model):
    """Remove whole channels or hidden units, the least important first, and train the rest again."""

    rules = (
        Rule(
            f"!self.sparsity.matches(r'{FRACTION}') || (double(self.sparsity) > 0.0 && double(self.sparsity) < 0.95)",
            "sparsity is the share of channels to remove: above 0 and below 0.95, for example '0.5'",
        ),
    )

    sparsity: FractionString = Field(description="Share of the channels of each layer to remove.")
    structure: Literal["channels"] = Field(default="channels", description="What is removed as one.")
    fine_tune_epochs: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=3, description="Passes over the training data afterwards."
    )


class Quantize(Model):
    """Compute with 8-bit integers instead of 32-bit floats."""

    scheme: Literal["dynamic-int8", "static-int8"] = Field(
        description="dynamic-int8 finds the range of activations at each request; static-int8 finds it once, on "
        "calibration rows of the training split, with a scale a channel for the weights."
    )
    calibration_rows: Annotated[int, Field(ge=8, le=100000)] = Field(
        default=256, description="static-int8: rows of the training split that the ranges are found on."
    )


class Method(OneOf):
    """One step of a candidate."""

    prune: Prune | None = Field(default=None, description="Remove channels or hidden units.")
    quantize: Quantize | None = Field(default=None, description="Compute with 8-bit integers.")


class Candidate(Model):
    """An ordered list of methods that makes one variant."""

    rules = (
        Rule("self.name != 'baseline'", "the uncompressed model is always measured as 'baseline': choose another name"),
        Rule(
            "self.methods.size() < 2 || !self.methods.exists(m, has(m.quantize))"
            " || has(self.methods[self.methods.size() - 1].quantize)",
            "quantize ends a candidate: put prune before it",
        ),
        Rule("self.methods.filter(m, has(m.quantize)).size() <= 1", "a candidate is quantised once"),
    )

    name: Name = Field(description="Name of the variant.")
    methods: Annotated[tuple[Method, ...], Field(min_length=1, max_length=8)] = Field(description="Methods, in order.")


class LatencyGoal(Model):
    """A bound on a percentile of the latency."""

    percentile: Literal[50, 95] = Field(default=95, description="50 or 95.")
    value: DecimalString = Field(description="Milliseconds at batch size 1.")


class Goals(Model):
    """What a variant must reach to be accepted."""

    max_accuracy_loss_percent: DecimalString = Field(
        default="1",
        validate_default=True,
        description="Largest loss of accuracy against the baseline, in percentage points.",
    )
    max_latency_ms: LatencyGoal | None = Field(default=None, description="Longest latency.")
    max_size_bytes: Annotated[int, Field(ge=1)] | None = Field(default=None, description="Largest size of model.onnx.")


class Measure(Model):
    """How the variants are measured."""

    pool: Name | None = Field(
        default=None, description="Row of the price table to measure on; the first row when left out."
    )
    cpus: Quantity = Field(default="1", description="CPU of the pod that measures.")
    memory: Quantity = Field(default="2Gi", description="Memory of the pod that measures.")
    threads: Annotated[int, Field(ge=1, le=256)] = Field(default=1, description="Threads of ONNX Runtime.")
    batch_sizes: Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(min_length=1, max_length=8)] = Field(
        default=(1, 32), description="Rows a request; latency is of the first, throughput of the best."
    )
    warmup: Annotated[int, Field(ge=1, le=10000)] = Field(default=20, description="Requests before the clock runs.")
    repeats: Annotated[int, Field(ge=10, le=100000)] = Field(
        default=200, description="Timed requests of each variant, interleaved with the baseline's."
    )


class CompressionJobSpec(Model):
    """What to compress, how, and what counts as good."""

    rules = (
        Rule(
            "!has(self.model.storageUri) || has(self.data)",
            "a model from a storageUri has no data of its own: set spec.data (train to calibrate, validation to judge)",
        ),
        *fixed("CompressionJob", "model", "data", "candidates", "goals", "measure", "output"),
    )

    model: ModelSource = Field(description="The model to compress.")
    data: Data | None = Field(
        default=None, description="Data to calibrate, fine-tune and judge with; the training job's when left out."
    )
    candidates: Annotated[tuple[Candidate, ...], Field(min_length=1, max_length=31)] = Field(
        description="Variants to make.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    goals: Goals = Field(default_factory=Goals, description="What a variant must reach to be accepted.")
    measure: Measure = Field(default_factory=Measure, description="How the variants are measured.")
    run_policy: RunPolicy = Field(default_factory=RunPolicy, description="How the job lives.")
    output: Output = Field(description="Where the variants and the report go.")


class SpeedUp(Observed):
    """Baseline latency divided by the variant's, with a 95 % bootstrap interval."""

    value: str = Field(description="Ratio of the medians.")
    low: str = Field(description="Lower end of the interval.")
    high: str = Field(description="Upper end of the interval.")


class Variant(Observed):
    """A measured model."""

    name: Annotated[str, StringConstraints(max_length=63)] = Field(description="Name of the candidate, or baseline.")
    methods: Annotated[str, StringConstraints(max_length=256)] = Field(description="What was done, in order.")
    verdict: Literal["Accepted", "Regression", "NotFaster", "Infeasible", "Failed"] = Field(
        description="Accepted; Regression: too much accuracy lost; NotFaster: slower than the baseline, or "
        "neither faster nor smaller; Infeasible: misses a goal of latency or size; Failed: could not be made."
    )
    reason: Annotated[str, StringConstraints(max_length=1024)] = Field(
        description="The verdict in a sentence with its numbers."
    )
    accuracy: str | None = Field(default=None, description="On the whole validation set, through ONNX Runtime.")
    accuracy_delta: str | None = Field(default=None, description="Against the baseline, in percentage points.")
    latency_p50_ms: str | None = Field(
        default=None, alias="latencyP50Ms", description="Median latency in milliseconds."
    )
    latency_p95_ms: str | None = Field(
        default=None, alias="latencyP95Ms", description="95th percentile in milliseconds."
    )
    throughput_per_second: str | None = Field(default=None, description="Rows a second at the best batch size.")
    size_bytes: int | None = Field(default=None, description="Size of model.onnx.")
    peak_memory_bytes: int | None = Field(default=None, description="Peak resident memory of a process that serves it.")
    cost_per_million: str | None = Field(
        default=None, description="Price of a million rows at that throughput, or Unknown."
    )
    speedup: SpeedUp | None = Field(default=None, description="Against the baseline.")
    pareto: bool | None = Field(
        default=None, description="No other variant is at least as good in accuracy, latency and size."
    )
    storage_uri: Annotated[str, StringConstraints(max_length=512)] | None = Field(
        default=None, description="Folder with its files."
    )
    digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")] | None = Field(
        default=None, description="SHA-256 of its model.json."
    )


class CompressionResult(Observed):
    """What a compression job found, as its program reports it."""

    variants: Annotated[tuple[Variant, ...], Field(max_length=32)] = Field(description="Rows, the baseline first.")
    report_uri: Annotated[str, StringConstraints(max_length=512)] | None = Field(
        default=None, description="Folder with report.json and report.html."
    )
    cpu: Annotated[str, StringConstraints(max_length=256)] | None = Field(
        default=None, description="Processor and instruction set that was measured on."
    )


class CompressionJobStatus(JobStatus):
    """What became of the compression."""

    source_digest: str | None = Field(default=None, description="Digest of the model that was compressed.")
    variants: Annotated[tuple[Variant, ...], Field(max_length=32)] = Field(
        default=(), description="Measured models, the baseline first."
    )
    report_uri: str | None = Field(default=None, description="Folder with report.json and report.html.")
    cpu: str | None = Field(default=None, description="Processor and instruction set that was measured on.")
    accepted: int | None = Field(default=None, description="Number of accepted variants besides the baseline.")
    best_speedup: str | None = Field(default=None, description="Largest speed-up of an accepted variant.")


class CompressionJob(Observed):
    """Makes variants of a model and measures their accuracy, latency, size and price."""

    rules = (NAME_RULE,)
    kind: ClassVar[str] = "CompressionJob"
    plural: ClassVar[str] = "compressionjobs"
    short_name: ClassVar[str] = "cpj"
    columns: ClassVar[tuple[PrinterColumn, ...]] = (
        PrinterColumn("Phase", ".status.phase", description="One word for the state."),
        PrinterColumn(
            "Progress", ".status.trainerStatus.progressPercentage", "integer", "Percent of the variants done."
        ),
        PrinterColumn("Accepted", ".status.accepted", "integer", "Number of accepted variants."),
        PrinterColumn("Speedup", ".status.bestSpeedup", description="Largest speed-up of an accepted variant."),
        PrinterColumn("Cost", ".status.cost.accrued", description="Money so far."),
        PrinterColumn("Age", ".metadata.creationTimestamp", "date"),
    )

    metadata: ObjectMeta
    spec: CompressionJobSpec
    status: CompressionJobStatus = Field(default_factory=CompressionJobStatus)
