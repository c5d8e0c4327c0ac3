"""What a running program tells the operator, and the document that the operator starts it with."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from tradewind.api.base import Observed
from tradewind.api.compressionjob import CompressionResult
from tradewind.api.job import CheckpointRecord, TrainerStatus
from tradewind.api.trainingjob import ModelResult

# Where the pods of a job find what the operator gives them (one projected volume).
MOUNT = "/var/run/secrets/tradewind"
TOKEN_FILE = f"{MOUNT}/token"
CA_FILE = f"{MOUNT}/ca.crt"
JOB_FILE = f"{MOUNT}/job.json"
PVC_ROOT = "/mnt/pvc"  # pvc://<claim>/<path> is /mnt/pvc/<claim>/<path> in every pod of the job
AUDIENCE = "tradewind"


def report_path(namespace: str, plural: str, name: str) -> str:
    """Path of an object's report endpoint, below the operator's base URL."""
    return f"/apis/tradewind.dev/v1alpha1/namespaces/{namespace}/{plural}/{name}/status"


class Failure(Observed):
    """Why a program gave up: a mistake in its input, which another attempt would only repeat."""

    # Not an enumeration: a newer workload may know a reason more, and its message is told all the same.
    reason: Annotated[str, StringConstraints(pattern="^[A-Z][A-Za-z]{1,62}$")] = Field(
        description="InvalidData, InvalidModel, StorageFailed, NotSupported or ProgramFailed."
    )
    message: Annotated[str, StringConstraints(max_length=4096)] = Field(
        description="What was wrong, where, and what to do."
    )


class Report(Observed):
    """Body of a POST to the report endpoint. Answer 200: it is in the object's status; the sender may forget it."""

    run: Annotated[str, StringConstraints(max_length=63)] | None = Field(
        default=None, description="Name of the run that speaks; the run of the pod that sends it when left out."
    )
    trainer_status: TrainerStatus | None = None
    last_checkpoint: CheckpointRecord | None = None
    model: ModelResult | None = Field(default=None, description="A TrainingJob's result: the last report.")
    compression: CompressionResult | None = Field(
        default=None, description="A CompressionJob's result: the last report."
    )
    failure: Failure | None = Field(default=None, description="The program gave up: the last report.")

    @model_validator(mode="after")
    def _one_end(self) -> Report:
        if sum(end is not None for end in (self.model, self.compression, self.failure)) > 1:
            raise ValueError("a report ends in one way: give one of model, compression, failure")
        return self

    @property
    def final(self) -> bool:
        """Whether this is the last report of its attempt."""
        return bool(self.model or self.compression or self.failure)


class SourceModel(Observed):
    """The model that a compression starts from."""

    storage_uri: str
    digest: str | None = None


class JobDocument(Observed):
    """job.json: all that a program in a pod needs to know."""

    kind: Literal["TrainingJob", "CompressionJob"]
    namespace: str
    name: str
    uid: str
    attempt: int = Field(description="Number of the attempt, from 1.")
    run: str = Field(description="Name of the run.")
    report_url: str = Field(description="URL to POST reports to.")
    price_per_hour: str | None = Field(
        default=None, description="Price of the measuring pod's share of its node; None is Unknown."
    )
    source: SourceModel | None = Field(default=None, description="CompressionJob: the model to compress.")
    spec: dict[str, Any] = Field(
        description="The object's spec, references resolved (TrainingJobSpec or CompressionJobSpec)."
    )
