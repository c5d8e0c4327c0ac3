"""The specs in the document of a job, read past what another version has beside them."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from tradewind.api.compressionjob import CompressionJobSpec
from tradewind.api.report import JobDocument
from tradewind.api.trainingjob import TrainingJobSpec
from tradewind_workload.io.fault import Fault

_Spec = TypeVar("_Spec", TrainingJobSpec, CompressionJobSpec)


def training_spec(job: JobDocument) -> TrainingJobSpec:
    """The spec of a TrainingJob. Raises Fault(NotSupported) where this version can't read it."""
    return _spec(TrainingJobSpec, job)


def compression_spec(job: JobDocument) -> CompressionJobSpec:
    """The spec of a CompressionJob. Raises Fault(NotSupported) where this version can't read it."""
    return _spec(CompressionJobSpec, job)


def _spec(kind: type[_Spec], job: JobDocument) -> _Spec:
    try:
        return kind.read(job.spec)
    except ValidationError as error:
        raise Fault(
            "NotSupported",
            f"this image can't read spec.{first_mistake(error)}; the operator is of another version: set "
            "images.workload of the operator's configuration to the image of its version.",
        ) from None


def first_mistake(error: ValidationError) -> str:
    """The first field that can't be read, and why."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'it'}: {first['msg']}"
