"""Which variant is chosen, in cases that can be checked by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests import objects
from tradewind.api.compressionjob import Variant
from tradewind.api.modeldeployment import Scaling, Select
from tradewind.economics.selection import Choice, Load, NoChoice, per_million, replicas, select


def row(name: str, accuracy: str = "0.97", tail: str = "0.20", **changes: Any) -> Variant:
    measured = {"quality": objects.quality(accuracy), "latencies": objects.latencies("0.10", tail)}
    return Variant.model_validate(objects.variant(name, **(measured | changes)))


def load(rps: str | None = None, price: str | None = "1.80", least: int = 1, most: int = 10) -> Load:
    return Load(
        Decimal(price) if price else None,
        "USD",
        Decimal(rps) if rps else None,
        Scaling(min_replicas=least, max_replicas=most),
    )


def chosen(
    rows: list[Variant], wanted: dict[str, Any] | None = None, at: Load | None = None, present: str | None = None
) -> Choice:
    choice = select(rows, Select.model_validate(wanted or {}), at or load(), present)
    assert isinstance(choice, Choice), choice
    return choice


ROWS = [
    row("baseline", "0.98", "9", throughputPerSecond="100", sizeBytes=4000),
    row("int8", "0.97", "4", throughputPerSecond="250", sizeBytes=1100),
    row("half", "0.96", "3", throughputPerSecond="200", sizeBytes=2000),
]


def test_each_aim_has_its_own_winner() -> None:
    assert chosen(ROWS, {"minimize": "Cost"}).variant.name == "int8"
    assert chosen(ROWS, {"minimize": "Latency"}).variant.name == "half"
    assert chosen(ROWS, {"minimize": "Size"}).variant.name == "int8"


def test_replicas_follow_the_load_with_room_for_bursts_and_never_fall_below_the_floor() -> None:
    assert replicas(load("160"), Decimal(100)) == 2  # 160 / (100 x 0.8)
    assert replicas(load("161"), Decimal(100)) == 3
    assert replicas(load("1", least=3), Decimal(100)) == 3
    assert replicas(load(None, least=2), Decimal(100)) == 2


def test_a_million_requests_cost_what_the_replicas_for_the_load_cost_meanwhile() -> None:
    assert per_million(load("80", "3.60"), Decimal(100)) == Decimal("12.5")  # one replica, 288,000 requests an hour
    assert per_million(load("160", "3.60"), Decimal(100)) == Decimal("12.5")  # two, for twice as many
    assert per_million(load("80", "3.60", least=2), Decimal(100)) == 25
    assert per_million(load("80", "3.60"), None) is None  # nobody knows how many replicas that load needs
    assert per_million(load("80", None), Decimal(100)) is None
    assert per_million(load(None, "1"), Decimal(100)) is None


def test_at_low_load_the_floor_of_replicas_decides_and_the_reason_says_so() -> None:
    choice = chosen(ROWS, at=load("10"))
    assert choice.variant.name == "int8"
    assert "(equal to half and baseline, and it answers more requests per second)" in choice.reason
    assert "1 replica at 10 requests per second" in choice.reason


def test_at_high_load_fewer_replicas_win_and_the_runner_up_has_its_distance() -> None:
    choice = chosen(ROWS, at=load("400"))  # 2, 3 and 5 replicas
    assert choice.variant.name == "int8"
    assert "2.50 USD for a million requests with 2 replicas" in choice.reason
    assert (
        choice.runner_up == "half: 3.75 USD for a million requests with 3 replicas at 400 requests per second (+50 %)"
    )


def test_more_replicas_than_allowed_are_said_and_still_compared() -> None:
    choice = chosen(ROWS, at=load("4000", most=2))
    assert choice.variant.name == "int8"
    assert "20 replicas" in choice.reason
    assert "scaling.maxReplicas is 2" in choice.reason


def test_without_a_price_the_time_decides_and_no_money_is_named() -> None:
    choice = chosen(ROWS, at=load(price=None))
    assert choice.variant.name == "int8"
    assert "USD" not in choice.reason
    assert "4000.00 seconds of a replica" in choice.reason
    assert choice.reason.startswith("Of the 3 that keep the bounds it answers the most requests per second: ")
    loaded = chosen(ROWS, at=load("10", price=None))
    assert loaded.reason.startswith(
        "Of the 3 that keep the bounds it needs the fewest replicas (equal to half and baseline, and it answers more "
        "requests per second): 1 replica at 10 requests per second; "
    )


def test_the_baseline_may_win() -> None:
    rows = [ROWS[0], row("int8", throughputPerSecond="90")]
    assert chosen(rows).variant.name == "baseline"


def test_bounds_exclude_with_the_field_and_the_number() -> None:
    assert chosen(ROWS, {"where": {"quality": {"metric": "accuracy", "min": "0.975"}}}).variant.name == "baseline"
    where = {"quality": {"metric": "accuracy", "min": "0.99"}, "maxSizeBytes": 1500}
    none = select(ROWS, Select.model_validate({"where": where}), load())
    assert isinstance(none, NoChoice)
    assert "baseline: accuracy 0.98 is below where.quality.min 0.99" in none.message
    assert "half: accuracy 0.96 is below where.quality.min 0.99" in none.message


def test_what_can_not_be_served_is_named_beside_the_chosen_one() -> None:
    choice = chosen([*ROWS, row("bad", verdict="Regression")], {"where": {"maxSizeBytes": 2500}})
    assert dict(choice.rejected) == {
        "baseline": "its size 4000 bytes is above maxSizeBytes 2500",
        "bad": "Regression (It keeps all goals.)",
    }


def test_a_bound_may_be_an_upper_one_and_of_a_metric_that_was_measured() -> None:
    errors = [row("a", quality={"metric": "mae", "value": "0.5"}), row("b", quality={"metric": "mae", "value": "0.7"})]
    wanted = {"where": {"quality": {"metric": "mae", "max": "0.6"}}}
    assert dict(chosen(errors, wanted).rejected) == {"b": "mae 0.7 is above where.quality.max 0.6"}
    none = select(ROWS, Select.model_validate(wanted), load())
    assert isinstance(none, NoChoice)
    assert "half: mae was not measured, and where.quality bounds it; accuracy was" in none.message


def test_a_bound_is_kept_by_its_very_value() -> None:
    where = {
        "quality": {"metric": "accuracy", "min": "0.98"},
        "maxLatency": {"percentile": 95, "milliseconds": "9"},
        "maxSizeBytes": 4000,
    }
    assert chosen([ROWS[0]], {"where": where}).variant.name == "baseline"


def test_what_was_not_accepted_or_not_measured_is_out() -> None:
    rows = [
        row("bad", verdict="Regression", throughputPerSecond="9999"),
        row("gone", storageUri=None),
        row("odd", throughputPerSecond=None),
    ]
    none = select(rows, Select(), load())
    assert isinstance(none, NoChoice)
    for words in ("bad: Regression", "gone: its files are not in the store", "odd: its throughput was not measured"):
        assert words in none.message
    assert isinstance(select([], Select(), load()), NoChoice)


def test_a_service_stays_for_less_than_ten_percent_and_moves_for_ten() -> None:
    near = [row("present", throughputPerSecond="100"), row("better", throughputPerSecond="110")]
    far = [row("present", throughputPerSecond="90"), row("better", throughputPerSecond="100")]
    stays = chosen(near, present="present")
    assert stays.variant.name == "present"
    assert stays.reason.startswith("It stays")
    assert "better" in stays.reason
    assert chosen(far, present="present").variant.name == "better"  # exactly 10 %
    assert chosen(near).variant.name == "better"


def test_a_present_variant_that_no_longer_keeps_the_bounds_goes() -> None:
    rows = [row("present", "0.5", throughputPerSecond="100"), row("other", throughputPerSecond="10")]
    assert (
        chosen(rows, {"where": {"quality": {"metric": "accuracy", "min": "0.9"}}}, present="present").variant.name
        == "other"
    )


def test_it_speaks_of_requests_where_a_replica_was_measured() -> None:
    one = row("one", throughputPerSecond="900")
    for at in (load(), load("50"), load(None, None)):
        reason = chosen([one], at=at).reason
        assert "900 requests per second" in reason and "rows" not in reason


def test_from_rows_of_the_model_alone_no_replicas_and_no_price_of_requests_are_computed() -> None:
    alone = [row("baseline", throughputPerSecond="100", replica=None), row("int8", replica=None)]
    for price, words in (("3.60", "1.00 USD for a million rows at full use"), (None, "1000.00 seconds of a replica")):
        choice = chosen(alone, at=load("100000", price))
        assert choice == chosen(alone, at=load(None, price)), "the load decides nothing"
        assert choice.variant.name == "int8"
        assert words in choice.reason and "1000 rows per second" in choice.reason
        assert "requests" not in choice.reason and "replicas" not in choice.reason
        assert choice.runner_up is not None and "requests" not in choice.runner_up


def test_a_bound_on_quality_is_on_the_number_that_is_shown_and_a_verdict_on_the_rows_that_judge() -> None:
    measured = {"part": "Test", "rows": 360, "lossHigh": "0.02"}
    judged = {"judgedQuality": objects.quality("0.99") | {"part": "Validation", "rows": 180}}
    rows = [
        row("baseline", throughputPerSecond="10"),
        row("small", quality=objects.quality("0.94") | measured, throughputPerSecond="99", **judged),
        row("unsure", verdict="Inconclusive", reason="may be worse by 0.02 in accuracy", throughputPerSecond="999"),
    ]
    choice = chosen(rows, {"where": {"quality": {"metric": "accuracy", "min": "0.95"}}})
    assert choice.variant.name == "baseline"
    assert dict(choice.rejected) == {
        "small": "accuracy 0.94 on 360 test rows is below where.quality.min 0.95",
        "unsure": "Inconclusive (may be worse by 0.02 in accuracy)",
    }


def measured(rate: str, low: str, high: str, loss: str, size: int = 1000) -> dict[str, Any]:
    return {
        "throughputPerSecond": rate,
        "throughputInterval": objects.interval(low, high),
        "judgedQuality": objects.quality("0.97") | {"loss": loss},
        "sizeBytes": size,
    }


def test_what_is_equal_within_what_was_measured_is_decided_by_the_quality_and_then_by_the_size() -> None:
    rows = [
        row("baseline", **measured("300", "280", "310", "0", 4000)),
        row("half", **measured("900", "600", "950", "0.01", 2000)),
        row("int8", **measured("800", "700", "820", "0.005", 1000)),
    ]
    choice = chosen(rows)
    assert choice.variant.name == "int8"
    assert choice.reason.startswith(
        "The cheapest of the 3 that keep the bounds (it answers as many requests per second as half within what was "
        "measured, and loses less quality): "
    )
    assert choice.reason.endswith("; accuracy 0.97, 95th percentile 0.20 ms, 800 (700 to 820) requests per second.")
    assert choice.runner_up == (
        "half: 0.555556 USD for a million requests at full use (the same within what was measured; it manages 900 (600 "
        "to 950) requests per second)"
    )
    alike = [rows[0], row("half", **measured("900", "600", "950", "0.005", 2000)), rows[2]]
    assert chosen(alike).variant.name == "int8"
    assert "within what was measured, loses no more quality and is smaller): " in chosen(alike).reason
    third = row("third", **measured("850", "650", "880", "0.02", 500))
    assert "and is the smallest of those that lose the least quality): " in chosen([*alike, third]).reason
    apart = [rows[0], rows[1], row("int8", **measured("550", "500", "590", "0", 1000))]
    assert chosen(apart).variant.name == "half", "measurably faster"
    assert chosen(apart).runner_up == "int8: 0.909091 USD for a million requests at full use (+64 %)"


def test_of_the_same_number_of_replicas_the_quality_decides_where_as_many_are_answered() -> None:
    """Replicas are planned by the median, and each costs what it costs."""
    rows = [
        row("baseline", **measured("100", "90", "110", "0")),
        row("half", **measured("900", "600", "950", "0.01")),
        row("int8", **measured("800", "700", "820", "0.005")),
    ]
    little = chosen(rows, at=load("10"))
    assert little.variant.name == "int8"
    assert (
        "(equal to half and baseline, and it answers as many requests per second as half within what" in little.reason
    )
    much = chosen(rows, at=load("700"))  # half needs one replica, int8 two
    assert much.variant.name == "half" and "within what was measured" not in much.reason


def test_a_service_stays_where_another_one_may_be_no_better() -> None:
    rows = [
        row("present", **measured("500", "400", "700", "0.01")),
        row("better", **measured("800", "600", "950", "0")),
    ]
    stays = chosen(rows, present="present")
    assert stays.variant.name == "present"
    assert "isn't better within what was measured" in stays.reason
    assert chosen(rows).variant.name == "better"
    apart = [rows[0], row("better", **measured("800", "701", "950", "0.02"))]
    assert chosen(apart, present="present").variant.name == "better"


def test_of_a_throughput_that_is_not_known_nothing_is_said() -> None:
    rows = [row(name, throughputPerSecond=None, sizeBytes=5) for name in ("one", "two")]
    assert chosen(rows, {"minimize": "Size"}).reason == (
        "The smallest of the 2 that keep the bounds (equal to two): 5 bytes; accuracy 0.97, 95th percentile 0.20 ms."
    )
