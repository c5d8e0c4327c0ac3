"""What boosted trees start from (a linear model, in the graph as in training, that helps and never runs away), and how
deep they are: the validation rows choose."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import xgboost
from jobs import alone, training_job, write_csv
from tables import mixed, schema_of, table_of
from test_tabular_models import SCHEMA, SMALL, asked, labels_of, strange

from tradewind_workload.heads.answer import Classes, Value
from tradewind_workload.tasks.tabular import linear, trees
from tradewind_workload.tasks.tabular.encoder import finish
from tradewind_workload.tasks.tabular.encoding import Encoding
from tradewind_workload.tasks.tabular.model import from_trees
from tradewind_workload.tasks.tabular.statistics import fit
from tradewind_workload.train.boosting import Grown, Trial, chosen_of
from tradewind_workload.train.history import History

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from tradewind_workload.tasks.tabular.linear import Linear

NUMBERS = schema_of({"x": "number", "y": "number"}, "number")


def started(start: Linear | None, encoding: Encoding, examples: trees.Examples) -> trees.Examples:
    assert start is not None
    return replace(examples, start=start(encoding, examples.rows))


@pytest.mark.parametrize("classes", [2, 4, None])
def test_trees_that_start_from_a_linear_model_answer_as_they_were_trained(classes: int | None) -> None:
    """Also for towns that it did not know, and for columns without any value."""
    tables = [mixed(600, 1), mixed(200, 2)]
    encoding = finish(fit(tables[0], SCHEMA), SCHEMA).raw()
    labels = [labels_of(table, classes) for table in tables]
    mean, deviation = (labels[0].mean(), labels[0].std()) if classes is None else (0, 1)
    train, validation = (
        trees.Examples(encoding.rows(table), (of - mean) / deviation if classes is None else of)
        for table, of in zip(tables, labels, strict=True)
    )
    start = linear.fit(encoding, train, validation, classes=classes)
    assert start is not None
    train, validation = (started(start, encoding, examples) for examples in (train, validation))
    booster = trees.train(train, validation, classes=classes, settings=SMALL, seed=5)
    head = Value() if classes is None else Classes(tuple("abcd"[:classes]))
    model = from_trees(encoding, booster, head, start)
    table = strange(900)
    rows = encoding.rows(table)
    expected = trees.predict(booster, rows, start(encoding, rows))
    answers = asked(model, table)
    if classes is None:
        np.testing.assert_allclose(answers["prediction"], expected, rtol=1e-4, atol=1e-4)
    else:
        np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-5)
        np.testing.assert_array_equal(answers["label"], expected.argmax(1))
    assert set(model.weights) == {"model.ubj", "encoding.json", "start.json"}
    assert np.abs(expected - trees.predict(booster, rows, 0 * start(encoding, rows))).max() > 0.1


def line(rows: int, seed: int, *, far: float = 0.0) -> tuple[pa.Table, np.ndarray]:
    """Two numbers, and a value that is a line of them."""
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(2, rows))
    table = table_of({"x": "number", "y": "number"}, {"x": (x + far).tolist(), "y": y.tolist()})
    return table, (2 * x - y + random.normal(0, 0.3, rows)).astype(np.float32)


def test_a_line_is_learnt_of_few_rows() -> None:
    (table, values), (held, held_values), (asked_of, truths) = line(120, 1), line(60, 2), line(500, 3)
    encoding = finish(fit(table, NUMBERS), NUMBERS).raw()
    train, validation = (trees.Examples(encoding.rows(rows), of) for rows, of in ((table, values), (held, held_values)))
    start = linear.fit(encoding, train, validation, classes=None)
    assert start is not None
    rows = encoding.rows(asked_of)
    plain = trees.predict(trees.train(train, validation, classes=None, settings=SMALL), rows)
    booster = trees.train(
        started(start, encoding, train), started(start, encoding, validation), classes=None, settings=SMALL
    )
    better = trees.predict(booster, rows, start(encoding, rows))
    assert np.std(better - truths) < 0.7 * np.std(plain - truths)


def test_a_number_beyond_the_training_rows_counts_as_the_nearest() -> None:
    table, values = line(200, 1)
    encoding = finish(fit(table, NUMBERS), NUMBERS).raw()
    train = trees.Examples(encoding.rows(table), values)
    start = linear.fit(encoding, train, train, classes=None)
    assert start is not None
    most = float(np.max(table["x"].to_numpy()))
    rows = np.array([[most, 0], [1e6, 0], [np.nan, 0]], np.float32)
    at_most, beyond, missing = start(encoding, rows)[:, 0]
    assert beyond == at_most > missing


def test_where_it_helps_nothing_there_is_none() -> None:
    """Chance, and a class that no training row has."""
    table, _ = line(200, 1)
    encoding = finish(fit(table, NUMBERS), NUMBERS).raw()
    rows = encoding.rows(table)
    sign = (rows[:, 0] > 0).astype(np.int64)
    against = linear.fit(encoding, trees.Examples(rows, sign), trees.Examples(rows, 1 - sign), classes=2)
    assert against is None
    examples = trees.Examples(rows, sign)
    assert linear.fit(encoding, examples, examples, classes=3) is None
    assert linear.fit(encoding, examples, examples, classes=2) is not None


def test_all_classes_weigh_alike_where_that_is_asked_for() -> None:
    table, _ = line(400, 1)
    encoding = finish(fit(table, NUMBERS), NUMBERS).raw()
    rows = encoding.rows(table)
    noise = np.random.default_rng(5).normal(0, 1, len(rows))
    rare = trees.Examples(rows, (rows[:, 0] + noise > 2).astype(np.int64))
    plain, balanced = (
        linear.fit(encoding, rare, rare, classes=2, class_weights=weights) for weights in ((), (0.5, 8.0))
    )
    assert plain is not None and balanced is not None
    assert (balanced(encoding, rows)[:, 1] > 0).mean() > (plain(encoding, rows)[:, 1] > 0).mean()


def test_it_is_written_as_what_it_computes_with() -> None:
    table = mixed(300, 1)
    encoding = finish(fit(table, SCHEMA), SCHEMA).raw()
    train = trees.Examples(encoding.rows(table), labels_of(table, 2))
    start = linear.fit(encoding, train, train, classes=2)
    assert start is not None
    assert b'"bias": [0.0, ' in start.written(), "of two classes the first one's logit is 0"
    assert len(start.codes) == len(encoding.codes)


def trained(volumes: Path, inputs: np.ndarray, values: np.ndarray, output: str = "model", **fields: int) -> Trained:
    """By a recipe that leaves open what `fields` of its trees do not say."""
    write_csv(volumes / "claim" / "t.csv", inputs, values.round(6).tolist())
    spec = {
        "recipe": {
            "task": "tabular-regression",
            "model": {"architecture": "trees", "trees": {"rounds": 300} | fields},
        },
        "data": {
            "train": {"storageUri": "pvc://claim/t.csv"},
            "label": "label",
            "validationFraction": "0.3",
        },
        "output": {"storageUri": f"pvc://claim/{output}"},
    }
    reports, said = alone(training_job(spec))
    assert reports[-1]["model"]["evaluation"]["betterThanGuessing"]
    (folder,) = (volumes / "claim" / output / "models").iterdir()
    return Trained(said, folder)


class Trained(NamedTuple):
    said: str
    folder: Path

    @property
    def depth(self) -> int:
        """Of the deepest tree."""
        booster = xgboost.Booster(model_file=self.folder / "model.ubj")
        found = json.loads(bytes(booster.save_raw("json")))["learner"]["gradient_booster"]["model"]["trees"]
        return max(_depth(tree["left_children"], tree["right_children"]) for tree in found)


def _depth(left: list[int], right: list[int], node: int = 0) -> int:
    return 0 if left[node] == -1 else 1 + max(_depth(left, right, below) for below in (left[node], right[node]))


@pytest.mark.parametrize(("bent", "chosen"), [(False, "a linear model"), (True, "one answer for all")])
def test_the_validation_rows_choose_and_the_log_says_so(bent: bool, chosen: str, volumes: Path) -> None:
    random = np.random.default_rng(4)
    inputs = random.normal(size=(400, 2))
    # A step: one split says it, and would have to take a slope back everywhere else.
    values = np.where(inputs[:, 0] > 0, 1.0, 0.0) if bent else inputs @ [2.0, -1.0]
    made = trained(volumes, inputs, values + random.normal(0, 0.05, 400))
    assert f"the trees start from {chosen}" in made.said
    assert (made.folder / "start.json").exists() != bent
    assert "the trees start from" in (made.folder / "report.html").read_text()


@pytest.mark.parametrize("together", [False, True])
def test_trees_are_as_deep_as_the_columns_work_together(together: bool, volumes: Path) -> None:
    """One split a tree says all where columns add up; where two signs count as a product alone it says nothing."""
    random = np.random.default_rng(6)
    inputs = random.normal(size=(400, 6))
    values = np.sign(inputs[:, 0] * inputs[:, 1]) if together else np.abs(inputs).sum(1)
    values = values + random.normal(0, 0.3 if together else 1.0, 400)
    made = trained(volumes, inputs, values, rounds=2000)
    sentence = f"the trees have a depth of {made.depth}: the least loss on the validation rows is "
    assert sentence in made.said and sentence in (made.folder / "report.html").read_text()
    assert made.depth >= 2 if together else made.depth == 1
    again = trained(volumes, inputs, values, "again", rounds=2000)
    assert (again.folder / "model.onnx").read_bytes() == (made.folder / "model.onnx").read_bytes()


def test_a_depth_that_is_asked_for_is_obeyed(volumes: Path) -> None:
    random = np.random.default_rng(6)
    inputs = random.normal(size=(400, 2))
    made = trained(volumes, inputs, np.sign(inputs).sum(1) + random.normal(0, 0.3, 400), maxDepth=5)
    assert made.depth == 5
    assert "the trees have a depth of" not in made.said
    assert "trees of depth 5 from one answer for all: least loss " in made.said
    assert "depth 4" not in made.said


def test_one_lucky_trial_does_not_choose() -> None:
    """Start and depth are each chosen by their means."""

    def grown(depth: int, start: Linear | None, loss: float) -> Grown:
        history = History()
        history.ended(1, loss, validation_loss=loss)
        return Grown(Trial(depth, start), None, history)

    line: Any = object()
    losses = {(1, None): 0.50, (1, line): 0.40, (2, None): 0.41, (2, line): 0.38, (4, None): 0.36, (4, line): 0.45}
    tried = [grown(depth, start, loss) for (depth, start), loss in losses.items()]
    chosen, said = chosen_of(tried)
    assert chosen.trial == Trial(2, line)
    assert said == (
        (
            "the trees start from a linear model of the columns, and learn what it leaves: its least loss on the "
            "validation rows is 0.4100, and 0.4233 without, on average over the depths"
        ),
        (
            "the trees have a depth of 2: the least loss on the validation rows is 0.4500 with 1, 0.3950 with 2, "
            "0.4050 with 4, on average over both starts"
        ),
        "averages decide, since on few validation rows the least of 6 single losses is often luck",
    )
    _, one_depth = chosen_of([one for one in tried if one.trial.depth == 2])
    assert len(one_depth) == 1 and "average" not in one_depth[0]
    alike = [grown(depth, start, 0.3) for depth, start in losses]
    assert chosen_of(alike)[0].trial == Trial(1, None), "of equals the simplest"
    assert chosen_of(tried[:1]) == (tried[0], ())
