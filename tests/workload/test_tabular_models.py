"""Models of tables: what the ONNX graph answers is what the library that trained them answers, and it is good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest
import torch
import xgboost
from tables import KINDS, mixed, schema_of, table_of

from tradewind.api.trainingjob import Recipe
from tradewind_workload.heads.answer import Classes, Value
from tradewind_workload.tasks.tabular import trees
from tradewind_workload.tasks.tabular.encoder import finish
from tradewind_workload.tasks.tabular.encoding import Encoding
from tradewind_workload.tasks.tabular.model import TabularModel, from_network, from_trees
from tradewind_workload.tasks.tabular.network import LINEAR, Layers, build
from tradewind_workload.tasks.tabular.statistics import fit
from tradewind_workload.train.training import Share, Training, outputs_of, summed_cross_entropy, summed_squares

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

SCHEMA = schema_of(KINDS)
SMALL = trees.Settings(rounds=60, patience=10, learning_rate=0.2, max_depth=4)


def asked(model: TabularModel, table: pa.Table) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model.onnx, providers=["CPUExecutionProvider"])
    names = [output.name for output in model.outputs]
    return dict(zip(names, session.run(names, model.feeds(table)), strict=True))


def labels_of(table: pa.Table, classes: int | None) -> np.ndarray:
    """Something that the columns say, with missing values and rare towns in it."""
    size = np.nan_to_num(table["Größe in m²"].to_numpy(), nan=60.0)
    town = np.array([word or "" for word in table["Stadt"].to_pylist()])
    score = size / 12 + 2 * (town == "東京") - 2 * (town == "") + table["_axis"].to_numpy() / 3
    if classes is None:
        return 50_000 + 3000 * score
    return np.digitize(score, np.quantile(score, np.arange(1, classes) / classes)).astype(np.int64)


def grown(classes: int | None, settings: trees.Settings = SMALL, threads: int = 1) -> tuple[xgboost.Booster, Encoding]:
    tables = [mixed(600, 1), mixed(200, 2)]
    encoding = finish(fit(tables[0], SCHEMA), SCHEMA).raw()
    train, validation = (trees.Examples(encoding.rows(table), labels_of(table, classes)) for table in tables)
    return trees.train(train, validation, classes=classes, settings=settings, threads=threads, seed=5), encoding


def strange(rows: int) -> pa.Table:
    """Rows as the training had none: towns that it did not know, and columns without any value."""
    table = mixed(rows, 9)
    columns = {name: table[name].to_pylist() for name in KINDS}
    columns["Stadt"][::3] = ["Überlingen"] * len(columns["Stadt"][::3])
    for name in KINDS:
        columns[name][-20:] = [None] * 20
    return table_of(KINDS, columns)


@pytest.mark.parametrize("classes", [2, 4, None])
def test_trees_answer_as_xgboost_does(classes: int | None) -> None:
    booster, encoding = grown(classes)
    head = Value() if classes is None else Classes(tuple(f"class {i}" for i in range(classes)))
    model = from_trees(encoding, booster, head)
    table = strange(900)
    answers = asked(model, table)
    expected = trees.predict(booster, encoding.rows(table))
    if classes is None:
        assert answers["prediction"].dtype == np.float32
        np.testing.assert_allclose(answers["prediction"], expected, rtol=1e-6)
    else:
        np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-5)
        np.testing.assert_array_equal(answers["label"], expected.argmax(1))
        assert answers["label"].dtype == np.int64
        # As its own classifier for scikit-learn says.
        if classes == 2:
            np.testing.assert_array_equal(answers["label"], (expected[:, 1] > 0.5).astype(int))
    kept = xgboost.Booster()
    kept.load_model(bytearray(model.weights["model.ubj"]))
    np.testing.assert_array_equal(trees.predict(kept, encoding.rows(table)), expected)
    assert Encoding.read(model.weights["encoding.json"].decode()) == encoding


@pytest.mark.parametrize("classes", [2, 3, None])
def test_trees_where_nothing_can_be_learned(classes: int | None) -> None:
    booster, encoding = grown(classes, trees.Settings(rounds=5, min_child_weight=1e6))
    head = Value() if classes is None else Classes(tuple("abc"[:classes]))
    table = mixed(50, 3)
    answers = asked(from_trees(encoding, booster, head), table)
    (answer,) = np.unique(list(answers.values())[-1], axis=0)
    np.testing.assert_allclose(answer, trees.predict(booster, encoding.rows(table))[0], rtol=1e-5)


def test_trees_stop_at_the_best_round_and_are_the_same_again() -> None:
    heard: list[tuple[int, float, float]] = []
    table, held = mixed(600, 1), mixed(200, 2)
    encoding = finish(fit(table, SCHEMA), SCHEMA).raw()
    train, validation = (trees.Examples(encoding.rows(rows), labels_of(rows, 2)) for rows in (table, held))
    settings = trees.Settings(rounds=400, patience=7, learning_rate=0.3)
    booster = trees.train(
        train, validation, classes=2, settings=settings, seed=5, on_round=lambda *said: heard.append(said)
    )
    losses = [loss for _, loss, _ in heard]
    assert heard[-1][2] < min(losses), "the training rows are learnt by heart"
    assert [number for number, _, _ in heard] == list(range(1, len(heard) + 1))
    assert booster.num_boosted_rounds() == int(np.argmin(losses)) + 1 == len(heard) - 7 < 400
    head = Classes(("no", "yes"))
    made = from_trees(encoding, booster, head)
    for threads in (1, 2):
        again = trees.train(train, validation, classes=2, settings=settings, seed=5, threads=threads)
        repeated = from_trees(encoding, again, head)
        assert repeated.onnx == made.onnx
        assert repeated.weights == made.weights
    other = trees.train(train, validation, classes=2, settings=settings, seed=6)
    assert from_trees(encoding, other, head).onnx != made.onnx


@pytest.mark.parametrize("share", [0.1, 0.9])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_gap_where_no_training_row_had_one_is_answered_like_most_rows(
    share: float, streamed: bool, tmp_path: Path
) -> None:
    """And not like whichever end of the column XGBoost sends it to."""
    random = np.random.default_rng(3)

    def examples(count: int) -> trees.Examples:
        rows = random.uniform(size=(count, 2)).astype(np.float32)
        labels = (rows[:, 0] > 1 - share).astype(np.int64)
        rows[: count // 10, 1] = np.nan  # this column has gaps, which say something
        labels[: count // 10] = 1 - (share > 0.5)
        return trees.Examples(rows, labels)

    training, validation = examples(2000), examples(500)
    validation.rows[:5, 0] = np.nan  # what judges does not say what was learnt
    parts: list[trees.Examples | trees.Batches] = [training, validation]
    if streamed:
        parts = [
            trees.Batches(lambda part=part: iter([part]), tmp_path / name)  # type: ignore[misc]
            for name, part in (("training", training), ("validation", validation))
        ]
    booster = trees.train(*parts, classes=2, settings=SMALL, seed=5)
    asked = np.array([[np.nan, 0.5], [0.5, 0.5], [0.5, np.nan]], np.float32)
    gap, middle, known = trees.predict(booster, asked)[:, 1]
    assert gap == pytest.approx(middle, abs=0.05)
    assert middle == pytest.approx(float(share > 0.5), abs=0.1)
    assert known == pytest.approx(float(share < 0.5), abs=0.2), "what was learnt of gaps is kept"


def test_what_hears_of_a_round_can_end_the_training() -> None:
    def enough(number: int, _loss: float, _training: float) -> None:
        if number == 3:
            raise InterruptedError

    encoding = finish(fit(mixed(100, 1), SCHEMA), SCHEMA).raw()
    examples = trees.Examples(encoding.rows(mixed(100, 1)), labels_of(mixed(100, 1), 2))
    with pytest.raises(InterruptedError):
        trees.train(examples, examples, classes=2, settings=SMALL, on_round=enough)


def test_a_class_that_weighs_more_is_named_more_often() -> None:
    random = np.random.default_rng(1)
    rows = random.normal(size=(2000, 1)).astype(np.float32)
    labels = (rows[:, 0] + random.normal(0, 2, 2000) > 3).astype(np.int64)
    train, validation = trees.Examples(rows[:1500], labels[:1500]), trees.Examples(rows[1500:], labels[1500:])

    def named(weights: tuple[float, ...]) -> float:
        booster = trees.train(train, validation, classes=2, settings=SMALL, class_weights=weights)
        return float(trees.predict(booster, rows).argmax(1).mean())

    assert named((1, 10)) > 3 * named(())


@pytest.mark.parametrize("layers", [LINEAR, Layers((16, 8), 0.2)], ids=["linear", "mlp"])
@pytest.mark.parametrize("classes", [3, None])
def test_networks_answer_as_torch_does(layers: Layers, classes: int | None) -> None:
    table, odd = mixed(400, 1), strange(700)
    encoding = finish(fit(table, SCHEMA), SCHEMA)
    labels = labels_of(table, classes)
    head: Classes | Value = Value.of(labels) if classes is None else Classes(("a", "b", "c"))

    def trained() -> TabularModel:
        network = build(encoding, classes or 1, layers, seed=3)
        aims = head.standardised(labels) if isinstance(head, Value) else labels
        run(network, encoding.rows(table), aims, epochs=2)
        return from_network(encoding, network.eval(), head), network

    model, network = trained()
    answers = asked(model, odd)
    outputs = outputs_of(network, encoding.rows(odd))
    if isinstance(head, Value):
        expected = outputs[:, 0].astype(np.float64) * head.deviation + head.mean
        np.testing.assert_allclose(answers["prediction"], expected, rtol=1e-6)
    else:
        expected = torch.softmax(torch.from_numpy(outputs), 1).numpy()
        np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-5)
        np.testing.assert_array_equal(answers["label"], expected.argmax(1))
    again, _ = trained()
    assert again.onnx == model.onnx
    assert again.weights == model.weights


def run(network: torch.nn.Module, rows: np.ndarray, labels: np.ndarray, epochs: int, lr: str = "0.01") -> None:
    recipe = Recipe.model_validate(
        {
            "task": "tabular-classification",
            "model": {"architecture": "mlp"},
            "optimizer": {"lr": lr},
            "epochs": epochs,
            "batchSize": 64,
        }
    )
    loss = summed_squares if labels.dtype == np.float32 else summed_cross_entropy
    training = Training(network, recipe, Share(rows, labels, (len(rows),)), epochs=epochs, loss=loss)
    for epoch in range(epochs):
        training.epoch(epoch)


@pytest.mark.parametrize("kind", ["number", "category"])
@pytest.mark.parametrize("layers", [LINEAR, Layers((4,), 0.0)], ids=["linear", "mlp"])
def test_tables_of_one_kind_only(kind: str, layers: Layers) -> None:
    values: list[object] = [1.0, 2.5, None, 4.0] * 5 if kind == "number" else ["a", "b", None, "a"] * 5
    schema = schema_of({"only": kind})
    table = table_of({"only": kind}, {"only": values})
    encoding = finish(fit(table, schema), schema)
    labels = np.array([0, 1, 1, 0] * 5)
    network = build(encoding, 2, layers, seed=1)
    run(network, encoding.rows(table), labels, epochs=1)
    answers = asked(from_network(encoding, network, Classes(("x", "y"))), table)
    expected = torch.softmax(torch.from_numpy(outputs_of(network, encoding.rows(table))), 1).numpy()
    np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-6)
    raw = encoding.raw()
    examples = trees.Examples(raw.rows(table), labels)
    booster = trees.train(examples, examples, classes=2, settings=SMALL)
    answers = asked(from_trees(raw, booster, Classes(("x", "y"))), table)
    np.testing.assert_allclose(answers["probabilities"], trees.predict(booster, raw.rows(table)), atol=1e-5)


def test_the_description_is_that_of_the_graph() -> None:
    booster, encoding = grown(2)
    model = from_trees(encoding, booster, Classes(("no", "yes")))
    session = onnxruntime.InferenceSession(model.onnx, providers=["CPUExecutionProvider"])
    kinds = {"FP32": "tensor(float)", "FP64": "tensor(double)", "BYTES": "tensor(string)", "INT64": "tensor(int64)"}
    for described, there in ((model.inputs, session.get_inputs()), (model.outputs, session.get_outputs())):
        assert [(one.name, kinds[one.datatype]) for one in described] == [(one.name, one.type) for one in there]
        for one, real in zip(described, there, strict=True):
            assert one.shape == tuple(size if isinstance(size, int) else -1 for size in real.shape)
    assert {one.name: one.kind for one in model.inputs} == KINDS
    assert model.head.labels == ("no", "yes")


def accuracy(model: TabularModel, table: pa.Table, labels: np.ndarray) -> float:
    return float((asked(model, table)["label"] == labels).mean())


def test_trees_are_best_where_columns_act_together_and_linear_where_they_do_not() -> None:
    random = np.random.default_rng(4)
    kinds = {"x": "number", "y": "number", "kind": "category"}
    columns = {
        "x": random.normal(size=2400).tolist(),
        "y": random.normal(size=2400).tolist(),
        "kind": random.choice(["a", "b", "c"], 2400).tolist(),
    }
    table = table_of(kinds, columns)
    x, y, kind = (np.array(columns[name]) for name in kinds)
    schema = schema_of(kinds)
    head = Classes(("no", "yes"))
    found: dict[str, tuple[float, float]] = {}
    for name, score in {
        "together": np.where(kind == "b", -x, x) + 2 * (np.abs(y) < 0.7),
        "apart": x + y + 2 * (kind == "b"),
    }.items():
        labels = (score + random.logistic(0, 0.3, 2400) > np.median(score)).astype(np.int64)
        train, validation, test = (table.slice(start, 800) for start in (0, 800, 1600))
        encoding = finish(fit(train, schema), schema)
        raw = encoding.raw()
        examples = (trees.Examples(raw.rows(rows), labels[i : i + 800]) for rows, i in ((train, 0), (validation, 800)))
        boosted = from_trees(raw, trees.train(*examples, classes=2, settings=SMALL), head)
        network = build(encoding, 2, LINEAR, seed=1)
        run(network, encoding.rows(train), labels[:800], epochs=30, lr="0.03")
        linear = from_network(encoding, network, head)
        found[name] = accuracy(boosted, test, labels[1600:]), accuracy(linear, test, labels[1600:])
    assert found["together"][0] > found["together"][1] + 0.2
    assert found["apart"][1] > found["apart"][0]
    assert min(found["together"][0], found["apart"][1]) > 0.75
