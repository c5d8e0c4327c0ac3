"""Replicas for the load that is expected, and whether scaling.maxReplicas allows as many."""

from __future__ import annotations

from tradewind.api.config import Config, Pool
from tradewind.api.modeldeployment import MOST_REPLICAS, ChosenVariant, ModelDeployment, Scaling
from tradewind.core.conditions import Reason, Verdict
from tradewind.deployment.model import load
from tradewind.economics.bounds import number
from tradewind.economics.selection import HEADROOM, replicas

KIND = "Underprovisioned"


def scaled(item: ModelDeployment, pool: Pool, variant: ChosenVariant, config: Config) -> Scaling:
    """The spec's scaling, with as many replicas at least as the expected load needs, as far as maxReplicas goes.

    An autoscaler sees a load only when it is there: what is known to come is provided for.
    """
    scaling = item.spec.scaling
    needed = replicas(load(item, pool, config), number(variant.requests_per_second))
    return scaling.model_copy(update={"min_replicas": min(needed, scaling.max_replicas)})


def underprovisioned(
    item: ModelDeployment, pool: Pool | None, variant: ChosenVariant | None, config: Config
) -> Verdict:
    """The condition, about the variant that is to be served on the pool."""
    before = item.status.condition(KIND)
    if pool is None and before is not None and before.reason == Reason.TOO_FEW_REPLICAS:
        return Verdict(KIND, "True", Reason.TOO_FEW_REPLICAS, before.message)  # the spec is not in force
    rate = item.spec.expected_requests_per_second
    if rate is None:
        return Verdict(KIND, "False", Reason.LOAD_UNKNOWN, "spec.expectedRequestsPerSecond is not set.")
    if variant is not None and variant.throughput_per_second is not None and variant.within is None:
        return Verdict(KIND, "False", Reason.LOAD_UNKNOWN, _of_no_replica(variant))
    bears = number(variant.requests_per_second) if variant is not None else None
    if pool is None or not bears:
        words = "It is not known how many requests a replica answers: only a CompressionJob measures that."
        return Verdict(KIND, "False", Reason.LOAD_UNKNOWN, words)
    needed, most = replicas(load(item, pool, config), bears), item.spec.scaling.max_replicas
    count = f"{needed} replica{'' if needed == 1 else 's'}"
    found = variant.throughput_interval if variant is not None else None
    interval = f" ({found.low} to {found.high})" if found is not None else ""
    why = (
        f"one was measured to answer {bears:f}{interval} requests per second, {HEADROOM * 100:.0f} % of which is "
        f"planned, and {rate} are expected"
    )
    if needed <= most:
        return Verdict(KIND, "False", Reason.ENOUGH_REPLICAS, f"At least {count}: {why}.")
    remedy = f"set it to {needed} or more"
    if needed > MOST_REPLICAS:
        remedy = (
            f"{MOST_REPLICAS} are the most that it can be. Give a replica more of spec.resources, and measure it so"
        )
    words = f"It needs {count} ({why}), and spec.scaling.maxReplicas is {most}: {remedy}."
    return Verdict(KIND, "True", Reason.TOO_FEW_REPLICAS, words)


def _of_no_replica(variant: ChosenVariant) -> str:
    return (
        f"No replica of {variant.name} is known to have been measured, so its throughput can be that of the model "
        "alone, and no replicas are computed from it: there are spec.scaling.minReplicas at least. Name a "
        "CompressionJob in spec.model.compressionJobRef that measures replicas, as one does that is created where "
        "images.server of the operator's configuration is set."
    )
