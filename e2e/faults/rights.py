"""What the manifests grant and what all the runs used of it: the same, and nothing was refused."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import yaml

from e2e import strays
from e2e.faults.bench import ROOT, Bench
from e2e.faults.history import MERGE, RESOURCES, Manifest
from e2e.faults.lives import LIVES, TRAINED, Life, completed, create_training, expire, serving, started
from e2e.faults.matrix import Matrix
from e2e.faults.polling import until
from e2e.faults.stage import NAME, Stage
from e2e.faults.tally import Tally
from e2e.rights import granted, used
from tradewind.core.covers import ANNOTATION

FAULT = "with other people's hands on it"
LOG_SECONDS = 10.0  # until the ends of the watches are in the audit log


async def _training(stage: Stage) -> None:
    await create_training(stage)
    attempt = await started(stage)
    await _stray(stage, "rayjobs", "RayJob")
    await _stray(stage, "networkpolicies", "NetworkPolicy")
    await _changed(stage)
    await completed(stage, attempt, TRAINED)


async def _deployment(stage: Stage) -> None:
    await serving(stage)
    await _stray(stage, "services", "Service")
    await _stray(stage, "inferenceservices", "InferenceService")
    await _stray(stage, "prometheusrules", "PrometheusRule")


async def _changed(stage: Stage) -> None:
    """Someone changes the RayJob, which is put right: it is made by another verb than that."""
    admin, child = stage.admin, ("rayjobs", f"{NAME}-train-1")

    def digest(body: Manifest) -> str:
        return str(body["metadata"]["annotations"][ANNOTATION])

    before = digest(admin.objects[stage.namespace][child])
    path = f"{RESOURCES['rayjobs']}/namespaces/{stage.namespace}/{'/'.join(child)}"
    await admin.send("PATCH", path, {"metadata": {"annotations": {ANNOTATION: "another"}}}, MERGE)

    def put_right() -> bool:
        versions = [one.body for one in admin.versions[stage.namespace] if (one.resource, one.name) == child]
        return "another" in map(digest, versions) and digest(versions[-1]) == before

    await admin.until(stage.namespace, put_right, "what someone changed on the RayJob stays so", stage.patience)


async def _stray(stage: Stage, plural: str, kind: str) -> None:
    admin = stage.admin
    body = strays.stray(kind, admin.objects[stage.namespace][stage.plural, NAME])
    await admin.send("POST", f"{RESOURCES[plural]}/namespaces/{stage.namespace}/{plural}", body)

    def deleted() -> bool:
        versions = admin.versions[stage.namespace]
        return any(
            version.deleted and (version.resource, version.name) == (plural, strays.NAME) for version in versions
        )

    what = f"the {kind} that nobody planned is still there"
    await admin.until(stage.namespace, deleted, what, stage.patience)


# Each ends as the life of the same name does, of which only the play differs.
_LIVES = {
    "TrainingJob": (_training, ("rayjobs", "networkpolicies")),
    "ModelDeployment": (_deployment, ("services", "inferenceservices", "prometheusrules")),
}


async def _expired(stage: Stage) -> None:
    await next(life for life in LIVES if life.name == "CompressionJob").play(stage)
    await expire(stage)


# The operator deletes a TrainingJob in a life of the matrix, and a CompressionJob here.
EXPIRED = Life(
    "CompressionJob, expired",
    "compressionjobs",
    _expired,
    ("Starting", "Running", "Complete"),
    frozenset({f"rayjobs {NAME}-compress-1", f"networkpolicies {NAME}-compress"}),
)


async def unplanned(bench: Bench, tally: Tally, matrix: Matrix) -> None:
    """Have someone make children that nobody planned, and change one: no other run mends children of all kinds."""
    lives = []
    for life in matrix.lives:
        if life.name in _LIVES:
            play, plurals = _LIVES[life.name]
            lives.append(replace(life, play=play, strays=frozenset(f"{plural} {strays.NAME}" for plural in plurals)))
    tally.add(await asyncio.gather(*(bench.under(FAULT, life, matrix.usual[life.name]) for life in lives)))


async def expired(bench: Bench, tally: Tally) -> None:
    """Have the operator delete a CompressionJob that has ended: the right to it is used by no other run."""
    run, end = await bench.faultless(EXPIRED)
    run.fault = "deleted by the operator"
    if any(not name.startswith("events ") for name in end):
        run.problems.append(f"there is still something: {', '.join(sorted(end))}")
    tally.add([run])


async def rights(bench: Bench, tally: Tally) -> None:
    """Compare the rights, once all operators have ended."""
    await bench.operate()
    given = granted(yaml.safe_load_all((ROOT / "manifests" / "base" / "rights.yaml").read_text()))
    log = bench.server.audit_log
    with contextlib.suppress(AssertionError):  # it is said below what lacks
        await until(lambda: used(log)[0] == given, "", LOG_SECONDS, every=1.0)
    asked, forbidden = used(log)
    # An API server that has just started refuses everyone for a moment: it does not know any role yet.
    refused = [one for one in forbidden if not any(began <= one.time <= ready for began, ready in bench.starts)]
    for resource, verb in sorted(given - asked):
        tally.complain(f"the right to {verb} {resource} is granted and was not used")
    lacking = [f"{verb} {resource}" for resource, verb in sorted(asked - given)]
    for words in lacking + [f"{one.verb} {one.resource} {one.namespace}/{one.name}" for one in refused]:
        tally.complain(f"the operator has no right to {words}")
    tally.line(
        "all lives",
        "rights granted and used",
        f"{len(given)} granted",
        f"{len(given - asked)} of them not used",
        f"{len(asked - given)} used that are not granted",
        f"{len(refused)} answers 403 (and {len(forbidden) - len(refused)} of API servers that were starting)",
    )
