"""The contest itself, in the environment of the workload: every model on every table and seed, one JSON line each."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pyarrow as pa
import torch
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from e2e.bench.quality.data import Table, tables
from tradewind.api.trainingjob import Recipe
from tradewind_workload.heads.answer import Classes, Value
from tradewind_workload.tasks.tabular import network, trees
from tradewind_workload.tasks.tabular.encoding import finish
from tradewind_workload.tasks.tabular.model import TabularModel, from_network, from_trees
from tradewind_workload.tasks.tabular.statistics import fit
from tradewind_workload.train.training import Share, Training, summed_cross_entropy, summed_squares

if TYPE_CHECKING:
    from tradewind_workload.tasks.tabular.encoding import Encoding

EPOCHS = 100


def split(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of the rows to train on, to stop by and choose by, and to judge by: 60, 20 and 20 %."""
    order = np.random.default_rng([seed, 7]).permutation(rows)
    train, validation, test = np.split(order, [rows * 3 // 5, rows * 4 // 5])
    return train, validation, test


def loss(answers: np.ndarray, labels: np.ndarray) -> float:
    """Cross-entropy of probabilities, or root mean squared error."""
    if labels.dtype == np.float64:
        return float(np.sqrt(np.mean((answers - labels) ** 2)))
    return float(-np.log(np.clip(answers[np.arange(len(labels)), labels], 1e-7, 1)).mean())


def score(answers: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy, or R2: the larger the better."""
    if labels.dtype == np.float64:
        return float(1 - np.mean((answers - labels) ** 2) / np.var(labels))
    return float(np.mean(answers.argmax(1) == labels))


def served(model: TabularModel, rows: pa.Table) -> np.ndarray:
    """Answers of the ONNX graph: probabilities or values."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.onnx, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([model.outputs[-1].name], model.feeds(rows))[0])


def head(table: Table, labels: np.ndarray) -> Classes | Value:
    """What is asked."""
    if table.classes is None:
        return Value.of(labels)
    return Classes(tuple(str(i) for i in range(table.classes)))


def boosted(table: Table, encoding: Encoding, parts: tuple[np.ndarray, ...], seed: int) -> TabularModel:
    """The recipe's trees."""
    train, validation = (
        trees.Examples(encoding.raw().rows(table.rows.take(part)), table.labels[part]) for part in parts[:2]
    )
    booster = trees.train(train, validation, classes=table.classes, settings=trees.Settings(), seed=seed)
    asked = Value() if table.classes is None else head(table, table.labels)
    return from_trees(encoding.raw(), booster, asked)


def neural(
    table: Table, encoding: Encoding, parts: tuple[np.ndarray, ...], seed: int, layers: network.Layers, lr: str
) -> TabularModel:
    """The recipe's network, with the weights of its best epoch."""
    asked = head(table, table.labels[parts[0]])
    train, validation = (encoding.rows(table.rows.take(part)) for part in parts[:2])
    labels = [table.labels[part] for part in parts[:2]]
    aims = [asked.standardised(values) if isinstance(asked, Value) else values for values in labels]
    measure = summed_squares if isinstance(asked, Value) else summed_cross_entropy
    made = network.build(encoding, table.classes or 1, layers, seed)
    recipe = Recipe.model_validate(
        {
            "task": "tabular-classification",
            "model": {"architecture": "mlp"},
            "optimizer": {"lr": lr},
            "epochs": EPOCHS,
            "batchSize": 64,
            "seed": seed,
        }
    )
    training = Training(made, recipe, Share(train, aims[0], (len(train),)), epochs=EPOCHS, loss=measure)
    best, kept = float("inf"), made.state_dict()
    held = torch.from_numpy(validation), torch.from_numpy(aims[1])
    for epoch in range(EPOCHS):
        training.epoch(epoch)
        made.eval()
        with torch.inference_mode():
            found = float(measure(made(held[0]), held[1]))
        if found < best:
            best, kept = found, {name: value.clone() for name, value in made.state_dict().items()}
    made.load_state_dict(kept)
    return from_network(encoding, made.eval(), asked)


def reference(table: Table, kind: str, seed: int) -> Any:
    """scikit-learn's, as its documentation puts them together."""
    words = [name for name, of in table.kinds.items() if of == "category"]
    others = [name for name in table.kinds if name not in words]
    value = table.classes is None
    if kind == "scikit-learn linear":
        columns = make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()), others),
            (OneHotEncoder(handle_unknown="ignore"), words),
        )
        return make_pipeline(columns, Ridge() if value else LogisticRegression(max_iter=2000))
    columns = make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), words), ("passthrough", others)
    )
    boosting = HistGradientBoostingRegressor if value else HistGradientBoostingClassifier
    return make_pipeline(columns, boosting(random_state=seed))


def frame(table: Table) -> Any:
    """The rows for scikit-learn: moments and booleans as numbers."""
    found = table.rows.to_pandas()
    for name, kind in table.kinds.items():
        if kind == "datetime":
            seconds = found[name].astype("int64") / 1e6
            found[name] = seconds.where(found[name].notna())
        elif kind == "boolean":
            found[name] = found[name].astype("float64")
    return found


OURS = ("trees", "mlp", "linear")
THEIRS = ("scikit-learn linear", "scikit-learn boosting")


def play(table: Table, seed: int) -> None:
    """All models on one table; `validation` is the loss, the smaller the better, `test` the score."""
    parts = split(table.rows.num_rows, seed)
    train = table.rows.take(parts[0])
    encoding = finish(fit(train, table.schema), table.schema)
    makers = {
        "trees": lambda: boosted(table, encoding, parts, seed),
        "mlp": lambda: neural(table, encoding, parts, seed, network.Layers(), "0.001"),
        "linear": lambda: neural(table, encoding, parts, seed, network.LINEAR, "0.01"),
    }
    for name in (*OURS, *THEIRS):
        began = time.process_time()
        if name in makers:
            model = makers[name]()
            answers = [served(model, table.rows.take(part)) for part in parts[1:]]
        else:
            rows = frame(table)
            fitted = reference(table, name, seed).fit(rows.iloc[parts[0]], table.labels[parts[0]])
            ask = fitted.predict if table.classes is None else fitted.predict_proba
            answers = [ask(rows.iloc[part]) for part in parts[1:]]
        line = {
            "table": table.name,
            "seed": seed,
            "model": name,
            "validation": loss(answers[0], table.labels[parts[1]]),
            "test": score(answers[1], table.labels[parts[2]]),
            "seconds": time.process_time() - began,
        }
        print(json.dumps(line), flush=True)


def main(seeds: int, chosen: list[str]) -> None:
    """All tables, or those chosen, with seeds 0 to `seeds` - 1."""
    torch.set_num_threads(1)
    for name, table in tables().items():
        if not chosen or name in chosen:
            for seed in range(seeds):
                play(table, seed)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
