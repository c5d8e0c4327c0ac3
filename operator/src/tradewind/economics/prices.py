"""What a pod costs an hour: its dominant share of a node, times the price of the node."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from tradewind.api.config import Pool
from tradewind.core.quantity import parse

UNKNOWN = "Unknown"
_PLACES = Decimal("0.000001")


def share(pool: Pool, cpu: str, memory: str, accelerators: int = 0) -> Decimal:
    """The largest of the pod's shares of a node's CPU, memory and accelerators, at most 1."""
    shares = [parse(cpu) / parse(pool.node.cpu), parse(memory) / parse(pool.node.memory)]
    if accelerators and pool.accelerator:
        shares.append(Decimal(accelerators) / pool.accelerator.count)
    return min(Decimal(1), max(shares))


def per_hour(pool: Pool, cpu: str, memory: str, accelerators: int = 0) -> Decimal | None:
    """Price of such a pod an hour, in the currency of the price table; None where the pool has no price."""
    return None if pool.price is None else share(pool, cpu, memory, accelerators) * Decimal(pool.price.per_hour)


def money(amount: Decimal | None) -> str:
    """Six places at most and two at least, or Unknown: an unknown price is never 0."""
    if amount is None:
        return UNKNOWN
    rounded = amount.quantize(_PLACES, rounding=ROUND_HALF_EVEN)
    text = format(rounded, "f").rstrip("0")
    whole, _, places = text.partition(".")
    return f"{whole}.{places:0<2}"


def amount(text: str | None) -> Decimal | None:
    """The number that `money` wrote; 0 for nothing yet, None for Unknown."""
    if text is None:
        return Decimal(0)
    return None if text == UNKNOWN else Decimal(text)
