"""What is fitted on the columns of a table, and what is left out."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import KINDS, mixed, schema_of, table_of

from tradewind_workload.io.fault import Fault
from tradewind_workload.tasks.tabular import statistics
from tradewind_workload.tasks.tabular.columns import day_parts, numbers_of
from tradewind_workload.tasks.tabular.encoder import finish
from tradewind_workload.tasks.tabular.encoding import Encoding
from tradewind_workload.tasks.tabular.statistics import Distribution, Frequencies, fit, merge


def fitted(kinds: dict[str, str], **columns: list[object]) -> tuple[Encoding, pa.Table]:
    table = table_of(kinds, columns)
    schema = schema_of(kinds)
    return finish(fit(table, schema), schema), table


@pytest.mark.parametrize("rows", [7, 400])
def test_batches_do_not_matter_and_json_keeps_all(rows: int) -> None:
    table, schema = mixed(1000, 1), schema_of(KINDS)
    whole = finish(fit(table, schema), schema)
    parts = [fit(batch, schema) for batch in table.to_batches(max_chunksize=rows)]
    assert finish(merge(parts), schema) == whole
    assert finish(merge(parts[::-1]), schema) == whole
    assert Encoding.read(whole.written()) == whole
    assert whole.names == tuple(KINDS)
    assert not whole.notes


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True)))
def test_a_distribution_counts_every_number(values: list[float]) -> None:
    array = np.array(values, np.float64)
    found = Distribution.of(array)
    kept, counts = np.unique(array[np.abs(array) <= np.finfo(np.float32).max], return_counts=True)
    np.testing.assert_array_equal(found.values, kept)
    np.testing.assert_array_equal(found.counts, counts)
    assert found.missing == len(array) - counts.sum()


def test_many_numbers_share_buckets_whatever_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "BUCKETS", 500)
    values = np.random.default_rng(1).normal(2020, 3, 20_000) * np.repeat([1, -1], 10_000)
    whole = Distribution.of(values)
    first, second, third = (Distribution.of(part) for part in np.split(values, [17, 9000]))
    for merged in (first.merged(second).merged(third), third.merged(first.merged(second))):
        np.testing.assert_array_equal(merged.keys, whole.keys)
        np.testing.assert_array_equal(merged.counts, whole.counts)
        assert merged.shift == whole.shift
    assert 250 <= len(whole.counts) <= 500
    for share in (0.1, 0.5, 0.9):
        assert abs((values <= whole.quantile(share)).mean() - share) < 0.02
    mean, deviation = whole.moments(whole.values)
    assert mean == pytest.approx(values.mean(), abs=1)
    assert deviation == pytest.approx(values.std(), rel=1e-3)


def test_frequent_categories_are_kept_among_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "VALUES", 50)
    random = np.random.default_rng(2)
    words = [f"id {i}" for i in range(900)] + ["often"] * 300 + ["seldom"] * 90
    random.shuffle(words)
    parts = [Frequencies.of(pa.array(words[start : start + 100])) for start in range(0, len(words), 100)]
    found = parts[0]
    for part in parts[1:]:
        found = found.merged(part)
    assert found.short <= len(words) / 50
    assert 300 - found.short <= found.counts["often"] <= 300
    assert 90 - found.short <= found.counts["seldom"] <= 90
    assert len(found.counts) <= 50


@given(st.lists(st.datetimes(min_value=datetime.datetime(1, 1, 1), max_value=datetime.datetime(9999, 12, 31))))  # noqa: DTZ001
def test_the_calendar_is_right(moments: list[datetime.datetime]) -> None:
    parts = day_parts(numbers_of(pa.array(moments, pa.timestamp("us")), "datetime"))
    assert parts["month"].tolist() == [moment.month for moment in moments]
    assert parts["weekday"].tolist() == [moment.weekday() for moment in moments]
    assert parts["hour"].tolist() == [moment.hour for moment in moments]


def test_numbers_are_standardised_and_missing_ones_are_marked() -> None:
    encoding, table = fitted({"a": "number", "b": "number"}, a=[1.0, 3.0, None, 8.0], b=[0.0, 1.0, 0.0, 1.0])
    numbers, codes = encoding.apply(table)
    assert codes.shape == (4, 0)
    mean, deviation = 4.0, np.std([1, 3, 8])
    np.testing.assert_allclose(numbers[:, 0], (np.array([1, 3, 3, 8]) - mean) / deviation, rtol=1e-6)
    np.testing.assert_array_equal(numbers[:, 1], [-1, 1, -1, 1])
    np.testing.assert_array_equal(numbers[:, 2], [0, 0, 1, 0])  # b never lacked a value, and has no such column
    raw, _ = encoding.raw().apply(table)
    np.testing.assert_array_equal(raw, [[1, 0], [3, 1], [np.nan, 0], [8, 1]])


def test_what_single_precision_can_not_hold_is_missing() -> None:
    encoding, _ = fitted({"a": "number"}, a=[1.0, 2.0, 3.0, None, 1e300, float("inf")])
    assert encoding.numbers[0].mean == 2
    rows = table_of({"a": "number"}, {"a": [1e300, float("inf"), float("nan"), None, 2.0]})
    numbers, _ = encoding.apply(rows)
    np.testing.assert_array_equal(numbers, [[0, 1], [0, 1], [0, 1], [0, 1], [0, 0]])


def test_neighbours_that_single_precision_would_merge_stay_apart() -> None:
    seconds = [1.76e9 + i for i in range(0, 300, 3)]
    encoding, table = fitted({"at": "number"}, at=seconds)
    assert encoding.numbers[0].precise
    for scaled in (encoding, encoding.raw()):
        assert len(np.unique(scaled.apply(table)[0])) == len(seconds)


def test_a_long_tail_is_made_short() -> None:
    values = np.exp(np.random.default_rng(3).normal(0, 3, 2000))
    encoding, table = fitted({"amount": "number"}, amount=values.tolist())
    assert encoding.numbers[0].tail is not None
    numbers, _ = encoding.apply(table)
    assert np.abs(numbers).max() < 10 < (values.max() - values.mean()) / values.std()
    np.testing.assert_array_equal(np.argsort(numbers[:, 0], kind="stable"), np.argsort(values, kind="stable"))


def test_codes_are_by_frequency_with_their_own_for_missing_and_other_values() -> None:
    encoding, _ = fitted({"c": "category"}, c=["b", "a", "b", "a", "b", "once", None, ""])
    assert encoding.codes[0].values == ("b", "a")
    rows = table_of({"c": "category"}, {"c": ["a", "b", None, "", "once", "new", "B"]})
    assert encoding.apply(rows)[1].ravel().tolist() == [3, 2, 0, 0, 1, 1, 1]


def test_parts_of_moments_that_vary_are_codes() -> None:
    days = [datetime.datetime(2024, 1, 1, 12) + datetime.timedelta(days=i) for i in range(60)]  # noqa: DTZ001
    encoding, _ = fitted({"at": "datetime"}, at=days)
    assert [(codes.part, codes.values) for codes in encoding.codes] == [
        ("month", (1, 2)),
        ("weekday", tuple(range(7))),
    ]
    later = table_of({"at": "datetime"}, {"at": [datetime.datetime(2024, 7, 7), None, days[0]]})  # noqa: DTZ001
    assert encoding.apply(later)[1].tolist() == [[1, 8], [0, 0], [2, 2]]


LEFT_OUT = {
    "nothing in it": ("number", [None] * 40, "no training row has a value"),
    "one number": ("number", [3.5] * 40, "the same value, 3.5"),
    "one boolean": ("boolean", [True] * 40, "the same value, true"),
    "one word": ("category", ["x"] * 40, "the same value, 'x'"),
    "only empty words": ("category", ["", None] * 20, "no training row has a value"),
    "names": ("category", [f"name {i}" for i in range(40)], "no value of it occurs 2 times"),
    "few notes": (
        "category",
        [f"the note of row {i}" for i in range(40)],
        "free text. A model of a table does not read",
    ),
    "numbers of rows": ("number", [float(1000 + i) for i in range(40)], "it numbers the rows"),
    "free text": ("text", ["same", "same", *(f"text {i}" for i in range(38))], "it is free text, since"),
    "only free text": ("text", [f"text {i}" for i in range(40)], "it is free text, since"),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_useless_columns_are_left_out_in_words(case: str) -> None:
    kind, values, why = LEFT_OUT[case]
    kinds = {"good": "number", "bad": kind}
    encoding, _ = fitted(kinds, good=[0.0, 1.5] * 20, bad=values)
    assert encoding.names == ("good",)
    (note,) = encoding.notes
    assert note.startswith("the column 'bad' is left out: ")
    assert why in note
    with pytest.raises(Fault, match=r"no column is left to learn from: .*'bad'"):
        fitted({"bad": kind}, bad=values)


KEPT = {
    "prices that all differ": ("number", [float(i * i) for i in range(40)]),
    "fractions that all differ": ("number", [i / 7 for i in range(40)]),
    "one number that can be missing": ("number", [1.0, None] * 20),
    "one word that can be missing": ("category", ["x", None] * 20),
    "texts that repeat": ("text", ["good", "bad"] * 20),
    "ages": ("number", [float(20 + i % 30) for i in range(40)]),
}


@pytest.mark.parametrize("case", KEPT)
def test_columns_that_may_say_something_are_kept(case: str) -> None:
    kind, values = KEPT[case]
    encoding, _ = fitted({"column": kind}, column=values)
    assert encoding.names == ("column",)
