"""Golden cases: what a planner sees as `input.yaml`, what it decides as `output.yaml` beside it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from tests.world import CONFIG, surroundings
from tradewind.api.compressionjob import CompressionJob
from tradewind.api.report import Report
from tradewind.api.trainingjob import TrainingJob
from tradewind.compression.controller import CONTROLLER as COMPRESSION
from tradewind.core.controller import Controller
from tradewind.core.plan import ChildRecord, Observed, Plan, PodRecord, Rejection
from tradewind.core.timestamps import moment
from tradewind.deployment.controller import CONTROLLER as DEPLOYMENT
from tradewind.training.controller import CONTROLLER as TRAINING

FOLDER = Path(__file__).parent
CONTROLLERS = {controller.model.kind: controller for controller in (TRAINING, COMPRESSION, DEPLOYMENT)}
REFERENCES = {model.kind: model for model in (TrainingJob, CompressionJob)}


def names() -> list[str]:
    """All cases, as <kind>/<case>."""
    return sorted(str(path.parent.relative_to(FOLDER)) for path in FOLDER.glob("*/*/input.yaml"))


def decide(given: dict[str, Any]) -> Plan:
    """The plan for a case's input."""
    controller = CONTROLLERS[given["object"]["kind"]]
    around = surroundings(CONFIG | given.get("config", {}))
    item = controller.model.read_object(given["object"])
    return controller.plan(item, observed(given, controller), around, time(given["now"]))


def observed(given: dict[str, Any], controller: Controller) -> Observed:
    """What the planner may know."""
    kinds = {child.resource.kind: child for child in controller.children}
    children = {}
    for child in given.get("children", ()):
        kind = kinds[child["kind"]]
        children[child["kind"], child["name"]] = ChildRecord(
            kind.resource,
            child["name"],
            f"uid-of-{child['name']}",
            given["object"]["metadata"]["uid"],
            "",
            child.get("deleting", False),
            time(child["created"]),
            kind.observe({"spec": child.get("spec", {}), "status": child.get("status", {})}),
        )
    reference = given.get("reference")
    return Observed(
        children,
        tuple(pod(record) for record in given.get("pods", ())),
        {(reference["kind"], reference["metadata"]["name"]): REFERENCES[reference["kind"]].read_object(reference)}
        if reference
        else {},
        given.get("writers", {}),
        {given["report"]["run"]: Report.model_validate(given["report"])} if "report" in given else {},
        frozenset(kinds[kind].resource for kind in given.get("missing", ())),
        tuple(Rejection(kinds[r["kind"]].resource, r["name"], "", r["message"]) for r in given.get("rejections", ())),
        dict(witness(one, controller) for one in given.get("witnesses", ())),
        frozenset((one.resource.kind, one.name) for one in controller.shared if one.name in given.get("shared", ())),
    )


def witness(given: dict[str, Any], controller: Controller) -> tuple[tuple[str, str], ChildRecord]:
    """What a child's own operator made."""
    kind = next(one for one in controller.witnesses if one.resource.kind == given["kind"])
    name, seen = given["name"], kind.observe({**given, "metadata": {"labels": given.get("labels", {})}})
    created = time("2026-11-24T12:00:00Z")
    return (given["kind"], name), ChildRecord(kind.resource, name, f"uid-of-{name}", None, "", False, created, seen)


def pod(record: dict[str, Any]) -> PodRecord:
    """A pod of the input."""
    default = {"uid": record["name"], "cpu": "300m", "memory": "1500Mi", "accelerators": 0, "ready": False}
    times = {name: moment(record.get(name)) for name in ("scheduled", "finished", "deleted", "started", "ready_since")}
    claims = tuple(record.get("claims", ()))
    return PodRecord(**{**default, "labels": {}, "interrupted": False, **record, **times, "claims": claims})


def time(text: str) -> datetime:
    """A time of the input."""
    found = moment(text)
    assert found is not None, text
    return found


def shown(plan: Plan) -> dict[str, Any]:
    """A plan as it stands in output.yaml."""
    children = [
        {
            "apiVersion": child.resource.api_version,
            "kind": child.resource.kind,
            "name": child.name,
            **({"after": [f"{kind}/{name}" for kind, name in child.after]} if child.after else {}),
            **child.body,
        }
        for child in plan.children
    ]
    about = {"heard": sorted(plan.heard), "superseded": sorted(plan.superseded), "expired": plan.expired}
    return {
        "status": plan.status,
        "events": [f"{event.type} {event.reason}: {event.message}" for event in plan.events],
        "requeueAfter": plan.requeue_after,
        "keep": sorted(f"{kind}/{name}" for kind, name in plan.keep),
        **{name: value for name, value in about.items() if value},
        "children": children,
    }


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def text(value: dict[str, Any]) -> str:
    """YAML without aliases, in the order given."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
