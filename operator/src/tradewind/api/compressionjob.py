"""CompressionJob: make a model smaller and faster, and measure what that costs in quality."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from tradewind.api.base import (
    FRACTION,
    LARGEST_INTEGER,
    NAME_RULE,
    Count,
    FractionString,
    Kind,
    Model,
    Name,
    ObjectMeta,
    Observed,
    OneOf,
    PrinterColumn,
    Reference,
    Rule,
    StorageUri,
    StoredUri,
    fixed_once_started,
)
from tradewind.api.bounds import Latency, MeasuredLatency, MeasuredQuality, QualityLoss
from tradewind.api.data import Data
from tradewind.api.job import JobStatus, Output, RunPolicy
from tradewind.api.placement import PodMetadata, ProgramResources, ServingResources


class ModelSource(OneOf):
    """The model to compress."""

    training_job_ref: Reference | None = Field(
        default=None, description="TrainingJob with a recipe, in the same namespace; waited for until it is Complete."
    )
    storage_uri: StorageUri | None = Field(
        default=None,
        description="Folder with model.json and the files that it names, or the output folder of a job, which means "
        "the model that was finished last.",
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
        "calibration rows of the training split, with one scale per channel for the weights."
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


class Goals(Model):
    """What a variant must reach to be accepted."""

    max_quality_loss: QualityLoss = Field(
        default_factory=QualityLoss,
        description="Largest loss of quality against the baseline, by the whole 95 % interval.",
    )
    max_latency: Latency | None = Field(
        default=None,
        description="Longest latency of a request to a replica that comes now and then; it is also what "
        "throughputPerSecond keeps.",
    )
    max_size_bytes: Annotated[int, Field(ge=1, le=LARGEST_INTEGER)] | None = Field(
        default=None, description="Largest size of model.onnx."
    )


class Measure(Model):
    """How the variants are measured."""

    resources: ServingResources = Field(
        default_factory=ServingResources,
        description="What a replica has that is measured, as spec.resources of the ModelDeployment that will serve it. "
        "The pod has two of them, which take turns, beside the program; with accelerators both in one container.",
    )
    threads: Annotated[int, Field(ge=1, le=256)] = Field(
        default=1,
        description="Threads of ONNX Runtime for the model alone; a replica has as many as its CPU allows.",
    )
    batch_sizes: Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(min_length=1, max_length=8)] = Field(
        default=(1, 32),
        description="Rows that the model alone is given at a time; latency is of the first, throughput of the best. A "
        "request to a replica has one row.",
    )
    warmup: Annotated[int, Field(ge=1, le=10000)] = Field(default=20, description="Requests before the clock runs.")
    repeats: Annotated[int, Field(ge=10, le=100000)] = Field(
        default=200,
        description="Timed requests of each variant, in turns with the baseline's; more of them narrow the intervals.",
    )


class CompressionJobSpec(Model):
    """What to compress, how, and what counts as good."""

    rules = (
        Rule(
            "!has(self.model.storageUri) || has(self.data)",
            "a model from a storageUri has no data of its own: set spec.data (train to calibrate, validation to judge)",
        ),
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
    resources: ProgramResources = Field(
        default_factory=ProgramResources,
        description="What the program has that makes the variants and asks the replicas. It runs where these do.",
    )
    pod_metadata: PodMetadata = Field(
        default_factory=PodMetadata, description="Labels and annotations of the pod, from an allow-list."
    )
    run_policy: RunPolicy = Field(default_factory=RunPolicy, description="How the job lives.")
    output: Output = Field(description="Where the variants and the report go.")


Number = Annotated[str, StringConstraints(pattern=r"^(Unknown|-?[0-9]{1,20}(\.[0-9]{1,15})?)$", max_length=40)]


class MeasuredOn(Observed):
    """The pod that measured."""

    pool: Annotated[str, StringConstraints(max_length=63)] | None = Field(
        default=None, description="Row of the price table."
    )
    cpu: Annotated[str, StringConstraints(max_length=20)] = Field(description="CPU of the replica.")
    memory: Annotated[str, StringConstraints(max_length=20)] = Field(description="Memory of the replica.")
    accelerators: Count = Field(default=0, description="GPUs of the replica.")


class ThroughputInterval(Observed):
    """How much a throughput differs from process to process of one model."""

    low: Number = Field(description="Lowest of the processes; 0 where one kept no rate that was tried.")
    high: Number = Field(description="Highest of the processes.")


class SpeedUp(Observed):
    """Baseline latency divided by the variant's, with a 99 % interval over the processes that measured.

    Of a replica these are the latencies of requests without pauses, each sent when the one before it is answered.
    """

    value: Number = Field(description="Median of the ratios.")
    low: Number = Field(description="Lower end of the interval.")
    high: Number = Field(description="Upper end of the interval.")


class RequestPart(Observed):
    """A part of the time of a request."""

    part: Annotated[str, StringConstraints(max_length=20)] = Field(
        description="read (its body), parse (to values), queue (for a thread), process (texts and pictures to "
        "tensors), model, answer (written as JSON), or http, the rest: the network, and reading and writing HTTP."
    )
    milliseconds: Number = Field(description="Its mean, in milliseconds.")


class Replica(Observed):
    """How a replica was measured, and what was seen besides."""

    within: MeasuredLatency = Field(
        description="What throughputPerSecond keeps: goals.maxLatency, else five times the median of `latencies` at "
        "the 95th percentile, or twice, four times, ... as long where the machine is too busy to keep that."
    )
    start_seconds: Number = Field(description="Time until a replica is Ready, in seconds.")
    parts: Annotated[tuple[RequestPart, ...], Field(max_length=8)] = Field(
        default=(),
        description="Where the time goes of the requests that `latencies` are of; together they are their mean.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["part"]},
    )

    @model_validator(mode="after")
    def _parts_are_unique(self) -> Self:
        found = [part.part for part in self.parts]
        if len(set(found)) != len(found):
            raise ValueError("parts: each stands once")
        return self


def _require_one_of_each(latencies: Sequence[MeasuredLatency]) -> None:
    percentiles = [latency.percentile for latency in latencies]
    if len(set(percentiles)) != len(percentiles):
        raise ValueError("latencies: each percentile stands once")


class Runtime(Observed):
    """The model alone in ONNX Runtime, without HTTP, beside the replica that serves it."""

    latencies: Annotated[tuple[MeasuredLatency, ...], Field(max_length=8)] = Field(
        default=(),
        description="Latency at the first batch size.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["percentile"]},
    )
    throughput_per_second: Number | None = Field(default=None, description="Rows per second at the best batch size.")

    @model_validator(mode="after")
    def _percentiles_are_unique(self) -> Self:
        _require_one_of_each(self.latencies)
        return self


class Variant(Observed):
    """A measured model.

    Where `replica` is there, its numbers are those of a replica that is asked over HTTP, else those of the model alone
    in ONNX Runtime.
    """

    name: Annotated[str, StringConstraints(max_length=63)] = Field(description="Name of the candidate, or baseline.")
    methods: Annotated[str, StringConstraints(max_length=256)] = Field(description="What was done, in order.")
    # Not an enumeration: a newer workload may know a verdict more, and a row that is not Accepted is not served.
    verdict: Annotated[str, StringConstraints(pattern="^[A-Z][A-Za-z]{1,62}$")] = Field(
        description="Accepted; Regression: too much quality lost; NotFaster: slower than the baseline, or neither "
        "faster nor smaller, or less than 0.95 of its speed by a part of the interval; Infeasible: misses a goal of "
        "latency or size; Inconclusive: keeps all that, and the rows that judge can't show that it loses no more "
        "quality than it may; NotApplicable: a method has nothing to work on in the model; Failed: could not be made "
        "or measured, or is served with other answers than those that were judged."
    )
    reason: Annotated[str, StringConstraints(max_length=1024)] = Field(
        description="The verdict in a sentence with its numbers."
    )
    quality: MeasuredQuality | None = Field(
        default=None,
        description="The metric that goals.maxQualityLoss bounds, on the test data, which decides nothing unless all "
        "of the interval is beyond that bound; on the validation data where there is no test data.",
    )
    judged_quality: MeasuredQuality | None = Field(
        default=None, description="The same on the validation data: what the verdict is of."
    )
    latencies: Annotated[tuple[MeasuredLatency, ...], Field(max_length=8)] = Field(
        default=(),
        description="Latency of requests of one row that come now and then, so that each finds the replica waiting; "
        "where a request takes so long that few come in a second, of a client that asks again at once. Without a "
        "replica that of the model at the first batch size.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["percentile"]},
    )
    throughput_per_second: Number | None = Field(
        default=None,
        description="Most requests per second, at random times, of which a replica answers so many within "
        "replica.within, the median of several processes; without a replica, rows per second at the best batch size.",
    )
    throughput_interval: ThroughputInterval | None = Field(
        default=None, description="What these processes differ by; where a replica was measured."
    )
    size_bytes: Count | None = Field(default=None, description="Size of model.onnx.")
    peak_memory_bytes: Count | None = Field(
        default=None, description="Peak resident memory of a process that serves it."
    )
    cost_per_million: Number | None = Field(
        default=None,
        description="Price of a million requests (without a replica: rows) at that throughput, or Unknown.",
    )
    speedup: SpeedUp | None = Field(default=None, description="Against the baseline, asked without pauses.")
    pareto: bool | None = Field(
        default=None, description="No other variant is at least as good in quality, latency and size."
    )
    storage_uri: StoredUri | None = Field(default=None, description="Folder with its files, which never changes.")
    digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")] | None = Field(
        default=None, description="SHA-256 of its model.json."
    )
    measured_on: MeasuredOn | None = Field(default=None, description="Pool and resources of the pod that measured.")
    replica: Replica | None = Field(default=None, description="Of the replica that was measured.")
    runtime: Runtime | None = Field(
        default=None, description="Of the model alone, where a replica was measured, and that on CPUs."
    )

    @property
    def times_as_fast(self) -> Decimal | None:
        """Its speed as a multiple of the baseline's; None where that was not measured."""
        value = self.speedup.value if self.speedup is not None else "Unknown"
        return None if value == "Unknown" else Decimal(value)

    @model_validator(mode="after")
    def _percentiles_are_unique(self) -> Self:
        _require_one_of_each(self.latencies)
        return self


class CompressionResult(Observed):
    """What a compression job found, as its program reports it."""

    variants: Annotated[tuple[Variant, ...], Field(max_length=32)] = Field(description="Rows, the baseline first.")
    report_uri: StorageUri | None = Field(default=None, description="Folder with report.json and report.html.")
    processor: Annotated[str, StringConstraints(max_length=256)] | None = Field(
        default=None, description="Processor and instruction set of the measurement."
    )

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [variant.name for variant in self.variants]
        if len(set(names)) != len(names):
            raise ValueError("variants: each has a name of its own")
        return self


class CompressionJobStatus(JobStatus):
    """What became of the compression."""

    source_digest: str | None = Field(default=None, description="Digest of the model that was compressed.")
    variants: Annotated[tuple[Variant, ...], Field(max_length=32)] = Field(
        default=(),
        description="Measured models, the baseline first.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    report_uri: str | None = Field(default=None, description="Folder with report.json and report.html.")
    processor: str | None = Field(default=None, description="Processor and instruction set of the measurement.")
    accepted_variants: Count | None = Field(
        default=None, description="Number of accepted variants besides the baseline."
    )
    best_speedup: str | None = Field(default=None, description="Largest speed-up of an accepted variant.")

    def headline(self) -> str | None:
        """The quality of the accepted variant that is the fastest."""
        accepted = [row for row in self.variants if row.verdict == "Accepted" and row.quality]
        best = max(accepted, key=lambda row: row.times_as_fast or Decimal(0), default=None)
        return (
            f"{best.quality.metric} {best.quality.value}" if best is not None and best.quality else super().headline()
        )


class CompressionJob(Kind):
    """Makes variants of a model and measures their quality, latency, size and price."""

    rules = (
        NAME_RULE,
        *fixed_once_started(
            "CompressionJob",
            "model",
            "data",
            "candidates",
            "goals",
            "measure.threads",
            "measure.batchSizes",
            "measure.warmup",
            "measure.repeats",
            "podMetadata",
            "output",
            resources="measure.resources",
            quantities=("resources.cpu", "resources.cpuLimit", "resources.memory"),
        ),
    )
    kind: ClassVar[str] = "CompressionJob"
    plural: ClassVar[str] = "compressionjobs"
    short_name: ClassVar[str] = "cpj"
    columns: ClassVar[tuple[PrinterColumn, ...]] = (
        PrinterColumn("Phase", ".status.phase", description="One word for the state."),
        PrinterColumn(
            "Progress", ".status.trainerStatus.progressPercentage", "integer", "Percent of the variants done."
        ),
        PrinterColumn("Accepted", ".status.acceptedVariants", "integer", "Number of accepted variants."),
        PrinterColumn("Speedup", ".status.bestSpeedup", description="Largest speed-up of an accepted variant."),
        PrinterColumn("Metric", ".status.columns.metric", description="Quality of the best variant, with its name."),
        PrinterColumn("Cost", ".status.columns.cost", description="Money so far, with its currency."),
        PrinterColumn("Age", ".metadata.creationTimestamp", "date"),
    )

    metadata: ObjectMeta
    spec: CompressionJobSpec
    status: CompressionJobStatus = Field(default_factory=CompressionJobStatus)
