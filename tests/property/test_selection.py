"""What holds for every choice of a variant."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests import objects
from tradewind.api.compressionjob import Variant
from tradewind.api.modeldeployment import Scaling, Select
from tradewind.economics.bounds import latency
from tradewind.economics.selection import HYSTERESIS, Choice, Load, NoChoice, replicas, select

DECIMALS = st.decimals(min_value=Decimal("0.001"), max_value=Decimal(10000), places=3).map(str)


def lost(loss: str) -> dict[str, Any]:
    """An accuracy on the rows that judge."""
    return objects.quality("0.9") | {"loss": loss}


FACTORS = st.sampled_from([Decimal(0), Decimal("0.5"), Decimal("0.9"), Decimal(1)])


def measured(rate: str | None, below: Decimal, above: Decimal, *, told: bool) -> dict[str, Any]:
    """A throughput, with an interval or as jobs of earlier versions told it."""
    if rate is None or not told:
        return {"throughputPerSecond": rate}
    ends = objects.interval(f"{Decimal(rate) * below:f}", f"{Decimal(rate) * (2 - above):f}")
    return {"throughputPerSecond": rate, "throughputInterval": ends}


ROWS = st.lists(
    st.builds(
        lambda name, rate, **changes: Variant.model_validate(objects.variant(name, **rate, **changes)),
        st.sampled_from(["baseline", "a", "b", "c", "d"]),
        verdict=st.sampled_from(["Accepted", "Accepted", "Regression", "NotFaster", "Infeasible", "Failed"]),
        quality=st.none() | st.decimals(min_value=0, max_value=1, places=4).map(str).map(objects.quality),
        latencies=st.just([]) | st.tuples(DECIMALS, DECIMALS).map(lambda both: objects.latencies(*both)),
        rate=st.builds(measured, st.none() | DECIMALS | st.just("0"), FACTORS, FACTORS, told=st.booleans()),
        judgedQuality=st.none() | st.sampled_from(["-0.01", "0", "0.01"]).map(lost),
        sizeBytes=st.none() | st.integers(1, 10**9),
        storageUri=st.none() | st.just("pvc://models/x"),
        replica=st.none() | st.just(objects.REPLICA),
    ),
    max_size=5,
    unique_by=lambda row: row.name,
)
WHERE = st.fixed_dictionaries(
    {},
    optional={
        "quality": st.tuples(
            st.sampled_from(["accuracy", "accuracy", "f1"]),
            st.sampled_from(["min", "max"]),
            st.sampled_from(["0.5", "0.9"]),
        ).map(lambda bound: {"metric": bound[0], bound[1]: bound[2]}),
        "maxLatency": st.builds(
            lambda percentile, most: {"percentile": percentile, "milliseconds": most},
            st.sampled_from([50, 95, 99]),
            DECIMALS,
        ),
        "maxSizeBytes": st.integers(1, 10**9),
    },
)
SELECTS = st.builds(
    lambda what, where: Select.model_validate({"minimize": what, "where": where}),
    st.sampled_from(["Cost", "Latency", "Size"]),
    WHERE,
)
LOADS = st.builds(
    lambda price, rps, least, more: Load(price, "USD", rps, Scaling(min_replicas=least, max_replicas=least + more)),
    st.none() | st.decimals(min_value=Decimal("0.01"), max_value=40, places=2),
    st.none() | st.decimals(min_value=Decimal("0.1"), max_value=100000, places=1),
    st.integers(1, 3),
    st.integers(0, 5),
)


def keeps(row: Variant, wanted: Select) -> bool:
    """Whether the row keeps all bounds, said once more in the plainest words."""
    where, times = wanted.where, {time.percentile: time.milliseconds for time in row.latencies}
    bounds: list[tuple[Any, Any, int]] = [(row.size_bytes, where.max_size_bytes, -1)]
    if where.max_latency is not None:
        bounds.append((times.get(where.max_latency.percentile), where.max_latency.milliseconds, -1))
    if where.quality is not None:
        value = row.quality.value if row.quality is not None and row.quality.metric == where.quality.metric else None
        bounds += [(value, where.quality.min, 1), (value, where.quality.max, -1)]
    return all(
        bound is None or (value is not None and (Decimal(value) - Decimal(bound)) * sign >= 0)
        for value, bound, sign in bounds
    )


@settings(max_examples=150, deadline=None)
@given(ROWS, SELECTS, LOADS, st.none() | st.sampled_from(["baseline", "a", "b"]))
def test_the_chosen_one_was_allowed(rows: list[Variant], wanted: Select, load: Load, present: str | None) -> None:
    choice = select(rows, wanted, load, present)
    allowed = [
        row
        for row in rows
        if keeps(row, wanted)
        and row.storage_uri
        and (row.verdict == "Accepted" or (row.name == "baseline" and row.verdict != "Failed"))
    ]
    if isinstance(choice, NoChoice):
        assert choice.message
        for row in rows:
            assert row.name in choice.message
        return
    assert choice.variant in allowed
    assert {name for name, _ in choice.rejected} >= {row.name for row in rows} - {row.name for row in allowed}
    assert choice.variant.name not in {name for name, _ in choice.rejected}
    assert "Infinity" not in choice.reason
    assert "None" not in choice.reason
    assert "Infinity" not in (choice.runner_up or "")


RATES = st.integers(1, 40)
REPLICAS = st.lists(
    st.builds(
        lambda name, rates, loss: Variant.model_validate(
            objects.variant(
                name,
                throughputPerSecond=str(sorted(rates)[1]),
                throughputInterval=objects.interval(str(min(rates)), str(max(rates))),
                judgedQuality=lost(loss),
            )
        ),
        st.sampled_from(["baseline", "a", "b", "c", "d"]),
        st.tuples(RATES, RATES, RATES),
        st.sampled_from(["0", "0.01", "0.02"]),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda row: row.name,
)


@settings(max_examples=300, deadline=None)
@given(REPLICAS, LOADS)
def test_none_is_measurably_cheaper_and_none_of_its_equals_loses_less(rows: list[Variant], load: Load) -> None:
    """Said once more of replicas that are all served alike, in the plainest words."""
    choice = select(rows, Select(), load)
    assert isinstance(choice, Choice)

    def ends(row: Variant) -> tuple[int, int]:
        assert row.throughput_interval is not None
        return int(row.throughput_interval.low), int(row.throughput_interval.high)

    def loss(row: Variant) -> Decimal:
        assert row.judged_quality is not None
        return Decimal(row.judged_quality.loss or 0)

    def planned(row: Variant) -> int:
        return replicas(load, Decimal(row.throughput_per_second or 0))

    cheapest = [row for row in rows if planned(row) == min(map(planned, rows))] if load.requests_per_second else rows
    most = max(ends(row)[0] for row in cheapest)
    equals = [row for row in cheapest if ends(row)[1] >= most]
    assert choice.variant in equals
    assert loss(choice.variant) == min(map(loss, equals))
    for row in equals:
        assert ends(row)[0] <= ends(choice.variant)[1] and ends(choice.variant)[0] <= ends(row)[1], "they overlap"
    others = [row for row in equals if row is not choice.variant]
    assert ("within what was measured" in choice.reason) == bool(others)


@settings(max_examples=200, deadline=None)
@given(st.data(), ROWS, SELECTS, LOADS)
def test_the_order_of_the_rows_decides_nothing(
    data: st.DataObject, rows: list[Variant], wanted: Select, load: Load
) -> None:
    first, second = select(rows, wanted, load), select(data.draw(st.permutations(rows)), wanted, load)
    if isinstance(first, Choice):
        assert isinstance(second, Choice)
        assert first == second


@settings(max_examples=120, deadline=None)
@given(ROWS, SELECTS, LOADS)
def test_a_choice_stays_when_it_is_made_again(rows: list[Variant], wanted: Select, load: Load) -> None:
    choice = select(rows, wanted, load)
    if isinstance(choice, Choice):
        assert select(rows, wanted, load, choice.variant.name) == choice


@settings(max_examples=120, deadline=None)
@given(ROWS, LOADS, st.sampled_from(["baseline", "a"]))
def test_nothing_moves_for_less_than_the_hysteresis(rows: list[Variant], load: Load, present: str) -> None:
    wanted = Select.model_validate({"minimize": "Latency"})
    choice = select(rows, wanted, load, present)
    staying: Any = next((row for row in rows if row.name == present), None)
    if isinstance(choice, Choice) and staying is not None and choice.variant.name != present:
        alone = select([staying], wanted, load)
        if isinstance(alone, Choice):
            found, before = latency(choice.variant, 95), latency(staying, 95)
            assert found is not None
            assert before is not None
            assert found <= before * (1 - HYSTERESIS)
