"""What the operator gave this program: the document of the job, and where the volumes are."""

from __future__ import annotations

import os
from pathlib import Path

from tradewind.api.compressionjob import CompressionJobSpec
from tradewind.api.report import JOB_FILE, PVC_ROOT, JobDocument
from tradewind.api.trainingjob import TrainingJobSpec


def read_document() -> JobDocument:
    """The document of the job; $TRADEWIND_JOB_FILE is used in place of the mounted one where there is no pod."""
    return JobDocument.model_validate_json(Path(os.environ.get("TRADEWIND_JOB_FILE", JOB_FILE)).read_bytes())


def training_spec(job: JobDocument) -> TrainingJobSpec:
    """The spec of a TrainingJob."""
    return TrainingJobSpec.model_validate(job.spec)


def compression_spec(job: JobDocument) -> CompressionJobSpec:
    """The spec of a CompressionJob."""
    return CompressionJobSpec.model_validate(job.spec)


def local_path(storage_uri: str) -> Path:
    """Where pvc://<claim>/<path> lies in the pods of the job."""
    return Path(os.environ.get("TRADEWIND_PVC_ROOT", PVC_ROOT), storage_uri.removeprefix("pvc://"))
