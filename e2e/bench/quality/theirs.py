"""What a newcomer writes with scikit-learn, as its documentation puts it together, with its defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.bench.quality.tables import Table

LINEAR, BOOSTING = "linear", "boosting"


def kinds(table: Table) -> tuple[str, ...]:
    """Which models there are."""
    return (LINEAR,) if table.family == "text" else (LINEAR, BOOSTING)


def answers(
    table: Table, kind: str, folder: Path, seed: int, labels: tuple[str, ...], ignored: frozenset[str]
) -> np.ndarray:
    """Probabilities, float [n, classes] in the order of `labels`, or values, float [n], for all rows of `test`.

    It learns from all rows of `train`: unlike ours it has no use for validation rows.
    """
    train, test, truths = _rows(table, folder, ignored)
    model = _model(table, kind, train, seed)
    model.fit(train, truths)
    if table.task == "regression":
        return np.asarray(model.predict(test))
    found = model.predict_proba(test)
    order = [list(map(str, model.classes_)).index(label) for label in labels]
    return np.asarray(found[:, order])


def _rows(table: Table, folder: Path, ignored: frozenset[str]) -> tuple[Any, Any, Any]:
    """Inputs to learn from, inputs to judge by, and the labels of the former."""
    import pandas as pd  # type: ignore[import-untyped]

    if table.family == "image":
        parts = [np.load(folder / f"{name}.npz") for name in ("train", "validation", "test")]
        train = np.concatenate([part["image"].reshape(len(part["image"]), -1) for part in parts[:2]])
        truths = np.concatenate([part[table.label] for part in parts[:2]])
        return train, parts[2]["image"].reshape(len(parts[2]["image"]), -1), truths
    train, test = (pd.read_csv(folder / f"{name}.csv") for name in ("train", "test"))
    truths = train[table.label]
    truths = truths if table.task == "regression" else truths.astype(str)
    if table.family == "text":
        return train["review"].fillna(""), test["review"].fillna(""), truths
    unused = [table.label, *ignored]
    return train.drop(columns=unused), test.drop(columns=unused), truths


def _model(table: Table, kind: str, train: Any, seed: int) -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    if table.family == "text":
        return make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=2000))
    value = table.task == "regression"
    boosting = HistGradientBoostingRegressor if value else HistGradientBoostingClassifier
    linear = Ridge() if value else LogisticRegression(max_iter=2000)
    if table.family == "image":
        return make_pipeline(StandardScaler(), linear) if kind == LINEAR else boosting(random_state=seed)
    numbers = [name for name in train if train[name].dtype.kind in "fi"]
    words = [name for name in train if name not in numbers]
    if kind == LINEAR:
        columns = make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            (OneHotEncoder(handle_unknown="ignore"), words),
        )
        return make_pipeline(columns, linear)
    columns = make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), words), ("passthrough", numbers)
    )
    return make_pipeline(columns, boosting(random_state=seed))
