"""Whether the numbers that a variant was chosen by were measured on what the service runs on."""

from __future__ import annotations

from tradewind.api.config import Pool
from tradewind.api.modeldeployment import ChosenVariant, ModelDeployment
from tradewind.core.conditions import Reason, Verdict
from tradewind.core.quantity import parse

KIND = "MeasuredElsewhere"


def measured_elsewhere(item: ModelDeployment, pool: Pool | None, variant: ChosenVariant | None) -> Verdict:
    """The condition, about the variant that is to be served on the pool."""
    before = item.status.condition(KIND)
    if pool is None and before is not None and before.reason == Reason.MEASURED_ELSEWHERE:
        return Verdict(KIND, "True", Reason.MEASURED_ELSEWHERE, before.message)  # what runs runs where it ran
    if variant is None or pool is None or variant.measured_on is None:
        return Verdict(KIND, "False", Reason.NOT_MEASURED, "It is not known on what the model was measured.")
    if item.spec.limits.max_batch_rows is not None:
        words = (
            f"{variant.name} was measured in batches as large as pays, and spec.limits.maxBatchRows is "
            f"{item.spec.limits.max_batch_rows}: its throughput and cost can differ. Remove maxBatchRows, unless "
            "requests must never be computed together."
        )
        return Verdict(KIND, "True", Reason.MEASURED_ELSEWHERE, words)
    there, here = variant.measured_on, item.spec.resources
    on = f"pool {there.pool}" if there.pool else "an unknown pool"
    if (
        there.pool == pool.name
        and _same(there.cpu, here.cpu)
        and _same(there.memory, here.memory)
        and there.accelerators == here.accelerators
    ):
        if variant.within is None:
            words = (
                f"No replica of {variant.name} is known to have been measured: its numbers can be the model's alone."
            )
            return Verdict(KIND, "False", Reason.NOT_MEASURED, words)
        return Verdict(
            KIND, "False", Reason.MEASURED_HERE, f"{variant.name} was measured on the pool and resources that serve it."
        )
    words = (
        f"{variant.name} was measured on {_told(on, there.cpu, there.memory, there.accelerators)}, and a replica has "
        f"{_told(f'pool {pool.name}', here.cpu, here.memory, here.accelerators)}: its throughput, latency and cost can "
        "differ. Set spec.resources to what was measured, or choose among the variants of a CompressionJob whose "
        "spec.measure.resources are these."
    )
    return Verdict(KIND, "True", Reason.MEASURED_ELSEWHERE, words)


def _told(pool: str, cpu: str, memory: str, accelerators: int) -> str:
    more = f", accelerators {accelerators}" if accelerators else ""
    return f"{pool} with cpu {cpu}, memory {memory}{more}"


def _same(one: str, other: str) -> bool:
    """Whether two quantities are equal: 0.5 is 500m."""
    try:
        return parse(one) == parse(other)
    except ValueError:  # what a program reported
        return one == other
