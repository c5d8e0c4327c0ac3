"""Boosted trees on encoded tables, by XGBoost.

A missing number goes the way that the training rows show to be better at each split, or, where they had none in the
column, the way of most of them. A category is an ordinary number, its code, so a split parts the frequent values from
the rare ones; a few splits in a row part any value from the others. XGBoost writes the model as UBJSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import xgboost

    from tradewind_workload.tasks.tabular.graph import Graph, Rows


@dataclass(frozen=True)
class Settings:
    """How trees are grown."""

    rounds: int = 2000  # at most; each adds a tree, or one for each class if there are more than two
    patience: int = 50  # rounds without a better loss on the validation rows, after which it stops
    learning_rate: float = 0.05
    max_depth: int = 4
    min_child_weight: float = 1.0
    row_share: float = 0.8  # of the rows that each tree sees
    column_share: float = 0.8  # of the columns that each tree sees
    l2: float = 1.0


@dataclass(frozen=True)
class Examples:
    """Rows with what they should give."""

    rows: np.ndarray  # float32 [n, columns], of an encoding for trees
    labels: np.ndarray  # int64 [n], the number of the class; int8 [n, labels]; or float32 [n], the value
    start: np.ndarray | None = None  # float32 [n, outputs], what trees go on from; None: one constant


@dataclass(frozen=True)
class Batches:
    """The same of more rows than memory holds: XGBoost keeps what it makes of them in files."""

    read: Callable[[], Iterator[Examples]]  # from the beginning
    cache: Path  # what the names of these files start with
    sample: Callable[[], np.ndarray] | None = None  # rows of the training by chance, as those of Examples


BINS = 255  # edges in a column, where rows are in files: with one more, a bin would take two bytes


def held(outputs: int) -> int:
    """Bytes that XGBoost holds of a row whose bins are in files, of a model with so many trees a round."""
    return 28 + 12 * outputs


def train(
    training: Examples | Batches,
    validation: Examples | Batches,
    *,
    classes: int | None,
    several: bool = False,
    settings: Settings,
    class_weights: tuple[float, ...] = (),
    threads: int = 1,
    seed: int = 0,
    on_round: Callable[[int, float, float], None] = lambda _round, _loss, _training: None,
) -> xgboost.Booster:
    """Trees up to the round with the least loss on the validation rows. `classes` is None for values, and their
    number for labels too, of which a row has several, and which have trees of their own.

    `on_round` is told the rounds done and the losses on the validation and the training rows; what it raises ends the
    training.
    """
    import xgboost

    class Progress(xgboost.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            losses, learnt = (next(iter(evals_log[part].values())) for part in ("validation", "training"))
            on_round(epoch + 1, float(losses[-1]), float(learnt[-1]))
            return False

    gaps: set[int] = set()  # columns in which a training row has none

    def note_gaps(examples: Examples) -> None:
        gaps.update(np.flatnonzero(np.isnan(examples.rows).any(axis=0)).tolist())

    def weights(examples: Examples) -> np.ndarray | None:
        return np.array(class_weights, np.float32)[examples.labels] if class_weights else None

    class Reading(xgboost.DataIter):
        def __init__(self, batches: Batches) -> None:
            super().__init__(cache_prefix=str(batches.cache), release_data=True)
            self._batches = batches
            self.reset()

        def next(self, input_data: Callable[..., None]) -> bool:
            examples = next(self._coming, None)
            if examples is not None:
                if self._batches is training:
                    note_gaps(examples)
                input_data(
                    data=examples.rows,
                    label=examples.labels,
                    weight=weights(examples),
                    base_margin=_margin_of(examples, classes),
                )
            return examples is not None

        def reset(self) -> None:
            self._coming = self._batches.read()

    def matrix(examples: Examples | Batches, like: xgboost.DMatrix | None) -> xgboost.DMatrix:
        if isinstance(examples, Batches):
            return xgboost.ExtMemQuantileDMatrix(Reading(examples), ref=like, nthread=threads)
        if examples is training:
            note_gaps(examples)
        return xgboost.DMatrix(
            examples.rows,
            examples.labels,
            weight=weights(examples),
            base_margin=_margin_of(examples, classes),
            nthread=threads,
        )

    parameters: dict[str, Any] = {
        **_objective(classes, several=several),
        "tree_method": "hist",
        "learning_rate": settings.learning_rate,
        "max_depth": settings.max_depth,
        "min_child_weight": settings.min_child_weight,
        "subsample": settings.row_share,
        "colsample_bytree": settings.column_share,
        "lambda": settings.l2,
        "nthread": threads,
        "seed": seed,
        "verbosity": 0,
    }
    stop = xgboost.callback.EarlyStopping(rounds=settings.patience, data_name="validation", save_best=True)
    bins = None
    if isinstance(training, Batches) and training.sample is not None:
        bins = xgboost.QuantileDMatrix(edges(training.sample()), nthread=threads)
    learnt = matrix(training, bins)
    grown = xgboost.train(
        parameters,
        learnt,
        num_boost_round=settings.rounds,
        evals=[(learnt, "training"), (matrix(validation, learnt), "validation")],
        callbacks=[Progress(), stop],
        verbose_eval=False,
    )
    return _with_most(grown, gaps)


def _with_most(booster: xgboost.Booster, gaps: set[int]) -> xgboost.Booster:
    """The same trees, in which a number that is missing in a column that had no gaps goes the way of most rows.

    XGBoost sends it where it happens to: to one end of the column's range.
    """
    import xgboost

    document = _document(booster)
    for tree in document["learner"]["gradient_booster"]["model"]["trees"]:
        rows = tree["sum_hessian"]  # at each node, as the objective weighs them
        for node, (left, right) in enumerate(zip(tree["left_children"], tree["right_children"], strict=True)):
            if left != -1 and tree["split_indices"][node] not in gaps:
                tree["default_left"][node] = int(rows[left] >= rows[right])
    changed = xgboost.Booster()
    changed.load_model(bytearray(json.dumps(document).encode()))
    return changed


def edges(rows: np.ndarray) -> np.ndarray:
    """Where the bins of each column begin, float32 [BINS, columns]: by what these rows have, NaN for nothing.

    XGBoost finds no others where it is given these. Its own sketch of all rows would hold 3 MB of each column.
    """
    found = np.zeros((BINS, rows.shape[1]), np.float32)
    for i, column in enumerate(rows.T):
        present = np.sort(column[~np.isnan(column)])
        different = np.unique(present)
        if len(different) > BINS:
            different = present[np.arange(1, BINS + 1) * len(present) // BINS - 1]
        if len(different):
            found[:, i] = np.pad(different, (0, BINS - len(different)), "edge")
    return found


def _objective(classes: int | None, *, several: bool) -> dict[str, Any]:
    if classes is None:
        return {"objective": "reg:squarederror", "eval_metric": "rmse"}
    if classes == 2 or several:
        return {"objective": "binary:logistic", "eval_metric": "logloss"}
    return {"objective": "multi:softprob", "num_class": classes, "eval_metric": "mlogloss"}


def _margin_of(examples: Examples, classes: int | None) -> np.ndarray | None:
    return None if examples.start is None else _margin(examples.start, classes)


def _margin(start: np.ndarray, classes: int | None) -> np.ndarray:
    """As XGBoost takes it: of two classes the second one's logit, where the first one's is 0."""
    return start[:, -1] if classes in (None, 2) else start


def predict(booster: xgboost.Booster, rows: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """By XGBoost itself, of what it started from: probabilities, float32 [n, classes or labels], or values, [n]."""
    import xgboost

    asked = xgboost.DMatrix(rows, nthread=1)
    learner = _document(booster)["learner"]
    binary = learner["objective"]["name"] == "binary:logistic" and _targets(learner) == 1
    if start is not None:
        asked.set_base_margin(_margin(start, 2 if binary else start.shape[1] if start.shape[1] > 1 else None))
    answer = booster.predict(asked)
    if binary:
        return np.stack([1 - answer, answer], 1)
    return np.asarray(answer)


def _document(booster: xgboost.Booster) -> Any:
    return json.loads(bytes(booster.save_raw("json")))


def _targets(learner: dict[str, Any]) -> int:
    """How many answers a row has that do not exclude one another: the labels of a multi-label model, else 1."""
    return int(learner["learner_model_param"]["num_target"])


def write_trees(graph: Graph, rows: Rows, booster: xgboost.Booster, start: str | None = None) -> str:
    """The trees as nodes of a graph; logits, or values, float32 [n, outputs], with what they started from.

    From XGBoost's own document, node by node: onnxmltools 1.16 is off by 0.4 in a probability where the first tree of a
    binary model is a single leaf, as it is where nothing can be learned.
    """
    learner = _document(booster)["learner"]
    objective = learner["objective"]["name"]
    model = learner["gradient_booster"]["model"]
    base = np.array(json.loads(learner["learner_model_param"]["base_score"]), np.float32).reshape(-1)
    targets = _targets(learner)
    if objective == "binary:logistic":
        base = -np.log(1 / base - 1)
    binary = objective == "binary:logistic" and targets == 1
    if binary:  # logits of 0 for the first class, and of the trees' sum for the second
        base = np.array([0, base[0]], np.float32)
    outputs = max(len(base), targets, int(learner["learner_model_param"]["num_class"]))
    base = np.broadcast_to(base if start is None else np.zeros(1, np.float32), (outputs,))
    fields: dict[str, list[Any]] = {name: [] for name in _FIELDS}
    for number, (tree, output) in enumerate(zip(model["trees"], model["tree_info"], strict=True)):
        _write_tree(fields, tree, number, 1 if binary else output)
    parts = [rows.numbers] if rows.numbers else []
    if rows.codes:
        parts.append(graph.node("Cast", [rows.codes], "codes_as_numbers", to=1))
    grown = graph.node(
        "TreeEnsembleRegressor",
        [graph.joined(parts, "features")],
        "trees",
        "ai.onnx.ml",
        n_targets=outputs,
        base_values=base.tolist(),
        aggregate_function="SUM",
        post_transform="NONE",
        **fields,
    )
    return grown if start is None else graph.node("Add", [grown, start], "trees_and_start")


_FIELDS = (
    *("nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_modes", "nodes_values", "nodes_truenodeids"),
    *("nodes_falsenodeids", "nodes_missing_value_tracks_true"),
    *("target_treeids", "target_nodeids", "target_ids", "target_weights"),
)


def _write_tree(fields: dict[str, list[Any]], tree: dict[str, Any], number: int, output: int) -> None:
    if any(tree["split_type"]):
        raise TypeError("a split by a set of categories has no ONNX here: encode categories as codes")
    for node, (left, right) in enumerate(zip(tree["left_children"], tree["right_children"], strict=True)):
        leaf = left == -1
        fields["nodes_treeids"].append(number)
        fields["nodes_nodeids"].append(node)
        fields["nodes_featureids"].append(0 if leaf else tree["split_indices"][node])
        fields["nodes_modes"].append("LEAF" if leaf else "BRANCH_LT")
        fields["nodes_values"].append(0.0 if leaf else tree["split_conditions"][node])
        fields["nodes_truenodeids"].append(0 if leaf else left)
        fields["nodes_falsenodeids"].append(0 if leaf else right)
        fields["nodes_missing_value_tracks_true"].append(0 if leaf else int(tree["default_left"][node]))
        if leaf:  # its value stands where a split has its threshold
            fields["target_treeids"].append(number)
            fields["target_nodeids"].append(node)
            fields["target_ids"].append(output)
            fields["target_weights"].append(tree["split_conditions"][node])
