"""Lives in which someone deletes what the operator watches: its object, a child, or a pod."""

from __future__ import annotations

import asyncio

from e2e.faults.history import Manifest
from e2e.faults.lives import (
    TRAINED,
    Life,
    answers,
    collected,
    completed,
    create_compression,
    create_training,
    predictor,
    serving,
    started,
    withdrawn,
)
from e2e.faults.lives import running as runs
from e2e.faults.stage import NAME, Stage

RAY_JOB, POLICY = f"{NAME}-train-1", f"{NAME}-train"


async def _again(stage: Stage, plural: str, name: str) -> Manifest:
    """Delete a child, and wait for the one that is made in its place."""
    before = (await stage.child(plural, name))["metadata"]["uid"]
    async with stage.gap(plural):
        await stage.delete(plural, name)
    return await stage.child(plural, name, other_than=before)


async def _policy(stage: Stage) -> None:
    await create_training(stage)
    attempt = await started(stage)
    await _again(stage, "networkpolicies", POLICY)
    await completed(stage, attempt, TRAINED)


async def _ray_job(stage: Stage) -> None:
    await create_training(stage)
    attempt = await started(stage)
    before = (await stage.child("rayjobs", RAY_JOB))["metadata"]["uid"]
    async with stage.gap("rayjobs"):
        await stage.delete("rayjobs", RAY_JOB)
        await stage.remove_pod(attempt.head)  # the garbage collector; the operator may hear of it first
    rayjob = await stage.child("rayjobs", RAY_JOB, other_than=before)
    await completed(stage, await runs(stage, 1, rayjob), TRAINED)


async def _head(stage: Stage) -> None:
    await create_training(stage)
    attempt = await started(stage)
    async with stage.gap("pods"):
        await stage.remove_pod(attempt.head)
    await completed(stage, await started(stage, 2), TRAINED)


async def _rule(stage: Stage) -> None:
    await serving(stage)
    await _again(stage, "prometheusrules", NAME)


async def _service(stage: Stage) -> None:
    await serving(stage)
    await _again(stage, "services", NAME)


async def _inference_service(stage: Stage) -> None:
    await serving(stage)
    before = await stage.service()
    name = before["metadata"]["name"]
    async with stage.gap("inferenceservices"):
        await stage.delete("inferenceservices", name)
    await withdrawn(stage, before)
    service = await stage.child("inferenceservices", name, other_than=before["metadata"]["uid"])
    await stage.phase("Progressing")
    await answers(stage, service)
    await stage.phase("Ready")


async def _predictor(stage: Stage) -> None:
    await serving(stage)
    name = predictor(await stage.service())
    await stage.scale(name, 2)
    await stage.told(lambda status: _desired(status) == 2, "there are to be 2 replicas")
    async with stage.gap("deployments"):
        await stage.delete("deployments", name)
    await stage.told(lambda status: _desired(status) == 1, "the pods count, where there is no Deployment")


def _desired(status: Manifest) -> object:
    return (status.get("replicas") or {}).get("desired")


async def _training(stage: Stage) -> None:
    await create_training(stage)
    await _deleted(stage, (await started(stage)).head)


async def _compression(stage: Stage) -> None:
    await create_compression(stage)
    await _deleted(stage, (await started(stage)).head)


async def _deployment(stage: Stage) -> None:
    await serving(stage)
    await _deleted(stage, f"{predictor(await stage.service())}-0")


async def _deleted(stage: Stage, pod: str) -> None:
    """Delete the object, then its children as the garbage collector does."""
    async with stage.gap(stage.plural):
        await stage.delete(stage.plural, NAME)
    await asyncio.sleep(0.5)
    await stage.remove_pod(pod)
    await collected(stage)


_RAN = ("Starting", "Running")
_SERVED = ("Progressing", "Ready")
_ALL = frozenset(
    {
        *(f"rayjobs {NAME}-{what}-1" for what in ("train", "compress")),
        *(f"networkpolicies {NAME}-{what}" for what in ("train", "compress")),
        f"services {NAME}",
        f"inferenceservices {NAME}-*",
        f"prometheusrules {NAME}",
    }
)


def _remade(child: str) -> frozenset[str]:
    return frozenset({child})


# By the resource of what is deleted.
DELETIONS = {
    "trainingjobs": Life("TrainingJob deleted", "trainingjobs", _training, _RAN, _ALL),
    "compressionjobs": Life("CompressionJob deleted", "compressionjobs", _compression, _RAN, _ALL),
    "modeldeployments": Life("ModelDeployment deleted", "modeldeployments", _deployment, _SERVED, _ALL),
    "rayjobs": Life(
        "RayJob deleted", "trainingjobs", _ray_job, (*_RAN, "Complete"), remade=_remade(f"rayjobs {RAY_JOB}")
    ),
    "networkpolicies": Life(
        "NetworkPolicy deleted",
        "trainingjobs",
        _policy,
        (*_RAN, "Complete"),
        remade=_remade(f"networkpolicies {POLICY}"),
    ),
    "inferenceservices": Life(
        "InferenceService deleted",
        "modeldeployments",
        _inference_service,
        _SERVED * 2,
        remade=_remade(f"inferenceservices {NAME}-*"),
    ),
    "services": Life("Service deleted", "modeldeployments", _service, _SERVED, remade=_remade(f"services {NAME}")),
    "deployments": Life("Deployment deleted", "modeldeployments", _predictor, _SERVED),
    "prometheusrules": Life(
        "PrometheusRule deleted", "modeldeployments", _rule, _SERVED, remade=_remade(f"prometheusrules {NAME}")
    ),
    "pods": Life("head pod deleted", "trainingjobs", _head, (*_RAN * 2, "Complete"), _remade(f"rayjobs {RAY_JOB}")),
}
