"""A world for planners: an object, its children, pods and reports, and a reconciler that does what a plan says."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tradewind.api.config import Config
from tradewind.api.report import Report
from tradewind.core import covers
from tradewind.core.controller import Controller, Surroundings
from tradewind.core.names import run_name
from tradewind.core.plan import ChildRecord, Event, Observed, Plan, PodRecord, Rejection, Resource
from tradewind.deployment.endpoints import ENDPOINT_SLICE, EndpointsSeen
from tradewind.runtime.children import in_order

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

CONFIG: dict[str, Any] = {
    "currency": "USD",
    "images": {
        "workload": "tradewind/workload:dev",
        "server": "tradewind/server:dev",
        "serverGpu": "tradewind/server-gpu:dev",
    },
    "reporting": {"url": "https://tradewind-operator.tradewind-system.svc:8443"},
    "pools": [
        {"name": "local", "default": True, "node": {"cpu": "2", "memory": "24Gi"}, "price": {"perHour": "1.20"}},
        {
            "name": "gke-l4",
            "nodeSelector": {"cloud.google.com/gke-accelerator": "nvidia-l4"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "accelerator": {"resource": "nvidia.com/gpu", "type": "nvidia-l4", "count": 2},
            "node": {"cpu": "24", "memory": "96Gi"},
            "price": {"perHour": "2.00"},
        },
        {
            "name": "gke-tpu-v5e",
            "nodeSelector": {"cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice"},
            "tolerations": [{"key": "google.com/tpu", "operator": "Exists", "effect": "NoSchedule"}],
            "accelerator": {
                "resource": "google.com/tpu",
                "type": "tpu-v5-lite-podslice",
                "count": 4,
                "topology": "2x4",
                "hosts": 2,
            },
            "node": {"cpu": "112", "memory": "192Gi"},
            "price": {"perHour": "9.60"},
        },
        {"name": "edge", "nodeSelector": {"example.com/site": "edge"}, "node": {"cpu": "8", "memory": "32Gi"}},
    ],
}


def surroundings(config: dict[str, Any] | None = None) -> Surroundings:
    """What a planner finds around all objects."""
    return Surroundings(Config.model_validate(config or CONFIG), CA)


@dataclass
class World:
    """One object and what belongs to it."""

    controller: Controller
    manifest: dict[str, Any]
    now: datetime = START
    around: Surroundings = field(default_factory=surroundings)
    children: dict[tuple[str, str], ChildRecord] = field(default_factory=dict)
    bodies: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    statuses: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)  # of children, by their operators
    witnesses: dict[tuple[str, str], ChildRecord] = field(default_factory=dict)
    pods: dict[str, PodRecord] = field(default_factory=dict)
    unreached: set[str] = field(default_factory=set)  # pods that the Service does not send requests to yet
    reference: Any = None
    report: Report | None = None  # of the run that it names, else of the present one
    missing: frozenset[Resource] = frozenset()
    rejections: tuple[Rejection, ...] = ()
    writes: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    serial: int = 0
    shares: bool = False  # whether what the objects of the namespace share is there
    expired: bool = False  # a plan deleted the object

    @property
    def item(self) -> Any:
        """The object, as the planner gets it."""
        return self.controller.model.read_object(self.manifest)

    @property
    def status(self) -> dict[str, Any]:
        """The status that was written last."""
        return dict(self.manifest.get("status", {}))

    @property
    def run(self) -> str:
        """Name of the present run of a job."""
        return str(self.status.get("attempt", {}).get("runName", "attempt-1"))

    def condition(self, kind: str) -> dict[str, Any]:
        """The condition of that type."""
        return next(dict(c) for c in self.status["conditions"] if c["type"] == kind)

    def observed(self) -> Observed:
        """What the planner may know now."""
        pods = tuple(self.pods.values())
        reports = {} if self.report is None else {self.report.run or self.run: self.report}
        return Observed(
            dict(self.children),
            pods,
            {} if self.reference is None else {(self.reference.kind, self.reference.metadata.name): self.reference},
            {},
            reports,
            self.missing,
            self.rejections,
            self.witnesses | self._endpoints(),
            # They come after the first plan that has children.
            frozenset((one.resource.kind, one.name) for one in self.controller.shared if self.shares),
        )

    def _endpoints(self) -> dict[tuple[str, str], ChildRecord]:
        """The EndpointSlices of the Services, as Kubernetes makes them."""
        found = {}
        for (kind, name), body in self.bodies.items():
            if kind != "Service":
                continue
            wanted = body["spec"]["selector"].items()
            ready = {pod.name for pod in self.pods.values() if pod.ready and wanted <= pod.labels.items()}
            seen = EndpointsSeen(name, frozenset(ready - self.unreached))
            record = ChildRecord(ENDPOINT_SLICE, f"{name}-1", f"uid-of-{name}-1", None, "", False, self.now, seen)
            found[ENDPOINT_SLICE.kind, record.name] = record
        return found

    def plan(self, now: datetime | None = None) -> Plan:
        """The plan for the present state."""
        return self.controller.plan(self.item, self.observed(), self.around, now or self.now)

    def after(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def execute(self) -> Plan:
        """Plan, and do what the plan says, as the reconciler does. Counts what was written."""
        for _ in range(4):
            plan = self.plan()
            if not self._apply(plan):
                break
        self._conclude(plan)
        return plan

    def settle(self) -> Plan:
        """Execute until nothing is left to do at this moment."""
        for _ in range(6):
            before = len(self.writes)
            plan = self.execute()
            if len(self.writes) == before:
                return plan
        raise AssertionError(f"the planner does not come to rest: {self.writes[-6:]}")

    def _do(self, plan: Plan) -> None:
        self._apply(plan)
        self._conclude(plan)

    def _apply(self, plan: Plan) -> bool:
        """Make the children; whether there was anything to do."""
        before, refused = len(self.writes), {(one.resource.kind, one.name) for one in self.rejections}
        for child in in_order(plan.children):
            key = (child.resource.kind, child.name)
            body = json.loads(json.dumps(child.body))
            if key in refused or not all(self._stands(name, refused) for name in child.after):
                continue
            present = self.children.get(key)
            if present is not None and (present.deleting or self.bodies[key] == body):
                continue
            self.writes.append(f"apply {key[0]} {key[1]}")
            self.bodies[key] = body
            if present is None:
                self.serial += 1
                uid, owner = f"uid-{self.serial}", self.manifest["metadata"]["uid"]
                present = ChildRecord(child.resource, child.name, uid, owner, "", False, self.now, None)
            seen = self._observe(key[0], body | {"status": self.statuses.get(key, {})})
            self.children[key] = replace(present, digest=covers.digest(child), seen=seen)
        return len(self.writes) > before

    def _stands(self, name: tuple[str, str], refused: set[tuple[str, str]]) -> bool:
        return name not in refused and name in self.children and not self.children[name].deleting

    def _observe(self, kind: str, body: dict[str, Any]) -> Any:
        kinds = (*self.controller.children, *self.controller.witnesses)
        return next(one.observe for one in kinds if one.resource.kind == kind)(copy.deepcopy(body))

    def _conclude(self, plan: Plan) -> None:
        """Write the status, and delete what is not planned."""
        planned = {(child.resource.kind, child.name) for child in plan.children}
        for key, record in list(self.children.items()):
            if key not in planned and key not in plan.keep and not record.deleting:
                self.writes.append(f"delete {key[0]} {key[1]}")
                # As with finalizers and grace, it is gone some time later.
                self.children[key] = replace(record, deleting=True)
        self.shares = self.shares or bool(plan.children)
        if plan.status != self.manifest.get("status", {}):
            self.writes.append("status")
            self.manifest["status"] = json.loads(json.dumps(plan.status))
            self.events.extend(plan.events)
        else:
            assert not plan.events, "an event about nothing"
        if plan.expired and not self.expired:
            self.writes.append("delete the object")
            self.expired = True
        if self.report is not None and (self.report.run or self.run) in plan.heard | plan.superseded:
            self.report = None

    def bury(self) -> None:
        """What is being deleted is gone, with the pods of deleted RayJobs."""
        for key, record in list(self.children.items()):
            if record.deleting:
                del self.children[key], self.bodies[key]
                self.statuses.pop(key, None)
                if key[0] == "RayJob":
                    run = run_name(int(key[1].rsplit("-", 1)[-1]))
                    for name in [n for n, pod in self.pods.items() if pod.labels.get("tradewind.dev/run") == run]:
                        del self.pods[name]

    def see(self, kind: str, status: dict[str, Any], name: str | None = None) -> None:
        """A child's own operator wrote its status; of the first child of that kind, unless it is named."""
        key = next((key for key in self.children if key[0] == kind and name in (None, key[1])), None)
        if key is None:
            return
        self.statuses[key] = status
        self.children[key] = replace(
            self.children[key], seen=self._observe(kind, self.bodies[key] | {"status": status})
        )

    def witness(self, kind: str, name: str, body: dict[str, Any] | None) -> None:
        """A child's own operator made an object; None: it is gone."""
        key = (kind, name)
        if body is None:
            self.witnesses.pop(key, None)
            return
        resource = next(one.resource for one in self.controller.witnesses if one.resource.kind == kind)
        self.witnesses[key] = ChildRecord(
            resource, name, f"uid-of-{name}", None, "", False, self.now, self._observe(kind, body)
        )

    def add_pod(self, name: str, **about: Any) -> None:
        """A pod appears."""
        default: dict[str, Any] = {
            "uid": name,
            "scheduled": self.now,
            "finished": None,
            "cpu": "1",
            "memory": "2Gi",
            "accelerators": 0,
            "ready": False,
            "labels": {},
            "interrupted": False,
        }
        self.pods[name] = PodRecord(name=name, **(default | about))

    def change_pod(self, name: str, **about: Any) -> None:
        """A pod changes."""
        self.pods[name] = replace(self.pods[name], **about)
