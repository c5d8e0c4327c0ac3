"""What a planner sees and what it decides. Everything here is a value: two plans are compared with ==."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from tradewind.api.report import Report
from tradewind.core.conditions import Reason


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """A kind of the Kubernetes API."""

    group: str  # "" for the core group
    version: str
    kind: str
    plural: str

    @property
    def api_version(self) -> str:
        """The `apiVersion` of a manifest."""
        return f"{self.group}/{self.version}" if self.group else self.version


PODS = Resource("", "v1", "Pod", "pods")


@dataclass(frozen=True, slots=True)
class Child:
    """An object that we own, as it is to be: only the fields that we have an opinion on."""

    resource: Resource
    name: str
    # Metadata (labels, annotations) and everything else but apiVersion, kind, name, namespace and ownerReferences,
    # which the reconciler adds.
    body: Mapping[str, Any]
    # Children, by (kind, name), that are there before it: while one of them is refused, this one is not made.
    after: tuple[tuple[str, str], ...] = ()
    # Nobody reads it again once its owner has begun with it: it may be created, which costs less than an apply, but a
    # field that a later plan leaves out would stay.
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class ChildRecord:
    """A child as the watch last showed it, without what no planner reads."""

    resource: Resource
    name: str
    uid: str
    owner_uid: str | None  # of its controller owner
    digest: str  # of the plan that it was made by, see core.covers
    deleting: bool
    created: datetime
    seen: Any  # what the kind's `observe` made of the body; a frozen value


@dataclass(frozen=True, slots=True)
class PodRecord:
    """A pod of a job or of a service, for its cost and for why an attempt ended."""

    name: str
    uid: str
    scheduled: datetime | None
    finished: datetime | None  # when its last container ended; None while it runs
    cpu: str  # sums of the containers' requests
    memory: str
    accelerators: int
    ready: bool
    labels: Mapping[str, str]
    interrupted: bool  # evicted, preempted, or its node was lost
    message: str = ""  # why it can't be scheduled or started, in Kubernetes' words
    deleted: datetime | None = None  # when its deletion was asked for
    node: str = ""
    claims: tuple[str, ...] = ()  # PersistentVolumeClaims that it mounts
    # What its containers wait for, where that is usual: "volumes", "image", "volumes or image" where the kubelet does
    # not say which, or "init container NAME".
    waits: str = ""
    started: datetime | None = None  # when its first container started, init containers apart
    ready_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """The API server refused a child: its words, until the plan for that child changes."""

    resource: Resource
    name: str
    digest: str  # of the plan that was refused
    message: str


@dataclass(frozen=True, slots=True)
class Observed:
    """All that a planner may know besides the object, the configuration and the time."""

    children: Mapping[tuple[str, str], ChildRecord] = field(
        default_factory=dict
    )  # by (kind, name); owned by the object
    pods: tuple[PodRecord, ...] = ()
    # By kind and name: the objects of ours that the spec names and that exist; None for one that can't be read.
    references: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    # By address in the store: an older object that writes there too, as "TrainingJob digits".
    writers: Mapping[str, str] = field(default_factory=dict)
    # By the name of the run: what its program told us and the status does not have yet.
    reports: Mapping[str, Report] = field(default_factory=dict)
    missing: frozenset[Resource] = frozenset()  # kinds that the API server does not serve
    rejections: tuple[Rejection, ...] = ()
    # By (kind, name): what the owners of our children made of them, and labelled with the object.
    witnesses: Mapping[tuple[str, str], ChildRecord] = field(default_factory=dict)
    # By (kind, name): what the object shares with others of its namespace, where it is there as planned.
    shared: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a spec can't be carried out, and what to do."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event about the object; sent only after the status that it speaks of was written."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be. Owned children that are not in it are deleted."""

    children: tuple[Child, ...] = ()
    status: Mapping[str, Any] = field(default_factory=dict)  # whole, as JSON
    events: tuple[Event, ...] = ()
    requeue_after: float | None = None  # seconds; None: only when something changes
    # Owned children that stay though they are not planned (a finished attempt's RayJob, whose log people read).
    keep: frozenset[tuple[str, str]] = frozenset()
    # Nothing is deleted, also nothing that appears after the plan was made: nobody knows what is wanted.
    hands_off: bool = False
    # Runs whose report is in the status, and runs that are over, whose report nobody wants. Other reports wait.
    heard: frozenset[str] = frozenset()
    superseded: frozenset[str] = frozenset()
    expired: bool = False  # the object itself is deleted: it ended long enough ago
    # Kinds that are listed before the plan is carried out: it gives an attempt up because a pod went, and the watches
    # of two kinds don't go in step. In this order: what is owned before its owner, with which it goes.
    rests_on: tuple[Resource, ...] = ()
