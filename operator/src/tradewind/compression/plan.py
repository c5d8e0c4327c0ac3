"""Decide about a CompressionJob: what it waits for, what runs, and what its result is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from tradewind.api.compressionjob import CompressionJob, CompressionJobSpec, CompressionResult
from tradewind.api.config import Images, Pool
from tradewind.api.report import Report
from tradewind.compression.program import program
from tradewind.compression.source import Source, find
from tradewind.core.conditions import Reason, Verdict
from tradewind.core.controller import Surroundings
from tradewind.core.plan import Observed, Plan, Refusal
from tradewind.core.podmetadata import not_allowed
from tradewind.core.quantity import parse
from tradewind.core.references import taken
from tradewind.economics.pools import choose, misshapen, unservable
from tradewind.ray import life
from tradewind.ray.document import LARGEST
from tradewind.ray.groups import Group
from tradewind.ray.job import RAY_JOB
from tradewind.ray.stands import Stands
from tradewind.ray.view import Job

_FIELDS = {
    "cpu": "spec.measure.resources.cpu",
    "memory": "spec.measure.resources.memory",
    "accelerators": "spec.measure.resources.accelerators",
}
# Of the whole pod.
_WITH_REPLICAS = _FIELDS | {
    "cpu": "spec.resources.cpu, with spec.measure.resources.cpu for each of two replicas,",
    "memory": "spec.resources.memory, with spec.measure.resources.memory for each of two replicas,",
}
# The replicas share one container with the accelerators.
_WITH_ACCELERATORS = _WITH_REPLICAS | {
    "cpu": "spec.resources.cpu, with spec.measure.resources.cpu for both replicas together,"
}
MEMORY = "2Gi"  # of the program, at least, where none is said


def plan(item: CompressionJob, observed: Observed, surroundings: Surroundings, now: datetime) -> Plan:
    """One pass over a CompressionJob."""
    return life.plan(_job(item, observed, surroundings), observed, surroundings, now)


def _job(item: CompressionJob, observed: Observed, surroundings: Surroundings) -> Job:
    if RAY_JOB in observed.missing:
        return _refused(item, life.without_kuberay())
    asked = item.spec.measure.resources
    field = "spec.measure.resources.pool"
    chosen = choose(surroundings.config, asked.pool, field, item.status.pool)
    if isinstance(chosen, Refusal):
        return _refused(item, chosen)
    pool = chosen.pool
    images = surroundings.config.images
    group = _group(item.spec, pool, images)
    refusal = (
        unservable(pool, asked.accelerators, images, _FIELDS["accelerators"])
        or group.misfit(_fields(group))
        or misshapen(pool, asked.topology, "spec.measure.resources.topology")
        or not_allowed(item.spec.pod_metadata, surroundings.config)
        or taken(observed.writers, item.status)
    )
    if refusal is not None:
        return _refused(item, refusal)
    words = f"It measures on pool {pool.name}: {chosen.reason}."
    started = item.status.attempt is not None
    source = find(item.spec, observed.references)
    if isinstance(source, Refusal) and not started:
        return _refused(item, source, (group,))
    further = None
    if isinstance(source, Source):
        size = len(program(item, source, group, surroundings, 1).document.encode())
        if size > LARGEST:
            words = (
                f"The spec has {size} bytes with its data, and {LARGEST} can be handed to a pod: set spec.data with "
                "fewer names in inputs (all columns are taken where it is left out)."
            )
            return _refused(item, Refusal(Reason.SPEC_TOO_LARGE, words))
        further = partial(program, item, source, group, surroundings)
    # An attempt goes on with the model that it started from, also when that is gone or another one has taken its place.
    same = isinstance(source, Source) and (not started or item.status.source_digest == source.model.digest)
    return Job(
        item=item,
        accepted=Verdict("Accepted", "True", Reason.ACCEPTED, words),
        afterwards=life.refused(item, source) if isinstance(source, Refusal) else None,
        groups=(group,),
        choice=chosen.choice,
        program=further if same else None,
        further=further,
        started={"source_digest": source.model.digest} if isinstance(source, Source) else None,
        result=_result,
    )


def _group(spec: CompressionJobSpec, pool: Pool, images: Images) -> Group:
    """The one pod: the program, with the replicas beside it that it measures."""
    replica, own = spec.measure.resources, spec.resources
    server = images.server_gpu if replica.accelerators else images.server
    memory = own.memory or max(MEMORY, replica.memory, key=parse)
    group = Group(
        "head",
        1,
        pool,
        own.cpu or replica.cpu,
        memory,
        replica.accelerators,
        cpu_limit=own.cpu_limit or replica.cpu_limit,
    )
    return group if server is None else replace(group, stands=Stands(server, replica, pool))


def _fields(group: Group) -> Mapping[str, str]:
    """What the pod's CPU and memory are made of, in the fields of the spec."""
    if group.stands is None:
        return _FIELDS
    return _WITH_ACCELERATORS if group.accelerators else _WITH_REPLICAS


def _refused(item: CompressionJob, refusal: Refusal, groups: tuple[Group, ...] = ()) -> Job:
    accepted = life.refused(item, refusal)
    return Job(item=item, accepted=accepted, groups=groups if item.status.attempt else (), result=_result)


def _result(report: Report) -> tuple[Mapping[str, Any], str] | None:
    found = report.compression
    if found is None:
        return None
    accepted, best = _summary(found)
    update = {
        "variants": found.variants,
        "report_uri": found.report_uri,
        "processor": found.processor,
        "accepted_variants": accepted,
        "best_speedup": None if best is None else best[1],
    }
    made = sum(variant.name != "baseline" for variant in found.variants)
    fastest = f"; {best[0]} is {best[1]} times as fast as the baseline" if best else ""
    return update, f"{accepted} of {made} variants are accepted{fastest}."


def _summary(found: CompressionResult) -> tuple[int, tuple[str, str] | None]:
    """How many variants are accepted, and the fastest of them with its speed-up."""
    accepted = [variant for variant in found.variants if variant.verdict == "Accepted" and variant.name != "baseline"]
    measured = [(variant.name, speed) for variant in accepted if (speed := variant.times_as_fast) is not None]
    best = max(measured, key=lambda row: row[1], default=None)
    return len(accepted), (best[0], f"{best[1]:f}") if best is not None else None
