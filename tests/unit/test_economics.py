"""Prices and accrued cost, in exact numbers."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.world import START, surroundings
from tradewind.api.config import Pool
from tradewind.economics.cost import Stay, never_less, spent
from tradewind.economics.pools import TPU_TOPOLOGY, Refusal, choose, misfit, scheduling
from tradewind.economics.prices import amount, money, per_hour, share

CONFIG = surroundings().config
FIELDS = {"cpu": "spec.cpu", "memory": "spec.memory", "accelerators": "spec.accelerators"}


def pool(name: str) -> Pool:
    found = CONFIG.pool(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "cpu", "memory", "accelerators", "expected"),
    [
        ("local", "500m", "1Gi", 0, "0.25"),  # the CPU's share of 2 is the larger one
        ("local", "100m", "12Gi", 0, "0.5"),  # the memory's share of 24Gi is
        ("local", "4", "1Gi", 0, "1"),  # more than a node is a whole node
        ("gke-l4", "1", "1Gi", 1, "0.5"),  # one of two GPUs: nobody else can use that half
        ("gke-tpu-v5e", "1", "1Gi", 4, "1"),
    ],
)
def test_a_pod_pays_for_its_dominant_share(name: str, cpu: str, memory: str, accelerators: int, expected: str) -> None:
    assert share(pool(name), cpu, memory, accelerators) == Decimal(expected)


def test_a_pool_without_a_price_has_no_price_not_zero() -> None:
    assert per_hour(pool("edge"), "1", "1Gi") is None
    assert money(None) == "Unknown"
    assert amount("Unknown") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0.00"),
        ("1.2", "1.20"),
        ("12", "12.00"),
        ("0.1234567", "0.123457"),
        ("0.0000005", "0.00"),
        ("0.0000015", "0.000002"),
    ],
)
def test_money_has_two_to_six_places_and_rounds_half_to_even(value: str, text: str) -> None:
    assert money(Decimal(value)) == text
    assert amount(text) == Decimal(text)


def test_time_on_a_node_is_what_is_paid() -> None:
    hour = timedelta(hours=1)
    ended = Stay(START, START + hour, Decimal("1.20"))
    running = Stay(START + hour, None, Decimal("0.60"))
    assert spent([ended, running], START + 2 * hour) == Decimal("1.80")
    assert spent([ended, running], START + 2 * hour, since=START + hour / 2) == Decimal("1.20")
    assert spent([ended], START + hour / 2) == Decimal("0.60"), "a stay that ends later has only cost so much by now"
    assert spent([ended], START, since=START + 3 * hour) == 0


def test_one_unknown_price_makes_the_sum_unknown() -> None:
    assert spent([Stay(START, None, None), Stay(START, None, Decimal(1))], START + timedelta(hours=1)) is None
    assert spent([Stay(START, None, None)], START) == 0, "no time has passed: nothing is unknown"


def test_what_was_paid_stays_paid() -> None:
    assert never_less(Decimal(3), Decimal(2)) == 3
    assert never_less(Decimal(3), Decimal(4)) == 4
    assert never_less(Decimal(3), None) is None
    assert never_less(None, Decimal(1)) == 1


def test_the_first_pool_is_the_default_and_an_unknown_one_is_refused_with_the_known_ones() -> None:
    assert choose(CONFIG, None, "spec.pool") == pool("local")
    refusal = choose(CONFIG, "mars", "spec.pool")
    assert isinstance(refusal, Refusal)
    for word in ("spec.pool", "mars", "local", "gke-l4", "edge"):
        assert word in refusal.message


@pytest.mark.parametrize(
    ("name", "cpu", "memory", "accelerators", "words"),
    [
        ("local", "1", "1Gi", 1, ["spec.accelerators is 1", "no accelerator"]),
        ("gke-l4", "1", "1Gi", 3, ["spec.accelerators is 3", "has 2", "nvidia-l4"]),
        ("gke-tpu-v5e", "1", "1Gi", 2, ["set it to 4"]),
        ("local", "2001m", "1Gi", 0, ["spec.cpu is 2001m", "has 2"]),
        ("local", "1", "25Gi", 0, ["spec.memory is 25Gi", "has 24Gi"]),
    ],
)
def test_what_would_never_fit_is_refused_with_the_remedy(
    name: str, cpu: str, memory: str, accelerators: int, words: list[str]
) -> None:
    refusal = misfit(pool(name), cpu, memory, accelerators, FIELDS)
    assert refusal is not None
    for word in words:
        assert word in refusal.message


def test_what_fits_exactly_is_not_refused() -> None:
    assert misfit(pool("local"), "2", "24Gi", 0, FIELDS) is None
    assert misfit(pool("gke-l4"), "24", "96Gi", 2, FIELDS) is None


def test_a_tpu_pod_selects_its_topology_and_a_pod_without_chips_does_not() -> None:
    tpu = scheduling(pool("gke-tpu-v5e"), 4)
    assert tpu["nodeSelector"][TPU_TOPOLOGY] == "2x4"
    assert tpu["tolerations"] == [{"key": "google.com/tpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert TPU_TOPOLOGY not in scheduling(pool("gke-tpu-v5e"), 0)["nodeSelector"]
    assert scheduling(pool("local"), 0) == {}
