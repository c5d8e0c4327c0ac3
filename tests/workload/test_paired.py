"""What a variant loses is told with an interval that covers the truth, and never looks surer than the rows are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import beta

from tradewind_workload.heads import paired
from tradewind_workload.heads.classification import Classification
from tradewind_workload.heads.multilabel import MultiLabel
from tradewind_workload.heads.paired import Comparison, Loss
from tradewind_workload.heads.regression import Regression

if TYPE_CHECKING:
    from collections.abc import Callable

    from tradewind_workload.heads.head import Head

TWO = Classification(np.array([5, 5]))
RARE = Classification(np.array([90, 10]))
LABELS = MultiLabel(np.full(3, 30), 100)
NUMBER = Regression(0.0)

Simulated = tuple[np.ndarray, np.ndarray, np.ndarray, "np.ndarray | None"]  # truths, baseline, variant, groups


def probabilities(told: np.ndarray, count: int = 2) -> np.ndarray:
    """Of classes that are told, float32 [n, count]."""
    return (0.1 / count + 0.9 * np.eye(count)[told]).astype(np.float32)


def loss(
    head: Head,
    metric: str,
    truths: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> Loss:
    return Comparison(head, head.metric(metric), truths, before, groups, seed).loss(after)


def rows_of(random: np.random.Generator, truths: np.ndarray, lost: float, won: float) -> tuple[np.ndarray, np.ndarray]:
    """What two models tell, of which one is wrong in a tenth of the rows.

    The other one loses that share of all rows, and wins that one.
    """
    before = np.where(random.random(len(truths)) < 0.1, 1 - truths, truths)
    right = before == truths
    changed = random.random(len(truths)) < np.where(right, lost / 0.9, won / 0.1)
    return before, np.where(changed, 1 - before, before)


def classes(rows: int, lost: float, won: float, share: float = 0.5) -> Callable[[np.random.Generator], Simulated]:
    def made(random: np.random.Generator) -> Simulated:
        truths = (random.random(rows) < share).astype(np.int64)
        before, after = rows_of(random, truths, lost, won)
        return truths, probabilities(before), probabilities(after), None

    return made


def in_groups(random: np.random.Generator) -> Simulated:
    """40 groups of 10 rows: one of 20 is lost as a whole, the others not at all."""
    truths = random.integers(0, 2, 400)
    groups = np.repeat(np.arange(40), 10)
    gone = (random.random(40) < 0.05)[groups]
    return truths, probabilities(truths), probabilities(np.where(gone, 1 - truths, truths)), groups


def sets(random: np.random.Generator) -> Simulated:
    truths = (random.random((300, 3)) < 0.3).astype(np.int8)
    told = [rows_of(random, truths[:, label].astype(np.int64), 0.02, 0.01) for label in range(3)]
    before, after = (np.stack(side, 1) * np.float32(0.8) + np.float32(0.1) for side in zip(*told, strict=True))
    return truths, before, after, None


def numbers(random: np.random.Generator) -> Simulated:
    truths = random.normal(0, 1, 150)
    before = truths + random.normal(0, 0.5, 150)
    return truths, before.astype(np.float32), (before + random.normal(0, 0.2, 150)).astype(np.float32), None


def ranks(random: np.random.Generator) -> Simulated:
    """Both err by as much on their own; so the second one loses nothing."""
    truths = random.integers(0, 2, 200)
    shared, *own = random.normal(0, 1, (3, 200))
    scores = [1 / (1 + np.exp(-(2 * truths - 1 + shared + 0.5 * one))) for one in own]
    before, after = (np.stack([1 - score, score], 1).astype(np.float32) for score in scores)
    return truths, before, after, None


@pytest.mark.parametrize(
    ("head", "metric", "made", "truth"),
    [
        (TWO, "accuracy", classes(180, 0.01, 0.0), 0.01),
        (TWO, "accuracy", classes(360, 0.02, 0.01), 0.01),
        (TWO, "accuracy", classes(60, 0.0, 0.0), 0.0),
        (TWO, "accuracy", in_groups, 0.05),
        (RARE, "balanced_accuracy", classes(300, 0.03, 0.01, share=0.1), 0.02),
        (LABELS, "subset_accuracy", sets, 0.9**3 - (0.88 + 0.01) ** 3),
        (NUMBER, "rmse", numbers, 0.29**0.5 - 0.5),
        (NUMBER, "mae", numbers, (2 / np.pi) ** 0.5 * (0.29**0.5 - 0.5)),
        (TWO, "auroc", ranks, 0.0),
        (TWO, "log_loss", ranks, 0.0),
    ],
    ids=[
        "few rows lost",
        "some won",
        "none differ",
        "groups",
        "a rare class",
        "labels",
        "rmse",
        "mae",
        "auroc",
        "log_loss",
    ],
)
def test_the_interval_covers_the_truth(
    head: Head,
    metric: str,
    made: Callable[[np.random.Generator], Simulated],
    truth: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paired, "DRAWS", 400)
    random = np.random.default_rng(3)
    covered, missed_above = 0, 0
    for seed in range(500):
        truths, before, after, groups = made(random)
        found = loss(head, metric, truths, before, after, groups, seed)
        assert found.low is not None and found.high is not None
        assert found.low <= found.value <= found.high
        covered += found.low <= truth <= found.high
        missed_above += found.high < truth
    assert covered >= 465  # 0.93
    assert missed_above <= 25, "a loss that is larger than the interval says"


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "f1", "auroc", "average_precision", "log_loss"])
def test_the_same_answers_lose_nothing_and_few_rows_are_not_sure_of_it(metric: str) -> None:
    truths = np.array([0, 1] * 6)
    told = probabilities(np.where(np.arange(12) == 5, 1 - truths, truths))
    found = loss(TWO, metric, truths, told, told.copy())
    assert found.value == 0
    if metric in paired.DECIDED:
        assert (found.lost, found.won) == (0, 0)
        assert found.low is not None and found.high is not None
        assert found.low < -0.2 and found.high > 0.2
    else:
        assert (found.low, found.high) == (None, None), "nothing tells how sure it is"


@pytest.mark.parametrize(("rows", "lost"), [(180, 0), (180, 1), (360, 0), (1000, 5)])
def test_where_no_row_is_won_the_upper_end_is_the_exact_one(rows: int, lost: int) -> None:
    truths = np.arange(rows) % 2
    after = np.where(np.arange(rows) < lost, 1 - truths, truths)
    found = loss(TWO, "accuracy", truths, probabilities(truths), probabilities(after))
    assert (found.lost, found.won) == (lost, 0)
    assert found.high == pytest.approx(beta.ppf(0.975, lost + 1, rows - lost), rel=0.07)


def test_a_class_that_few_rows_have_may_be_lost_unseen() -> None:
    """Though hundreds of others say nothing of it."""
    truths = np.array([0] * 300 + [1] * 5)
    told = probabilities(truths)
    rare, common = (loss(RARE, metric, truths, told, told).high or 0 for metric in ("balanced_accuracy", "accuracy"))
    assert rare > 0.2 and common < 0.02


def test_the_direction_is_that_of_the_metric() -> None:
    random = np.random.default_rng(0)
    truths = random.normal(0, 1, 200)
    near, far = (truths + random.normal(0, spread, 200) for spread in (0.1, 0.5))
    for metric, higher in (("rmse", False), ("mae", False), ("r2", True)):
        assert NUMBER.metric(metric).higher_is_better is higher
        worse, better = loss(NUMBER, metric, truths, near, far), loss(NUMBER, metric, truths, far, near)
        assert worse.value == -better.value > 0
        assert worse.low is not None and worse.low > 0, metric
        assert better.high is not None and better.high < 0, metric
    found = loss(TWO, "log_loss", np.zeros(9, np.int64), probabilities(np.zeros(9, int)), np.full((9, 2), 0.5))
    assert found.value > 0


def test_a_loss_that_is_the_same_in_all_rows_is_sure() -> None:
    truths = np.arange(20.0)
    found = loss(NUMBER, "mae", truths, truths + 1, truths + 1.5)
    assert (found.low, found.value, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_rows_of_a_group_say_less_than_as_many_rows() -> None:
    truths, before, after, groups = in_groups(np.random.default_rng(1))
    apart, together = (loss(TWO, "accuracy", truths, before, after, by) for by in (None, groups))
    assert apart.value == together.value > 0
    assert all(found.low is not None and found.high is not None for found in (apart, together))
    assert (together.high or 0) - (together.low or 0) > 2 * ((apart.high or 0) - (apart.low or 0))
    one = loss(TWO, "accuracy", truths, before, after, np.zeros(400, np.int64))
    assert (one.low, one.high, one.alone) == (None, None, True), "a single group tells nothing"
    same = loss(TWO, "log_loss", truths, before, before, groups)
    assert (same.low, same.high, same.alone) == (None, None, False), "each of them says the same"


def test_the_least_is_that_of_the_same_decisions() -> None:
    truths = np.arange(180) % 2
    before = probabilities(truths)
    rows = Comparison(TWO, TWO.metric("accuracy"), truths, before, None, 0)
    other = np.clip(before + np.float32(0.01), 0, 1)
    assert rows.loss(other).high == rows.least > 0.01, "it decides each row as the baseline does"
    lost = probabilities(np.where(np.arange(180) == 7, 1 - truths, truths))
    assert (rows.loss(lost).high or 0) > rows.least


def test_many_rows_take_few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    truths = np.arange(3000) % 2
    told = probabilities(truths)
    monkeypatch.setattr(paired, "WORK", 3000 * 250)
    monkeypatch.setattr(paired, "HELD", 9000)
    rows = Comparison(TWO, TWO.metric("log_loss"), truths, told, None, 0)
    shapes = [weights.shape for weights in rows._weights(*rows._kinds(told), 0)]
    assert sum(draws for draws, _ in shapes) == 250
    assert all(draws * width <= 9000 for draws, width in shapes)
    other = np.clip(told + np.random.default_rng(0).normal(0, 0.01, told.shape), 0.01, 1)
    assert rows.loss(other) == rows.loss(other)


@pytest.mark.parametrize("by", [None, np.arange(600) // 10], ids=["rows", "groups"])
@pytest.mark.parametrize("metric", sorted(paired.DECIDED - {"f1_micro", "f1_macro", "subset_accuracy"}))
def test_rows_that_are_decided_alike_are_drawn_as_one(
    metric: str, by: np.ndarray | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same interval, but for what chance makes of draws."""
    truths, before, after, _ = classes(600, 0.04, 0.02, share=0.2)(np.random.default_rng(4))
    monkeypatch.setattr(paired, "DRAWS", 20_000)
    found = Comparison(TWO, TWO.metric(metric), truths, before, by, 0)
    kept, counts = found._kinds(after)
    assert counts.sum() == 600 and len(kept) < (400 if by is not None else 10)
    one = found.loss(after)
    monkeypatch.setattr(Comparison, "_kinds", lambda rows, _: (np.arange(600), np.ones(600, np.int64)))
    each = found.loss(after)
    assert one.value == each.value
    assert (one.low, one.high) == pytest.approx((each.low, each.high), abs=0.03 * ((each.high or 0) - (each.low or 0)))
