"""ModelDeployment: serve a model over HTTP, with the variant that the numbers favour."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from tradewind.api.base import (
    LARGEST_INTEGER,
    NAME_RULE,
    Cost,
    Count,
    DecimalString,
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
    Status,
    StorageUri,
    Timestamp,
)
from tradewind.api.bounds import Latency, MeasuredLatency, Quality
from tradewind.api.compressionjob import MeasuredOn, Number, ThroughputInterval
from tradewind.api.evaluation import Evaluation
from tradewind.api.job import PoolChoice
from tradewind.api.placement import PodMetadata, ServingResources

MOST_REPLICAS = 1000  # of a service


class ServedModel(OneOf):
    """The model to serve."""

    compression_job_ref: Reference | None = Field(
        default=None, description="CompressionJob of the same namespace; waited for until it is Complete."
    )
    training_job_ref: Reference | None = Field(
        default=None, description="TrainingJob of the same namespace; waited for until it is Complete."
    )
    storage_uri: StorageUri | None = Field(
        default=None,
        description="An ONNX file, a folder with model.onnx (and model.json if Tradewind made it), or the output "
        "folder of a job, which means the model that was finished last when a replica starts.",
    )


class Where(Model):
    """Bounds that a variant must keep to be chosen."""

    quality: Quality | None = Field(default=None, description="Bound on a metric of the variant.")
    max_latency: Latency | None = Field(
        default=None,
        description="Longest latency, as the compression job measured it: of a replica over HTTP, or of the model "
        "alone where the job had no server.",
    )
    max_size_bytes: Annotated[int, Field(ge=1, le=LARGEST_INTEGER)] | None = Field(
        default=None, description="Largest size of model.onnx."
    )


class Select(Model):
    """Which accepted variant of the compression job is served."""

    minimize: Literal["Cost", "Latency", "Size"] = Field(
        default="Cost",
        description="What the choice makes smallest. Of variants that are equal in that within what was measured, one "
        "that answers measurably fewer requests is passed over, and of the rest the one is served that loses the least "
        "quality on the validation data, then the smallest.",
    )
    where: Where = Field(default_factory=Where, description="Bounds to keep.")


class Scaling(Model):
    """How many replicas, and what moves their number."""

    rules = (Rule("self.minReplicas <= self.maxReplicas", "minReplicas must not be above maxReplicas"),)

    min_replicas: Annotated[int, Field(ge=1, le=MOST_REPLICAS)] = Field(
        default=1, description="Fewest replicas; see expectedRequestsPerSecond."
    )
    max_replicas: Annotated[int, Field(ge=1, le=MOST_REPLICAS)] = Field(default=1, description="Most replicas.")
    metric: Literal["cpu", "memory"] = Field(default="cpu", description="What the HorizontalPodAutoscaler looks at.")
    target: Annotated[int, Field(ge=1, le=100)] = Field(
        default=70, description="Its mean over the replicas to keep, in percent of the request."
    )


class Limits(Model):
    """What a replica takes; more is refused in a sentence."""

    max_body_bytes: Annotated[int, Field(ge=1024, le=2**30)] | None = Field(
        default=None, description="Largest body of a request; 16 MiB when left out."
    )
    max_rows: Annotated[int, Field(ge=1, le=2**24)] | None = Field(
        default=None, description="Most rows in a request; 4096 when left out."
    )
    max_queue: Annotated[int, Field(ge=1, le=2**16)] | None = Field(
        default=None,
        description="Most requests that wait for the model in a replica; 64 for each of its threads when left out.",
    )
    max_pixels: Annotated[int, Field(ge=1024, le=150_000_000)] | None = Field(
        default=None,
        description="Most pixels of a picture, and of all pictures of a request as the model takes them; 50 million "
        "when left out.",
    )
    max_batch_rows: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        default=None,
        description="Most rows of several requests that are computed together, where that pays; 64 when left out, 1 "
        "for none.",
    )
    max_wait_milliseconds: Annotated[int, Field(ge=1, le=3_600_000)] | None = Field(
        default=None,
        description="A request that would wait longer for the model is refused with 429; 1000 when left out.",
    )
    max_read_seconds: Annotated[int, Field(ge=1, le=3600)] | None = Field(
        default=None, description="How long the body of a request may take to arrive; 30 when left out."
    )
    drain_seconds: Annotated[int, Field(ge=1, le=3600)] | None = Field(
        default=None,
        description="How long the requests that a replica has taken may take when it ends; 20 when left out.",
    )


class ErrorRate(Model):
    """Share of the answers that have a code of 5xx."""

    max: FractionString = Field(description="Fires above this share, for example '0.01'.")


class ReplicasMissing(Model):
    """Replicas that are wanted and not available."""

    max: Annotated[int, Field(ge=0, le=MOST_REPLICAS)] = Field(default=0, description="Fires above this number.")


class Alert(OneOf):
    """A state of the running service that someone should know about."""

    besides = ("name", "for_seconds", "severity")

    name: Name = Field(description="Name of the alert.")
    error_rate: ErrorRate | None = Field(default=None, description="Too many requests fail.")
    latency: Latency | None = Field(default=None, description="Requests take too long.")
    replicas_missing: ReplicasMissing | None = Field(default=None, description="Replicas are missing.")
    for_seconds: Annotated[int, Field(ge=0, le=86400)] = Field(default=300, description="How long it must hold.")
    severity: Literal["info", "warning", "critical"] = Field(default="warning", description="Label of the alert.")


class ModelDeploymentSpec(Model):
    """What to serve, where, and what to watch."""

    rules = (
        Rule(
            "!has(self.select) || has(self.model.compressionJobRef)",
            "select chooses among the variants of a compression job: set spec.model.compressionJobRef, or remove "
            "select",
        ),
    )

    model: ServedModel = Field(description="The model to serve.")
    select: Select | None = Field(
        default=None, description="Which accepted variant is served; the cheapest when left out."
    )
    expected_requests_per_second: DecimalString | None = Field(
        default=None,
        description="Expected load, from which replicas and cost per million are computed where a replica of the "
        "model was measured; there are never fewer replicas than it needs, up to scaling.maxReplicas.",
    )
    resources: ServingResources = Field(default_factory=ServingResources, description="Where a replica runs.")
    pod_metadata: PodMetadata = Field(
        default_factory=PodMetadata, description="Labels and annotations of the replicas, from an allow-list."
    )
    scaling: Scaling = Field(default_factory=Scaling, description="How many replicas.")
    limits: Limits = Field(
        default_factory=Limits, description="How large requests may be, and how many may wait, how long."
    )
    alerts: Annotated[tuple[Alert, ...], Field(max_length=32)] = Field(
        default=(),
        description="Each becomes a rule of a PrometheusRule, where the Prometheus operator is installed.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class RejectedVariant(Observed):
    """A variant that can't be served, and why."""

    name: Annotated[str, StringConstraints(max_length=63)] = Field(description="Name of the variant.")
    reason: Annotated[str, StringConstraints(max_length=256)] = Field(description="Why it is not served.")


class ChosenVariant(Observed):
    """The model that is served, and why it."""

    name: str = Field(description="Name of the variant, of the training job, or of the file.")
    digest: str | None = Field(default=None, description="SHA-256 of its model.json; the server refuses any other.")
    storage_uri: str = Field(description="Where it is stored.")
    source: str | None = Field(default=None, description="Kind and name of the job that it comes from.")
    reason: str = Field(description="Why it was chosen, with the numbers.")
    runner_up: str | None = Field(default=None, description="What would have been chosen next.")
    rejected: Annotated[tuple[RejectedVariant, ...], Field(max_length=32)] | None = Field(
        default=None,
        description="Variants that can't be served, and why.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    throughput_per_second: Number | None = Field(
        default=None,
        description="Requests per second of one replica, as measured; replicas and the cost per million are computed "
        "from it. Without `within` it is not known to be that, and nothing is: it can be rows of the model alone.",
    )
    throughput_interval: ThroughputInterval | None = Field(
        default=None, description="What it differs by from process to process: the throughputInterval of the variant."
    )
    within: MeasuredLatency | None = Field(
        default=None,
        description="What throughputPerSecond keeps, where a replica was measured: the replica.within of the variant.",
    )
    measured_on: MeasuredOn | None = Field(default=None, description="Pool and resources of the pod that measured.")
    evaluation: Evaluation | None = Field(
        default=None, description="The metric that counts beside that of guessing, as the training job has it."
    )

    @property
    def requests_per_second(self) -> Number | None:
        """What one replica was measured to answer; None where that is not known, as in a status before `within`."""
        return self.throughput_per_second if self.within is not None else None


class Replicas(Observed):
    """Replicas of the service."""

    desired: Count = Field(description="Wanted at present.")
    ready: Count = Field(description="Ready to answer.")


class RevisionState(StrEnum):
    """How a revision stands."""

    STARTING = "Starting"  # it has not answered yet
    SERVING = "Serving"  # it has answered, and requests go to it
    DRAINING = "Draining"  # requests go to another one now; it ends what it has begun


class Revision(Observed):
    """One set of replicas: what they serve, and on what. A change of either makes another revision."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=63)] = Field(
        description="Its name: the end of the name of its InferenceService, and the label tradewind.dev/revision."
    )
    variant: str = Field(description="What it serves: name of the variant, of the training job, or of the file.")
    digest: str | None = Field(default=None, description="SHA-256 of the model.json that it serves.")
    weight: Annotated[int, Field(ge=0, le=100)] = Field(description="Share of the requests that go to it, in percent.")
    state: RevisionState = Field(
        description="Starting: it has not answered yet. Serving: requests go to it. Draining: requests go to another "
        "one, and it ends what it has begun."
    )
    replicas: Replicas | None = Field(default=None, description="Its replicas; left out while it drains.")
    min_replicas: Count | None = Field(
        default=None, description="Fewest replicas of it until the one before it has drained."
    )
    draining_since: Timestamp | None = Field(default=None, description="Since when no new requests go to it.")


class ServingCost(Cost):
    """What the service costs (an estimate of allocation)."""

    per_hour: str | None = Field(default=None, description="At the present number of replicas, or Unknown.")
    per_million: str | None = Field(
        default=None,
        description="For a million requests at the expected load; Unknown where the price is, or what a replica "
        "answers.",
    )


class ModelDeploymentStatus(Status):
    """What became of the service."""

    url: str | None = Field(default=None, description="Address of the service; it stays the same.")
    variant: ChosenVariant | None = Field(default=None, description="The model that is served, and why it.")
    revisions: Annotated[tuple[Revision, ...], Field(max_length=16)] | None = Field(
        default=None,
        description="What runs: the revision that serves, the one that is to follow, and those that drain.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    pool: PoolChoice | None = Field(default=None, description="The pool that the replicas run on.")
    replicas: Replicas | None = Field(default=None, description="Replicas of the service.")
    cost: ServingCost | None = Field(default=None, description="What the service costs.")


class ModelDeployment(Kind):
    """Serves a model over HTTP through KServe, with autoscaling and alerts."""

    rules = (NAME_RULE,)
    kind: ClassVar[str] = "ModelDeployment"
    plural: ClassVar[str] = "modeldeployments"
    short_name: ClassVar[str] = "md"
    columns: ClassVar[tuple[PrinterColumn, ...]] = (
        PrinterColumn("Ready", ".status.conditions[?(@.type=='Ready')].status", description="Whether it answers."),
        PrinterColumn("Reason", ".status.conditions[?(@.type=='Ready')].reason", description="Why it does, or not."),
        PrinterColumn("Variant", ".status.variant.name", description="The model that is served."),
        PrinterColumn("Replicas", ".status.columns.replicas", description="Replicas that are ready, of those wanted."),
        PrinterColumn("Cost/h", ".status.cost.perHour", description="Money an hour."),
        PrinterColumn("Cost/1M", ".status.cost.perMillion", description="Money for a million requests."),
        PrinterColumn("URL", ".status.url"),
        PrinterColumn("Age", ".metadata.creationTimestamp", "date"),
        PrinterColumn("Phase", ".status.phase", description="One word for the state.", priority=1),
    )

    metadata: ObjectMeta
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus = Field(default_factory=ModelDeploymentStatus)
