"""Conditions: the words that all controllers use, how they change without flapping, and the phase that follows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from tradewind.api.base import Condition
from tradewind.core.timestamps import stamp

Truth = Literal["True", "False", "Unknown"]


class Reason(StrEnum):
    """Every reason that a condition can have; `sentence` says what it means, for the reference."""

    sentence: str

    def __new__(cls, value: str, sentence: str) -> Reason:
        """A member with its value and its sentence."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member

    @classmethod
    def of(cls, value: str) -> Reason:
        """The reason of that value; ValueError where there is none."""
        for reason in cls:
            if reason.value == value:
                return reason
        raise ValueError(f"{value!r} is not a reason")

    @classmethod
    def of_failure(cls, value: str) -> Reason:
        """The reason that a program gave for its failure; a newer one may give a reason that we don't know."""
        return cls.of(value) if value in _FAILURES else cls.PROGRAM_FAILED

    # Accepted
    ACCEPTED = "Accepted", "The spec can be carried out."
    POOL_NOT_FOUND = "PoolNotFound", "The price table has no pool of that name."
    POOL_HAS_NO_ACCELERATOR = "PoolHasNoAccelerator", "Accelerators are asked for, and the pool's nodes have none."
    NOT_ENOUGH_ACCELERATORS = "NotEnoughAccelerators", "A pod asks for more accelerators than a node of the pool has."
    NO_SERVER_FOR_ACCELERATOR = (
        "NoServerForAccelerator",
        "A replica is to have accelerators, and no image of the operator's configuration serves on those.",
    )
    NODE_TOO_SMALL = "NodeTooSmall", "A pod asks for more CPU or memory than a node of the pool has."
    TOPOLOGY_MISMATCH = "TopologyMismatch", "The pods don't have the shape of the pool's TPU slices."
    SPEC_TOO_LARGE = "SpecTooLarge", "The spec is larger than what can be handed to a pod."
    DEPENDENCY_MISSING = (
        "DependencyMissing",
        "A kind that is needed isn't served by the API server: its operator isn't installed.",
    )
    POD_METADATA_NOT_ALLOWED = (
        "PodMetadataNotAllowed",
        "The operator's configuration does not let objects set this label or annotation on pods.",
    )
    OUTPUT_TAKEN = "OutputTaken", "An older object of the namespace writes to the same place in the store."
    INVALID = "Invalid", "The object can't be read: a field has a value that this version does not know."
    TRAINING_JOB_NOT_FOUND = "TrainingJobNotFound", "The training job that the spec names does not exist."
    TRAINING_JOB_NOT_COMPLETE = "TrainingJobNotComplete", "The training job that the spec names has not ended yet."
    TRAINING_JOB_FAILED = "TrainingJobFailed", "The training job that the spec names has failed."
    TRAINING_JOB_HAS_NO_MODEL = "TrainingJobHasNoModel", "The training job is complete, and reported no model."
    TRAINING_JOB_HAS_NO_DATA = "TrainingJobHasNoData", "Neither this spec nor the training job's names data."
    COMPRESSION_JOB_NOT_FOUND = "CompressionJobNotFound", "The compression job that the spec names does not exist."
    COMPRESSION_JOB_NOT_COMPLETE = (
        "CompressionJobNotComplete",
        "The compression job that the spec names has not ended yet.",
    )
    COMPRESSION_JOB_FAILED = "CompressionJobFailed", "The compression job that the spec names has failed."
    REFERENCE_UNREADABLE = (
        "ReferenceUnreadable",
        "This version can't read the object that the spec names: a field has a value that it does not know.",
    )
    NO_VARIANT_FITS = "NoVariantFits", "No variant of the compression job keeps the bounds of select.where."
    # Running
    STARTING = "Starting", "The pods are being created."
    UNSCHEDULABLE = "Unschedulable", "A pod finds no node."
    POD_NOT_STARTING = "PodNotStarting", "A pod has a node, and its container can't be started."
    REJECTED = "Rejected", "The API server refused an object that is needed."
    RUNNING = "Running", "The program runs."
    INTERRUPTED = "Interrupted", "A pod or its node was lost; the next attempt continues from the last checkpoint."
    RETRYING = "Retrying", "The program failed; the next attempt continues from the last checkpoint."
    STOPPING = "Stopping", "The pods of the previous attempt are ending."
    SOURCE_CHANGED = "SourceChanged", "The model that the attempt started from is gone or was made again."
    SPEC_CHANGED = (
        "SpecChanged",
        "The spec or the configuration changed before the attempt ran: it starts with the new one.",
    )
    FINISHED = "Finished", "The job has ended."
    WAITING = "Waiting", "The spec can't be carried out yet."
    KUBERAY_NOT_WATCHING = (
        "KubeRayNotWatching",
        "KubeRay has not looked at the RayJob: it isn't running, or is elsewhere.",
    )
    QUOTA_EXCEEDED = "QuotaExceeded", "A ResourceQuota of the namespace refuses a pod."
    PODS_REFUSED = "PodsRefused", "A LimitRange, Pod Security or a webhook refuses a pod."
    PODS_NOT_CREATED = "PodsNotCreated", "KubeRay has not created all pods, and its RayCluster says why."
    CONTAINER_CREATING = "ContainerCreating", "A pod has a node, and waits for its image or its volumes."
    CLAIM_NOT_SHARED = "ClaimNotShared", "A pod waits for a claim that a pod on another node has."
    POD_NOT_READY = "PodNotReady", "A pod's containers run, and Ray's processes in it don't become ready."
    DASHBOARD_UNREACHABLE = (
        "DashboardUnreachable",
        "The pods are ready, and KubeRay can't reach Ray's dashboard to submit the program.",
    )
    PROGRAM_NOT_STARTING = "ProgramNotStarting", "Ray has the program, and has not started it."
    # Suspended
    SUSPENDED = "Suspended", "The user suspended the job."
    NOT_SUSPENDED = "NotSuspended", "The job isn't suspended."
    # Complete and Failed
    NOT_FINISHED = "NotFinished", "The job has not ended yet."
    SUCCEEDED = "Succeeded", "The result is in the store."
    NOT_FAILED = "NotFailed", "Nothing has failed for good."
    INVALID_DATA = "InvalidData", "The data isn't as the spec says."
    INVALID_MODEL = "InvalidModel", "The model isn't what the spec says."
    STORAGE_FAILED = "StorageFailed", "A file could not be read or written."
    NOT_SUPPORTED = "NotSupported", "The program can't do what the spec asks for."
    PROGRAM_FAILED = "ProgramFailed", "The program ended with an error, and no retry is left."
    TOO_MANY_INTERRUPTIONS = (
        "TooManyInterruptions",
        "Pods or nodes were lost more often than runPolicy.retries.interruptions allows.",
    )
    DEADLINE_EXCEEDED = "DeadlineExceeded", "The job ran longer than runPolicy.activeDeadlineSeconds."
    PRE_RUNNING_DEADLINE_EXCEEDED = (
        "PreRunningDeadlineExceeded",
        "The program did not run within runPolicy.preRunningDeadlineSeconds.",
    )
    RAY_JOB_INVALID = "RayJobInvalid", "KubeRay refused the RayJob."
    # Ready and Progressing
    READY = "Ready", "The service answers."
    NOT_READY = "NotReady", "No replica answers yet."
    MODEL_NOT_LOADED = "ModelNotLoaded", "A replica can't load the model."
    ROLLING_OUT = "RollingOut", "Replicas with the present model are being started."
    ROLLED_OUT = "RolledOut", "All replicas have the present model."
    REVISION_NOT_READY = (
        "RevisionNotReady",
        "A new revision does not answer; the previous one continues to serve.",
    )
    # BetterThanGuessing
    BETTER_THAN_GUESSING = (
        "BetterThanGuessing",
        "The model is better, beyond chance, than guessing, which gives every row the same answer.",
    )
    NO_BETTER_THAN_GUESSING = (
        "NoBetterThanGuessing",
        "The model is not better, beyond chance, than guessing, which gives every row the same answer.",
    )
    # MeasuredElsewhere
    MEASURED_HERE = "MeasuredHere", "The numbers were measured on the pool and the resources of the service."
    MEASURED_ELSEWHERE = (
        "MeasuredElsewhere",
        "The numbers were measured on other resources or on another pool than the service has.",
    )
    NOT_MEASURED = "NotMeasured", "It is not known where the model was measured, or whether as a replica."
    # Underprovisioned
    ENOUGH_REPLICAS = "EnoughReplicas", "There are at least as many replicas as the expected load needs."
    TOO_FEW_REPLICAS = "TooFewReplicas", "The expected load needs more replicas than scaling.maxReplicas allows."
    LOAD_UNKNOWN = "LoadUnknown", "The expected load, or what a replica answers, is not known."
    # AlertsConfigured
    ALERTS_CONFIGURED = "AlertsConfigured", "Each alert is a rule of a PrometheusRule."
    NO_ALERTS = "NoAlerts", "The spec asks for no alerts."
    PROMETHEUS_OPERATOR_MISSING = (
        "PrometheusOperatorMissing",
        "The kind PrometheusRule isn't served: the Prometheus operator isn't installed.",
    )
    ALERTS_WAITING = "AlertsWaiting", "The rules are made together with the service."


# What a program may give as the reason of its failure.
_FAILURES = frozenset(
    {
        Reason.INVALID_DATA,
        Reason.INVALID_MODEL,
        Reason.STORAGE_FAILED,
        Reason.NOT_SUPPORTED,
        Reason.PROGRAM_FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A condition as a planner judges it now, without times."""

    type: str
    status: Truth
    reason: Reason
    message: str = ""


def merge(
    previous: Sequence[Condition], verdicts: Iterable[Verdict], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The conditions to write, in the order of the verdicts. The transition time moves only where the status does.

    Conditions that no verdict speaks of are dropped: all verdicts of a kind are given each time.
    """
    before = {condition.type: condition for condition in previous}
    merged = []
    for verdict in verdicts:
        old = before.get(verdict.type)
        same = old is not None and old.status == verdict.status
        merged.append(
            Condition(
                type=verdict.type,
                status=verdict.status,
                reason=str(verdict.reason),
                message=verdict.message[:32768],
                last_transition_time=old.last_transition_time if old is not None and same else stamp(now),
                observed_generation=generation,
            )
        )
    return tuple(merged)


def holds(conditions: Iterable[Condition], kind: str) -> bool:
    """Whether the condition of that type is True."""
    return any(condition.type == kind and condition.status == "True" for condition in conditions)


# What an object waits for that another one brings; anything else that is not accepted needs the user.
_WAITING = frozenset(
    {
        Reason.TRAINING_JOB_NOT_FOUND,
        Reason.TRAINING_JOB_NOT_COMPLETE,
        Reason.TRAINING_JOB_FAILED,
        Reason.COMPRESSION_JOB_NOT_FOUND,
        Reason.COMPRESSION_JOB_NOT_COMPLETE,
        Reason.COMPRESSION_JOB_FAILED,
        Reason.REFERENCE_UNREADABLE,
        Reason.OUTPUT_TAKEN,
        Reason.DEPENDENCY_MISSING,
    }
)


def phase(verdicts: Iterable[Verdict]) -> str:
    """One word for people: Failed, Complete, Suspended, Waiting, Invalid, Running, Ready, Progressing or Starting."""
    by_type = {verdict.type: verdict for verdict in verdicts}

    def true(kind: str) -> bool:
        return kind in by_type and by_type[kind].status == "True"

    for kind in ("Failed", "Complete", "Suspended"):
        if true(kind):
            return kind
    for kind in ("Ready", "Running"):
        if true(kind):
            return kind
    if "Accepted" in by_type and not true("Accepted"):
        return "Waiting" if by_type["Accepted"].reason in _WAITING else "Invalid"
    return "Progressing" if "Ready" in by_type else "Starting"
