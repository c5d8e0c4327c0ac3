"""Heads: the numbers of metrics, the one that suits the data, and what is no better than guessing."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from tradewind_workload.heads import certainty as judgement
from tradewind_workload.heads import ranking
from tradewind_workload.heads.certainty import certainty
from tradewind_workload.heads.classification import MANY_CLASSES, Classification
from tradewind_workload.heads.metric import Metric
from tradewind_workload.heads.multilabel import MultiLabel
from tradewind_workload.heads.regression import Regression

NAMES = ["accuracy", "balanced_accuracy", "f1", "auroc", "average_precision", "log_loss"]


@pytest.fixture(autouse=True)
def _fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judgement, "DRAWS", 120)
    monkeypatch.setattr(judgement, "ORDERS", 60)


def answers(classes: np.ndarray, count: int, knowledge: float, seed: int = 0) -> np.ndarray:
    """Probabilities, float32 [n, classes], that know the class more or less."""
    logits = np.random.default_rng(seed).normal(size=(len(classes), count)) + knowledge * np.eye(count)[classes]
    shares = np.exp(logits)
    return (shares / shares.sum(1, keepdims=True)).astype(np.float32)


def test_two_classes_have_the_numbers_of_scikit_learn() -> None:
    classes = np.random.default_rng(1).integers(0, 2, 300)
    told, head = answers(classes, 2, 1.0), Classification(np.array([100, 900]))  # the first class is the positive one
    assert head.positive == 0
    found = head.measured(told, classes, "f1")
    assert list(found) == ["f1", "accuracy", "balanced_accuracy", "auroc", "average_precision", "log_loss"]
    label = told.argmax(1)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(classes, label))
    assert found["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(classes, label))
    assert found["f1"] == pytest.approx(reference.f1_score(classes, label, pos_label=0))
    assert found["auroc"] == pytest.approx(reference.roc_auc_score(classes, told[:, 1]))
    assert found["average_precision"] == pytest.approx(
        reference.average_precision_score(classes, told[:, 0], pos_label=0)
    )
    assert found["log_loss"] == pytest.approx(reference.log_loss(classes, told), rel=1e-6)


def test_more_classes_have_the_numbers_of_scikit_learn() -> None:
    classes = np.random.default_rng(2).integers(0, 4, 400)
    told, head = answers(classes, 4, 1.5), Classification(np.array([10, 10, 10, 10]))
    found = head.measured(told, classes, "accuracy")
    assert list(found) == NAMES
    assert found["f1"] == pytest.approx(reference.f1_score(classes, told.argmax(1), average="macro"))
    assert found["auroc"] == pytest.approx(
        reference.roc_auc_score(classes, told / told.sum(1, keepdims=True), multi_class="ovr", average="macro"),
        rel=1e-5,
    )
    assert found["average_precision"] == pytest.approx(
        reference.average_precision_score(np.eye(4)[classes], told, average="macro")
    )


def few_scores(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of some columns, float32 [n, 3], many of them equal, and which rows are positive."""
    random = np.random.default_rng(seed)
    rows = int(random.integers(3, 60))
    scores = (random.integers(0, 6, (rows, 3)) / 5).astype(np.float32)
    positives = random.random((rows, 3)) < [0.1, 0.5, 0.9]
    positives[0], positives[1] = True, False
    return scores, positives


@pytest.mark.parametrize("seed", range(20))
def test_curves_are_those_of_scikit_learn(seed: int) -> None:
    """Ties, a score of 0 and of 1, few rows: to the last digits."""
    scores, positives = few_scores(seed)
    precisions, areas = ranking.average_precisions(scores, positives), ranking.aurocs(scores, positives)
    for i in range(3):
        one, is_it = scores[:, i], positives[:, i]
        assert precisions[i] == pytest.approx(reference.average_precision_score(is_it, one), abs=1e-12)
        assert areas[i] == pytest.approx(reference.roc_auc_score(is_it, one), abs=1e-12)
        alarms, hits, _ = reference.roc_curve(is_it, one, drop_intermediate=False)
        np.testing.assert_allclose(ranking.roc(one, is_it), (alarms, hits), atol=1e-12)
        precision, recall, _ = reference.precision_recall_curve(is_it, one)
        np.testing.assert_allclose(ranking.precision_recall(one, is_it), (precision[::-1], recall[::-1]), atol=1e-12)


def test_a_column_whose_rows_are_alike_has_no_area() -> None:
    none, every = np.zeros((4, 1), bool), np.ones((4, 1), bool)
    scores = np.linspace(0, 1, 4)[:, np.newaxis]
    assert np.isnan(ranking.average_precisions(scores, none))
    assert np.isnan(ranking.aurocs(scores, none))
    assert np.isnan(ranking.aurocs(scores, every))
    assert ranking.average_precisions(scores, every) == 1


@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize("seed", range(5))
def test_few_rows_have_the_numbers_of_scikit_learn(count: int, seed: int) -> None:
    """Rows that lack classes, and answers that never name one: as scikit-learn has it for those that are there."""
    random = np.random.default_rng(seed)
    classes = random.integers(0, count - 1, 12)
    classes[0] = count - 2
    classes[1] = count - 1 if count == 2 else count - 3
    told, head = answers(classes, count, 1.0, seed), Classification(np.arange(1, count + 1)[::-1])
    found, present, label = head.measured(told, classes, "accuracy"), np.unique(classes), told.argmax(1)
    about = present if head.positive is None else [head.positive]
    only = {"labels": about, "average": "macro", "zero_division": 0}
    assert found["f1"] == pytest.approx(reference.f1_score(classes, label, **only))
    recall = reference.recall_score(classes, label, labels=present, average="macro", zero_division=0)
    assert found["balanced_accuracy"] == pytest.approx(recall)
    exact = told.astype(np.float64) / told.astype(np.float64).sum(1, keepdims=True)
    assert found["log_loss"] == pytest.approx(reference.log_loss(classes, exact, labels=range(count)), rel=1e-12)
    areas = [reference.roc_auc_score(classes == one, told[:, one]) for one in about]
    assert found["auroc"] == pytest.approx(np.mean(areas), abs=1e-12)


def test_by_hand() -> None:
    head = Classification(np.array([90, 10]))
    told = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]], np.float32)
    found = head.measured(told, np.array([0, 1, 0, 1]), "accuracy")
    assert found["accuracy"] == 0.75
    assert found["balanced_accuracy"] == 0.75
    assert found["f1"] == pytest.approx(2 / 3)  # one of two found, none wrongly
    assert found["auroc"] == 0.75  # 3 of 4 pairs in order
    assert found["average_precision"] == pytest.approx((1 + 2 / 3) / 2)


def test_ties_rank_nothing() -> None:
    """The same answer for all rows: half of the pairs, and the share of the positive rows."""
    head = Classification(np.array([99, 1]))
    classes = np.array([0] * 7 + [1])
    found = head.measured(head.guesses(8), classes, "accuracy")
    assert found["accuracy"] == 0.875
    assert found["balanced_accuracy"] == 0.5
    assert found["f1"] == 0
    assert found["auroc"] == 0.5
    assert found["average_precision"] == 0.125


def test_a_class_without_a_row_is_left_out() -> None:
    head = Classification(np.array([5, 5, 5]))
    classes = np.array([0, 1, 0, 1])
    found = head.measured(answers(classes, 3, 9.0), classes, "accuracy")
    assert [found[name] for name in NAMES[:5]] == [1, 1, 1, 1, 1]
    assert all(np.isfinite(value) for value in found.values())
    two = Classification(np.array([50, 5]))
    assert two.undefined("average_precision", np.zeros(4, np.int64))
    assert set(two.measured(answers(np.zeros(4, np.int64), 2, 1.0), np.zeros(4, np.int64), "accuracy")) == {
        "accuracy",
        "balanced_accuracy",
        "f1",
        "log_loss",
    }


def test_very_many_classes_have_no_curves() -> None:
    count = MANY_CLASSES + 1
    classes = np.arange(count)
    head = Classification(np.ones(count, np.int64))
    assert "auroc" not in head.measured(answers(classes, count, 3.0), classes, "accuracy")
    assert "auroc" in head.measured(answers(classes, count, 3.0), classes, "auroc")


@pytest.mark.parametrize(
    ("counts", "name"),
    [
        ([178, 182, 177], "accuracy"),
        ([212, 357], "accuracy"),
        ([100, 25], "accuracy"),
        ([100, 24], "average_precision"),
        ([20, 1980], "average_precision"),
        ([100, 100, 24], "balanced_accuracy"),
    ],
)
def test_the_metric_suits_the_classes(counts: list[int], name: str) -> None:
    head = Classification(np.array(counts))
    assert head.primary(None).name == name
    assert head.primary("f1").name == "f1"


def test_directions() -> None:
    head = Classification(np.array([5, 5]))
    assert head.metric("accuracy").better(0.9, 0.8)
    assert head.metric("log_loss").better(0.1, 0.2)
    assert not head.metric("accuracy").better(0.8, 0.8)


def test_balanced_weights_give_each_class_the_same_say() -> None:
    head = Classification(np.array([90, 10]))
    np.testing.assert_allclose(head.balanced_weights() * head.counts, [50, 50], rtol=1e-6)


def judged(told: np.ndarray, classes: np.ndarray, name: str | None = None, seed: int = 0) -> tuple[bool, float, float]:
    head = Classification.of(classes, told.shape[1])
    found = certainty(head.primary(name), told, head.guesses(len(classes)), classes, classes, seed)
    assert found.low <= found.value <= found.high
    return found.better_than_guessing, found.value, found.guessing


def rare(rows: int, positive: int) -> np.ndarray:
    return (np.arange(rows) < positive).astype(np.int64)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_always_says_the_commonest_class_is_no_better(name: str) -> None:
    classes = rare(400, 4)
    told = np.tile(np.array([0.99, 0.01], np.float32), (400, 1))
    better, value, guessing = judged(told, classes, name)
    assert not better
    assert value == pytest.approx(guessing, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_knows_is_better(name: str) -> None:
    assert judged(answers(rare(400, 100), 2, 5.0), rare(400, 100), name)[0]


def test_a_rank_by_chance_of_a_few_rows_is_not_better() -> None:
    """A bootstrap alone takes most of these for better: the average precision of few rows lies above their share."""
    classes = rare(100, 2)
    verdicts = [judged(answers(classes, 2, 0.0, seed), classes, "average_precision", seed)[0] for seed in range(12)]
    assert sum(verdicts) <= 1


def test_informative_and_yet_worse_than_the_commonest_class_is_not_better() -> None:
    """It says the rare class too often: its answers depend on the class, and guessing is right more often."""
    classes = rare(1000, 100)
    told = answers(classes, 2, 1.0)
    better, value, guessing = judged(told, classes, "accuracy")
    assert value < guessing
    assert not better
    assert judged(told, classes, "auroc")[0]


def test_a_verdict_is_the_same_each_time() -> None:
    classes = rare(200, 20)
    assert judged(answers(classes, 2, 0.5), classes) == judged(answers(classes, 2, 0.5), classes)


def test_regression_has_the_numbers_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    values = random.normal(10, 2, 200)
    predicted = values + random.normal(0, 1, 200)
    head = Regression.of(values)
    found = head.measured(predicted, values, "mae")
    assert list(found) == ["mae", "rmse", "r2"]
    assert found["rmse"] == pytest.approx(reference.mean_squared_error(values, predicted) ** 0.5)
    assert found["r2"] == pytest.approx(reference.r2_score(values, predicted))
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(values, predicted))
    one, told = np.full(4, 3.0), np.array([3.0, 3.0, 3.0, 4.0])  # as a draw of few rows may be
    for answer in (one, told):
        assert head.metric("r2").measure(answer, one) == reference.r2_score(one, answer)
    assert certainty(head.primary(None), predicted, head.guesses(200), values, None, 0).better_than_guessing
    shuffled = random.permutation(predicted)
    assert not certainty(head.primary(None), shuffled, head.guesses(200), values, None, 0).better_than_guessing
    assert "r2" not in head.measured(np.ones(3), np.ones(3), "rmse")


def test_an_interval_covers_what_it_should() -> None:
    """Of accuracies that are known to be 0.8: 95 of 100 intervals, give or take what chance does."""
    right = Metric("accuracy", True, lambda told, truths: float(np.mean(told == truths)))
    random, hits = np.random.default_rng(5), 0
    truths = np.zeros(150, np.int64)
    for seed in range(100):
        told = (random.random(150) > 0.8).astype(np.int64)
        found = certainty(right, told, truths, truths, None, seed)
        hits += found.low <= 0.8 <= found.high
    assert hits >= 88


@pytest.mark.parametrize("several", [False, True])
def test_one_more_row_that_is_right_makes_a_share_of_rows_no_less_sure(several: bool) -> None:
    """Of a bootstrap, 43 of 44 had an interval from 0.932 to 1, and 44 of 44 one from 0.920."""
    truths = np.array([0] * 22 + [1] * 22)
    truth = np.eye(2, dtype=np.int8)[truths] if several else truths
    head = MultiLabel.of(truth) if several else Classification.of(truths, 2)
    metric = head.metric("subset_accuracy" if several else "accuracy")
    lows = []
    for wrong in range(8, -1, -1):
        told = np.eye(2)[np.where(np.arange(44) < wrong, 1, truths)]
        found = certainty(metric, told, head.guesses(44), truth, truths, 0)
        lows.append(found.low)
        assert (found.high < 1) == (wrong > 0)
        assert found.better_than_guessing
    assert lows == sorted(lows)


@pytest.mark.parametrize(("wrong", "value", "low", "high"), [(0, 1.0, 0.8957, 1.0), (11, 22 / 33, 0.4961, 0.8025)])
def test_a_share_of_rows_has_an_interval_where_every_draw_is_the_same(
    wrong: int, value: float, low: float, high: float
) -> None:
    """All rows right, or a whole class wrong: 33 rows never tell that all others are so too."""
    truths = np.array([0] * 22 + [1] * 11)
    told = np.eye(2)[np.where(np.arange(33) >= 33 - wrong, 0, truths)]
    head = Classification.of(truths, 2)
    found = certainty(head.metric("accuracy"), told, head.guesses(33), truths, truths, 0)
    assert (found.value, found.low, found.high) == pytest.approx((value, low, high), abs=1e-4)
    found = certainty(head.metric("balanced_accuracy"), told, head.guesses(33), truths, truths, 0)
    assert found.low == found.value == found.high, "which says that there is none"


def test_an_interval_of_draws_that_differ_is_the_bootstrap_s() -> None:
    truths = np.array([0] * 22 + [1] * 11)
    told = np.eye(2)[np.where(np.arange(33) == 3, 1, truths)]
    head = Classification.of(truths, 2)
    found = certainty(head.metric("balanced_accuracy"), told, head.guesses(33), truths, truths, 0)
    assert (found.low, found.high) == pytest.approx((1 - 3 / 44, 1.0))


def test_a_share_whose_interval_has_guessing_in_it_is_not_better() -> None:
    """All of 44 rows right, 42 of them of one class: that the rest of the world is so too, they don't tell."""
    truths = rare(44, 2)
    better, value, guessing = judged(np.eye(2)[truths], truths, "accuracy")
    assert (better, value, guessing) == (False, 1.0, 42 / 44)
    assert judged(np.eye(2)[truths], truths, "auroc")[0]
