"""Prices and accrued cost, in exact numbers."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.world import CONFIG as WORLD
from tests.world import START, surroundings
from tradewind.api.config import Pool
from tradewind.api.job import PoolChoice
from tradewind.core.plan import Refusal
from tradewind.economics.cost import Stay, charge, node_seconds
from tradewind.economics.pools import TPU_TOPOLOGY, Chosen, choose, misfit, scheduling
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
    ended = Stay(START, START + hour, "local", Decimal("0.5"))
    running = Stay(START + hour, None, "gke-l4", Decimal("0.25"))
    assert node_seconds([ended, running], START + 2 * hour) == {"local": 1800, "gke-l4": 900}
    assert node_seconds([ended, running], START + 2 * hour, since=START + hour / 2) == {"local": 900, "gke-l4": 900}
    assert node_seconds([ended], START + hour / 2) == {"local": 900}, "a stay that ends later has only so much by now"
    assert node_seconds([ended], START, since=START + 3 * hour) == {}


def test_a_price_that_arrives_makes_a_number_of_what_was_unknown() -> None:
    unknown = charge(None, {"edge": Decimal(1800), "local": Decimal(1800)}, CONFIG, START)
    assert (unknown.accrued, unknown.priced) == ("Unknown", "0.60")
    assert charge(unknown, {}, CONFIG, START).accrued == "Unknown", "it does not become a number by waiting"
    priced = [pool | {"price": {"perHour": "2.00"}} if pool["name"] == "edge" else pool for pool in WORLD["pools"]]
    known = charge(unknown, {"edge": Decimal(1800)}, surroundings(WORLD | {"pools": priced}).config, START)
    assert (known.accrued, known.priced, known.unpriced) == ("2.60", None, None)


def test_no_time_on_a_pool_without_a_price_is_unknown_too() -> None:
    assert charge(None, {"edge": Decimal(0)}, CONFIG, START).accrued == "Unknown"
    assert charge(None, {"local": Decimal(0)}, CONFIG, START).accrued == "0.00"


def test_what_was_paid_stays_paid_when_the_price_table_changes() -> None:
    before = charge(None, {"local": Decimal(3600)}, CONFIG, START)
    cheaper = [pool | {"price": {"perHour": "0.10"}} if pool["name"] == "local" else pool for pool in WORLD["pools"]]
    after = charge(before, {"local": Decimal(3600)}, surroundings(WORLD | {"pools": cheaper}).config, START)
    assert (before.accrued, after.accrued) == ("1.20", "1.30")


def test_an_object_that_names_no_pool_gets_the_default_one_and_stays_where_it_runs() -> None:
    by_default = choose(CONFIG, None, "spec.pool")
    assert isinstance(by_default, Chosen) and by_default.pool == pool("local")
    moved = surroundings(WORLD | {"pools": [*WORLD["pools"][1:], WORLD["pools"][0]]}).config
    assert choose(moved, None, "spec.pool") == by_default, "the order of the rows means nothing"
    running = choose(
        CONFIG, None, "spec.pool", present=PoolChoice(name="edge", reason="the default of the price table")
    )
    assert isinstance(running, Chosen) and running.pool == pool("edge")


def test_a_pool_that_is_not_there_is_refused_with_those_that_are() -> None:
    refusal = choose(CONFIG, "mars", "spec.pool")
    assert isinstance(refusal, Refusal)
    for word in ("spec.pool", "mars", "local", "gke-l4", "edge"):
        assert word in refusal.message
    without = [{key: value for key, value in pool.items() if key != "default"} for pool in WORLD["pools"]]
    refusal = choose(surroundings(WORLD | {"pools": without}).config, None, "spec.pool")
    assert isinstance(refusal, Refusal)
    assert "default: true" in refusal.message


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
