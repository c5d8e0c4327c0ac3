"""Reports that tests make, from answers that they make up."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind_workload.heads.classification import Classification
from tradewind_workload.report.classes import classes_of
from tradewind_workload.report.mistakes import Shown, wrong_classes
from tradewind_workload.report.quality import quality_of
from tradewind_workload.report.record import Column, Curve, Made, Part, Phase, Point, Record, Spent, Split


def answered(truths: np.ndarray, count: int, knowledge: float, seed: int = 0) -> np.ndarray:
    """Probabilities, float32 [n, classes], that know the class more or less."""
    logits = np.random.default_rng(seed).normal(size=(len(truths), count)) + knowledge * np.eye(count)[truths]
    shares = np.exp(logits)
    return (shares / shares.sum(1, keepdims=True)).astype(np.float32)


def record(labels: tuple[str, ...] = ("bad", "good"), rows: int = 300, columns: int = 3, **fields: Any) -> Record:
    """The report of a classification with so many classes and columns."""
    truths = np.random.default_rng(1).integers(0, len(labels), rows)
    told = answered(truths, len(labels), 2.0)
    head = Classification.of(truths, len(labels))

    def show(numbers: np.ndarray) -> Shown:
        places = tuple(f"row {number + 1}" for number in numbers)
        return Shown(tuple({"Größe <m²>": float(number), "town": None} for number in numbers), places)

    content: dict[str, Any] = {
        "object": Made(kind="TrainingJob", namespace="team", name="job", uid="1", attempt=1),
        "written_at": "2026-11-26T01:00:00Z",
        "task": "tabular-classification",
        "labels": labels,
        "columns": tuple(
            Column(name=f"column <{i}>", kind="number", why="all values are numbers", rows=rows, missing=i)
            for i in range(columns)
        ),
        "columns_in_all": columns,
        "split": Split(digest="sha256:0", parts=(Part(name="test", rows=rows),)),
        "curve": Curve(
            unit="epoch",
            loss="log_loss",
            metric="accuracy",
            best=2,
            done=3,
            points=tuple(Point(number=i, loss=1 / i, validation_loss=1.2 / i, value=0.5 + i / 10) for i in (1, 2, 3)),
        ),
        "primary_metric": "accuracy",
        "better_than_guessing": True,
        "quality": (quality_of(head, "test", "accuracy", told, truths, 0),),
        "commonest": labels[head.commonest],
        "classes": classes_of(head, labels, told, truths),
        "mistakes": wrong_classes(show, labels, told, truths, 5),
        "mistakes_asked": 5,
        "spent": Spent(phases=(Phase(name="training", seconds=12.5),), workers=1, cpu="1", memory="2Gi"),
        "software": {"python": "3.11.2"},
        "recipe": {"task": "tabular-classification", "model": {"architecture": "trees"}},
        "data": {"train": {"storageUri": "pvc://claim/train.csv"}},
    }
    return Record(**(content | fields))
