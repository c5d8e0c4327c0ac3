"""Steps on single columns: fitted on the training rows, and the same in the graph as over the table."""

from __future__ import annotations

import datetime
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from tables import KINDS, mixed, schema_of, table_of
from test_tabular_graph import assert_same

from tradewind.api.data import Step
from tradewind_workload.io.fault import Fault
from tradewind_workload.tasks.tabular import outliers, statistics, steps
from tradewind_workload.tasks.tabular.encoding import Encoding

if TYPE_CHECKING:
    from tradewind_workload.data.schema import Kind


def fitted(kinds: dict[str, Kind], table: pa.Table, *prepare: dict[str, Any]) -> Encoding:
    def count(encoding: Encoding, schema: Any) -> statistics.Statistics:
        halves = [table.slice(0, len(table) // 2), table.slice(len(table) // 2)]
        return statistics.merge(statistics.fit(encoding.derived(half), schema) for half in halves)

    return steps.fit([Step.model_validate(step) for step in prepare], schema_of(kinds), count)


EVERY = (
    {"impute": {"strategy": "median", "columns": ["Größe in m²"]}},
    {"impute": {"strategy": "constant", "value": "keine", "columns": ["Stadt"]}},
    {"impute": {"strategy": "mostFrequent", "columns": ["日本 🍣", "ja?"]}},
    {"clip": {"columns": ["a.b/c d"], "quantile": "0.05"}},
    {"log": {"columns": ["a.b/c d"]}},
    {"combine": {"name": "je m²", "operation": "Ratio", "left": "a.b/c d", "right": "Größe in m²"}},
    {"combine": {"name": "seit", "operation": "Difference", "left": "Zeit 時刻", "right": "Zeit 時刻"}},
    {"combine": {"name": "both", "operation": "Product", "left": "ja?", "right": "bought at"}},
    {"bin": {"columns": ["_axis", "je m²"], "bins": 4}},
)


@pytest.mark.parametrize("rows", [1, 700])
def test_the_graph_computes_what_the_training_saw(rows: int) -> None:
    encoding = fitted(KINDS, mixed(2000, 1), *EVERY)
    assert [source.name for source in encoding.inputs] == list(KINDS), "a user sends the columns of the data"
    assert_same(encoding, mixed(rows, 2))
    odd = mixed(6, 3).set_column(2, "a.b/c d", pa.array([0.0, -1e300, math.inf, math.nan, None, 3e38]))
    assert_same(encoding, odd)
    assert Encoding.read(encoding.written()) == encoding


@pytest.mark.parametrize("prepare", [(), EVERY])
def test_columns_are_fitted_alike_however_few_are_counted_at_once(
    prepare: tuple[dict[str, Any], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is held of a table of many columns must not grow with them."""
    table = mixed(500, 1)
    whole = fitted(KINDS, table, *prepare)
    counted = list[int]()
    fit = statistics.fit

    def spied(batch: Any, schema: Any) -> statistics.Statistics:
        counted.append(len(schema.inputs))
        return fit(batch, schema)

    monkeypatch.setattr(statistics, "fit", spied)
    monkeypatch.setattr(statistics, "HELD", 1)
    assert fitted(KINDS, table, *prepare) == whole
    assert set(counted) == {1}


def test_each_step_gives_the_value_that_it_says() -> None:
    kinds: dict[str, Kind] = {"x": "number", "town": "category", "from": "datetime", "to": "datetime"}
    day = datetime.datetime(2026, 1, 1)  # noqa: DTZ001
    columns: dict[str, list[Any]] = {
        "x": [1.0, 2.0, 3.0, None, 100.0, 2.0],
        "town": ["a", "a", "b", None, "b", "a"],
        "from": [day] * 6,
        "to": [day + datetime.timedelta(hours=i) for i in range(6)],
    }
    table = table_of(kinds, columns)

    def made(column: str, *prepare: dict[str, Any]) -> list[Any]:
        found: list[Any] = fitted(kinds, table, *prepare).derived(table)[column].to_pylist()
        return found

    assert made("x", {"impute": {}})[3] == pytest.approx(21.6)
    assert made("x", {"impute": {"strategy": "median"}})[3] == 2
    assert made("x", {"impute": {"strategy": "mostFrequent"}})[3] == 2
    assert made("town", {"impute": {"strategy": "mostFrequent"}})[3] == "a"
    assert made("town", {"impute": {"strategy": "constant", "value": "z", "columns": ["town"]}})[3] == "z"
    assert made("x", {"clip": {"columns": ["x"], "quantile": "0.2"}}) == [1, 2, 3, None, 3, 2]
    assert made("x", {"log": {"columns": ["x"]}})[4] == pytest.approx(math.log(101))
    bins = made("x", {"bin": {"columns": ["x"], "bins": 3}})
    assert bins == ["0", "1", "2", None, "2", "1"]
    hours = {"combine": {"name": "took", "operation": "Difference", "left": "to", "right": "from"}}
    assert made("took", hours) == [3600.0 * i for i in range(6)]
    inverse = {"combine": {"name": "r", "operation": "Ratio", "left": "x", "right": "took"}}
    assert made("r", hours, inverse)[:2] == [None, 2 / 3600], "nothing can be divided by 0"
    both = made("x", {"clip": {"columns": ["x"], "quantile": "0.2"}}, {"impute": {}})
    assert both[3] == pytest.approx((1 + 2 + 3 + 3 + 2) / 5), "a step is fitted on what the one before it left"


def test_a_column_that_no_model_sees_is_not_asked_for() -> None:
    kinds: dict[str, Kind] = {"x": "number", "y": "number", "same": "number"}
    table = table_of(kinds, {"x": [1.0, 2.5] * 10, "y": [3.0, 4.5, 9.0, 1.0] * 5, "same": [7.0] * 20})
    flat = {"combine": {"name": "flat", "operation": "Difference", "left": "same", "right": "same"}}
    encoding = fitted(kinds, table, flat)
    assert ([source.name for source in encoding.inputs], encoding.steps) == (["x", "y"], ())
    assert any("'flat' is left out: every training row has the same value" in note for note in encoding.notes)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"log": {"columns": ["town"]}}, r"prepare\[0\].log: the column 'town' is a category, not a number"),
        ({"clip": {"columns": ["z"]}}, r"prepare\[0\].clip names the column 'z', which is no input; the inputs are x,"),
        ({"log": {"columns": ["empt"]}}, r"is no input \(did you mean 'empty'\?\); the inputs are x, town, empty\."),
        ({"bin": {"columns": ["empty"]}}, r"no training row has a value in the column 'empty'"),
        (
            {"impute": {"strategy": "mean", "columns": ["town"]}},
            r"'town' is a category, which the strategy mean is not",
        ),
        ({"impute": {"strategy": "constant", "value": "many"}}, r"fills the column 'x' of numbers with 'many'"),
        (
            {"impute": {"strategy": "constant", "value": "1e999"}},
            r"with '1e999', which is none: .* give a finite number",
        ),
        (
            {"impute": {"strategy": "constant", "value": "", "columns": ["town"]}},
            r"fills the column 'town' with an empty text, which is a missing value again",
        ),
        (
            {"combine": {"name": "x", "operation": "Sum", "left": "x", "right": "x"}},
            r"makes the column 'x', which there is already: choose another name",
        ),
        (
            {"combine": {"name": "the answer", "operation": "Sum", "left": "x", "right": "x"}},
            r"makes the column 'the answer', which there is already",
        ),
    ],
)
def test_a_step_that_can_not_be_fitted_is_refused(step: dict[str, Any], said: str) -> None:
    kinds: dict[str, Kind] = {"x": "number", "town": "category", "empty": "number"}
    table = table_of(kinds, {"x": [1.0, 2.5], "town": ["a", "b"], "empty": [None, None]})
    with pytest.raises(Fault, match=said):
        fitted(kinds, table, step)


@pytest.mark.parametrize(
    ("first", "then", "remedy"),
    [
        (
            {"bin": {"columns": ["x"]}},
            {"log": {"columns": ["x"]}},
            r"\[1\].log: the column 'x' is a category, not a number: a step bin before this one makes categories of it",
        ),
        (
            {"combine": {"name": "gone", "operation": "Ratio", "left": "x", "right": "zero"}},
            {"bin": {"columns": ["gone"]}},
            r"\[1\].bin: no training row has a value in the column 'gone' .* look at the step combine that makes it",
        ),
    ],
)
def test_what_an_earlier_step_made_is_not_advised_to_be_mended_in_the_data(
    first: dict[str, Any], then: dict[str, Any], remedy: str
) -> None:
    kinds: dict[str, Kind] = {"x": "number", "zero": "number"}
    table = table_of(kinds, {"x": [1.0, 2.5], "zero": [0.0, 0.0]})
    with pytest.raises(Fault, match=remedy) as refused:
        fitted(kinds, table, first, then)
    assert "spec.data.columns" not in str(refused.value)


def test_rows_far_from_the_others_are_told_by_the_middle_half() -> None:
    kinds: dict[str, Kind] = {"x": "number", "mostly": "number"}
    table = table_of(kinds, {"x": [*map(float, range(100)), 1000.0, None], "mostly": [0.0] * 101 + [5.0]})
    schema = outliers.looked_at(schema_of(kinds), ("x", "mostly"), "here")
    fences = outliers.fences(statistics.fit(table, schema), 3)
    assert str(fences) == "'x' outside of -125 to 225"
    np.testing.assert_array_equal(outliers.near(table, fences), [True] * 100 + [False, True])
    with pytest.raises(Fault, match="here: the column 'town' is no input"):
        outliers.looked_at(schema_of(kinds), ("town",), "here")


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ({"log": {"columns": ["y", "x"]}}, r"\[1\].dropOutliers looks at the numbers of 'x' as .*\[0\].log before it"),
        ({"bin": {"columns": ["x"]}}, r"\[0\].bin before it changes them: move dropOutliers before that step"),
        (
            {"combine": {"name": "x", "operation": "Sum", "left": "y", "right": "y"}},
            r"\[0\].combine makes 'x': remove it from columns, or name the two columns",
        ),
    ],
)
def test_outliers_of_numbers_that_a_step_changed_are_not_told_by_what_they_were(
    before: dict[str, Any], said: str
) -> None:
    drop = {"dropOutliers": {"columns": ["x"]}}
    with pytest.raises(Fault, match=said):
        outliers.require_as_they_stand([Step.model_validate(step) for step in (before, drop)], 1)
    outliers.require_as_they_stand([Step.model_validate(step) for step in (drop, before)], 0)
