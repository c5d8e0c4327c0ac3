"""Worlds in which a leaf can have an effect: good objects of each kind, and what may have happened to them."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

from tests import objects
from tests.crds.objects import SPECS
from tests.property.jobs import bring_up, each_pod, ray, report
from tests.world import World
from tradewind.api.compressionjob import CompressionJob
from tradewind.api.trainingjob import TrainingJob
from tradewind.compression.controller import CONTROLLER as COMPRESSION
from tradewind.core.covers import canonical
from tradewind.core.timestamps import stamp
from tradewind.deployment.controller import CONTROLLER as DEPLOYMENT
from tradewind.generate.crd import KINDS, parts
from tradewind.training.controller import CONTROLLER as TRAINING

CONTROLLERS = {controller.model.kind: controller for controller in (TRAINING, COMPRESSION, DEPLOYMENT)}
NAME = "digits"
_SPECS = {kind.kind: parts(kind)[0] for kind in KINDS}


def _variant(name: str, accuracy: str, latency: str, size: int, throughput: str) -> dict[str, Any]:
    measured = {"quality": objects.quality(accuracy), "latencies": objects.latencies(latency, str(2 * float(latency)))}
    return objects.variant(name, sizeBytes=size, throughputPerSecond=throughput, **measured)


_GPU = {"pool": "gke-l4", "accelerators": 1}
_OBJECTS = {
    "TrainingJob": [objects.training_job(), objects.program_job()],
    "CompressionJob": [objects.compression_job(), objects.compression_job(measure={"resources": _GPU})],
    "ModelDeployment": [
        objects.model_deployment(),
        objects.model_deployment(select={"minimize": "Size"}),
        objects.model_deployment(resources=_GPU),
        objects.model_deployment(select={"where": {"quality": {"metric": "accuracy", "min": "0.1"}}}),
        objects.model_deployment(select={"where": {"maxLatency": {"milliseconds": "4"}}}),
        objects.model_deployment(alerts=[{"name": "slow", "latency": {"milliseconds": "50"}}]),
    ],
}
# What a bound of select.where leaves over differs among these, and so does the smallest; all differ by more than what
# a service is moved for at any of the loads.
VARIANTS = [
    _variant("baseline", accuracy="0.99", latency="5", size=5000, throughput="0.2"),
    _variant("small", accuracy="0.97", latency="3", size=900, throughput="0.5"),
    _variant("fast", accuracy="0.45", latency="0.4", size=1500, throughput="1.2"),
]
TRAINED = objects.complete(objects.training_job(NAME), model=objects.model())
COMPRESSED = objects.complete(objects.compression_job(NAME), variants=VARIANTS)
FINISHED = [TRAINED, COMPRESSED]  # what specs may refer to


def specs(kind: str) -> list[dict[str, Any]]:
    """Good specs of the kind, small ones and whole ones."""
    whole = [spec for name, (of, spec) in SPECS.items() if of == kind and name.startswith("a whole")]
    return copy.deepcopy([*(made["spec"] for made in _OBJECTS[kind]), *whole])


def world(kind: str, spec: dict[str, Any]) -> World:
    """A world with the object, and with the job that it may name."""
    manifest = objects._object(kind, NAME, _stored(kind, spec))
    made = World(CONTROLLERS[kind], manifest)
    refer(made)
    return made


def _stored(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    """The spec as the API server stores it: with its defaults."""
    return _SPECS[kind].model_validate(spec).dump()


def refer(this: World) -> None:
    """Find the job that the spec names, as the reconciler does."""
    references = this.controller.references(this.item)
    this.reference = None
    for reference in references:
        if reference.name == NAME:
            models = {"TrainingJob": (TrainingJob, TRAINED), "CompressionJob": (CompressionJob, COMPRESSED)}
            model, manifest = models[reference.kind]
            this.reference = model.read_object(manifest)


def change(this: World, spec: dict[str, Any]) -> None:
    """The user changes the spec, and what follows from it comes to its end."""
    this.manifest["spec"] = _stored(this.controller.model.kind, spec)
    this.manifest["metadata"]["generation"] += 1
    refer(this)
    rest(this)


def rest(this: World) -> None:
    """What is deleted goes, until nothing is left to do."""
    this.settle()
    while any(record.deleting for record in this.children.values()):
        this.bury()
        this.settle()


def accepted(this: World) -> bool:
    """Whether the spec can be carried out."""
    return bool(this.condition("Accepted")["status"] == "True")


def children(this: World) -> dict[str, str]:
    """The children, by kind and name, each as one text; attempts count as the same."""
    return {any_attempt(f"{kind} {name}"): any_attempt(canonical(body)) for (kind, name), body in this.bodies.items()}


def any_attempt(text: str) -> str:
    """The text with 1 as the number of the attempt."""
    text = re.sub(r"(-(?:train|compress))-\d+", r"\1-1", text)
    return re.sub(r'(attempt(?:-|\\?":))\d+', r"\g<1>1", text)


def _fresh(this: World) -> None:
    rest(this)


def _errors(this: World) -> None:
    for _ in range(2):
        bring_up(this)
        rest(this)
        ray(this, ("Failed", "FAILED"), "exit code 1")
        each_pod(this, finished=this.now)
        rest(this)


def _interruptions(this: World) -> None:
    for _ in range(2):
        bring_up(this)
        rest(this)
        each_pod(this, interrupted=True, message="Evicted")
        rest(this)


def _time(this: World) -> None:
    bring_up(this)
    rest(this)
    this.after(1500)
    rest(this)


def _never_runs(this: World) -> None:
    rest(this)
    this.after(1500)
    rest(this)


def _ended(this: World) -> None:
    bring_up(this)
    rest(this)
    report(this, {"failure": {"reason": "InvalidData", "message": "no such column"}})
    rest(this)
    this.after(1500)
    rest(this)


def _answers(this: World) -> None:
    """KServe brings up what was made, a replica of each revision."""
    rest(this)
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": stamp(this.now)}
    for kind, name in list(this.bodies):
        if kind == "InferenceService":
            marks = this.bodies[kind, name]["spec"]["predictor"]["labels"]
            this.add_pod(f"{name}-0", cpu="200m", memory="512Mi", ready=True, labels=marks)
            this.see(kind, {"conditions": [ready]}, name)
    rest(this)


Situation = Callable[[World], None]
_JOBS: list[Situation] = [_fresh, _errors, _interruptions, _time, _never_runs, _ended]
SITUATIONS: dict[str, list[Situation]] = {
    "TrainingJob": _JOBS,
    "CompressionJob": _JOBS,
    "ModelDeployment": [_fresh, _answers],
}
