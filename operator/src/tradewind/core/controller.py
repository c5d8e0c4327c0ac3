"""The declaration of a controller: its kind, its children, its planner. Runtime, RBAC and indices follow from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tradewind.api import GROUP, VERSION
from tradewind.api.config import Config
from tradewind.core.plan import Child, Observed, Plan, Resource


@dataclass(frozen=True, slots=True)
class ChildKind:
    """A kind of child, and what planners read of it."""

    resource: Resource
    # The fields of a live body that planners read, as a frozen value (compared with ==). It must not fail on any body.
    observe: Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Reference:
    """An object of another of our kinds that a spec names."""

    kind: str  # TrainingJob or CompressionJob
    name: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is the same for all objects: the configuration and what was read at start."""

    config: Config
    ca: str  # PEM of the report endpoint's certificate authority, given to the pods
    kuberay: frozenset[str] = frozenset()  # namespaces in which its operator was seen; empty where it was not
    tokens: bool = False  # whether the KubeRay that is installed can turn on Ray's own authentication


@dataclass(frozen=True, slots=True)
class Controller:
    """A controller of one of our kinds."""

    model: type[Any]  # api.trainingjob.TrainingJob, ...
    children: tuple[ChildKind, ...]
    references: Callable[[Any], tuple[Reference, ...]]
    plan: Callable[[Any, Observed, Surroundings, datetime], Plan]
    pods: bool  # whether pods labelled with the object are observed
    outputs: Callable[[Any], tuple[str, ...]] = lambda item: ()  # addresses in the store that it writes to
    expires: bool = False  # whether the object itself may be deleted some time after its end
    # Kinds that are only watched: what others make of our children, with our labels (a Deployment of KServe's).
    witnesses: tuple[ChildKind, ...] = ()
    # Made in each namespace in which an object has children, for all of them, after its children. Nobody owns it: it
    # stays when they go.
    shared: tuple[Child, ...] = ()

    @property
    def resource(self) -> Resource:
        """The kind itself."""
        return Resource(GROUP, VERSION, self.model.kind, self.model.plural)
