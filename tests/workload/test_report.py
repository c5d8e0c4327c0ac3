"""The report of a training: its numbers, which rows are the worst mistakes, and the page that shows them."""

from __future__ import annotations

import base64
import io
import json
import re
from itertools import count, pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from records import answered, record
from sklearn import metrics as reference

from tradewind_workload.heads.classification import Classification
from tradewind_workload.heads.regression import Regression
from tradewind_workload.report import drawing, intervals
from tradewind_workload.report.classes import calibration, classes_of, wilson
from tradewind_workload.report.mistakes import Shown, of_arrays, of_table, wrong_classes, wrong_values
from tradewind_workload.report.page import page
from tradewind_workload.report.quality import quality_of
from tradewind_workload.report.record import Picture, Record
from tradewind_workload.report.values import values_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tradewind_workload.report.record import Values

NAMES = ("accuracy", "balanced_accuracy", "f1", "auroc", "average_precision", "log_loss")
TWO = Classification(np.array([100, 900]))
FOUR = Classification(np.array([10, 10, 10, 10]))


@pytest.fixture(autouse=True)
def _fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "DRAWS", 60)


def drawn(groups: np.ndarray) -> np.ndarray:
    """The weights of all draws with the seed 7."""
    return np.concatenate(list(intervals.draws(groups, np.random.default_rng([7, 5]))))


@pytest.fixture(scope="module")
def shown() -> str:
    return page(record())


def expected(name: str, head: Classification, told: np.ndarray, truths: np.ndarray, weights: np.ndarray) -> float:
    """scikit-learn's number of a draw: a row counts as often as its weight says."""
    exact = told.astype(np.float64)
    exact /= exact.sum(1, keepdims=True)
    given = {"sample_weight": weights}
    about = np.unique(truths) if head.positive is None else [head.positive]
    numbers = {
        "accuracy": lambda: reference.accuracy_score(truths, told.argmax(1), **given),
        "balanced_accuracy": lambda: reference.balanced_accuracy_score(truths, told.argmax(1), **given),
        "f1": lambda: reference.f1_score(truths, told.argmax(1), labels=about, average="macro", **given),
        "auroc": lambda: np.mean([reference.roc_auc_score(truths == c, told[:, c], **given) for c in about]),
        "average_precision": lambda: np.mean(
            [reference.average_precision_score(truths == c, told[:, c], **given) for c in about]
        ),
        "log_loss": lambda: reference.log_loss(truths, exact, labels=range(told.shape[1]), **given),
    }
    return float(numbers[name]())


@pytest.mark.parametrize("head", [TWO, FOUR], ids=["two classes", "four classes"])
@pytest.mark.parametrize("name", NAMES)
def test_a_draw_has_the_number_of_scikit_learn(head: Classification, name: str) -> None:
    """With ties, which trees give: each end of an interval is a quantile of these numbers."""
    count = len(head.counts)
    truths = np.random.default_rng(3).integers(0, count, 120)
    told = answered(truths, count, 1.0).round(1) + np.float32(0.01)
    told /= told.sum(1, keepdims=True)
    found = intervals.of_classes(head, (name,), told, truths, seed=7)[name]
    weights = drawn(truths)
    numbers = [expected(name, head, told, truths, draw) for draw in weights]
    assert found == pytest.approx(tuple(np.quantile(numbers, [0.025, 0.975])), rel=1e-5)
    assert found[0] < found[1]


@pytest.mark.parametrize("name", ["rmse", "mae", "r2"])
def test_a_draw_of_numbers_has_the_number_of_scikit_learn(name: str) -> None:
    random = np.random.default_rng(4)
    truths = random.normal(5, 2, 150)
    told = truths + random.normal(0, 1, 150)
    measure = {
        "rmse": reference.root_mean_squared_error,
        "mae": reference.mean_absolute_error,
        "r2": reference.r2_score,
    }[name]
    weights = drawn(np.zeros(150, np.int64))
    numbers = [measure(truths, told, sample_weight=draw) for draw in weights]
    found = intervals.of_values((name,), told, truths, seed=7)[name]
    assert found == pytest.approx(tuple(np.quantile(numbers, [0.025, 0.975])), rel=1e-6)


def test_a_draw_keeps_the_rows_of_each_class() -> None:
    truths = np.array([0] * 97 + [1] * 3)
    weights = drawn(truths)
    assert (weights[:, truths == 1].sum(1) == 3).all() and (weights.sum(1) == 100).all()
    assert len(np.unique(weights, axis=0)) > 50


def test_a_large_part_is_drawn_a_few_weights_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    truths = np.random.default_rng(9).integers(0, 2, 400)
    told = answered(truths, 2, 1.0)
    whole = intervals.of_classes(TWO, NAMES, told, truths, seed=7)
    monkeypatch.setattr(intervals, "HELD", 1000)
    assert max(len(weights) for weights in intervals.draws(truths, np.random.default_rng(0))) == 2
    found = intervals.of_classes(TWO, NAMES, told, truths, seed=7)
    assert [found[name] for name in NAMES] == [pytest.approx(whole[name]) for name in NAMES]


def test_the_interval_has_the_value_and_guessing_stands_beside_it() -> None:
    truths = np.random.default_rng(5).integers(0, 2, 200)
    told = answered(truths, 2, 2.0)
    found = quality_of(TWO, "test", "auroc", told, truths, seed=0)
    assert found.metrics[0].name == "auroc"
    for metric in found.metrics:
        assert metric.low is not None and metric.high is not None and metric.low <= metric.value <= metric.high
    by_name = {metric.name: metric for metric in found.metrics}
    assert by_name["auroc"].guessing == 0.5
    assert by_name["accuracy"].value == pytest.approx((told.argmax(1) == truths).mean())
    assert not by_name["log_loss"].higher_is_better


def test_quality_of_numbers() -> None:
    truths = np.arange(100.0)
    found = quality_of(Regression.of(truths), "validation", "rmse", truths + 1, truths, seed=0)
    assert [(metric.name, metric.value) for metric in found.metrics[:2]] == [("rmse", 1.0), ("mae", 1.0)]
    assert found.metrics[0].guessing == pytest.approx(truths.std(), rel=1e-4)


def test_who_is_taken_for_whom() -> None:
    labels = ("a", "b", "c")
    truths = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    told = np.eye(3)[[0, 1, 1, 1, 1, 2, 0, 2]] * 0.8 + 0.1
    found = classes_of(Classification(np.array([3, 2, 3])), labels, told, truths)
    assert found.matrix == ((1, 2, 0), (0, 2, 0), (1, 0, 2))
    assert [(pair.truth, pair.answer, pair.rows) for pair in found.confused] == [("a", "b", 2), ("c", "a", 1)]
    assert [(one.label, one.rows, one.answered, one.right) for one in found.classes] == [
        ("a", 3, 2, 1),
        ("b", 2, 4, 2),
        ("c", 3, 2, 2),
    ]
    assert found.roc is None and found.positive is None


def test_of_many_classes_the_worst_are_named() -> None:
    count, truths = 500, np.arange(5000) % 500
    told = np.full((5000, count), 0.001, np.float32)
    told[np.arange(5000), np.where(truths == 77, 78, truths)] = 0.9
    found = classes_of(Classification.of(truths, count), tuple(map(str, range(count))), told, truths)
    assert found.matrix is None
    assert [(pair.truth, pair.answer, pair.rows) for pair in found.confused] == [("77", "78", 10)]
    assert len(found.classes) == 100 and found.classes_in_all == 500
    assert {"77", "78"} <= {one.label for one in found.classes}


def test_calibration_says_how_often_it_was_so() -> None:
    """The positive class is the first one; it happens half as often as the model says."""
    random = np.random.default_rng(6)
    said = random.random(20_000)
    truths = np.where(random.random(20_000) < said / 2, 0, 1)
    found = calibration(TWO, ("yes", "no"), np.stack([said, 1 - said], 1), truths)
    assert found.about == "yes"
    assert sum(part.rows for part in found.bins) == 20_000
    for part in found.bins:
        assert part.low < part.probability / 2 < part.high or abs(part.happened - part.probability / 2) < 0.03
    assert found.error == pytest.approx(0.25, abs=0.02)


def test_few_rows_make_few_bins() -> None:
    truths = np.array([0, 1] * 10)
    assert len(calibration(TWO, ("a", "b"), answered(truths, 2, 1.0), truths).bins) == 1
    assert wilson(1.0, 5)[1] == 1.0 and wilson(1.0, 5)[0] < 0.6


def test_curves_of_two_classes_are_bounded() -> None:
    truths = np.random.default_rng(7).integers(0, 2, 30_000)
    found = classes_of(TWO, ("yes", "no"), answered(truths, 2, 1.0), truths)
    assert found.roc is not None and found.precision_recall is not None
    assert (found.roc.x[0], found.roc.y[0], found.roc.x[-1], found.roc.y[-1]) == (0, 0, 1, 1)
    assert len(found.roc.x) <= 500 and list(found.roc.x) == sorted(found.roc.x)
    assert (found.precision_recall.x[0], found.precision_recall.x[-1]) == (0, 1)


def show(numbers: np.ndarray) -> Shown:
    return Shown(tuple({"n": int(number)} for number in numbers), tuple(f"row {number + 1}" for number in numbers))


def test_the_worst_mistakes_are_wrong_and_sure() -> None:
    truths = np.array([0, 0, 1, 1, 0])
    told = np.array([[0.9, 0.1], [0.2, 0.8], [0.95, 0.05], [0.4, 0.6], [0.51, 0.49]])
    found = wrong_classes(show, ("no", "yes"), told, truths, 10)
    assert [(one.place, one.truth, one.answer, one.probability, one.probability_of_truth) for one in found] == [
        ("row 3", "yes", "no", 0.95, 0.05),
        ("row 2", "no", "yes", 0.8, 0.2),
    ]
    assert found[0].row == {"n": 2}
    assert wrong_classes(show, ("no", "yes"), told, truths, 1) == found[:1]


def test_rows_of_long_texts_are_as_many_as_there_is_room_for() -> None:
    truths = np.zeros(50, np.int64)
    told = np.tile([0.1, 0.9], (50, 1))

    def long(numbers: np.ndarray) -> Shown:
        return Shown(tuple({f"{i}": "é" * 400 for i in range(40)} for _ in numbers), ("row 1",) * len(numbers))

    found = wrong_classes(long, ("no", "yes"), told, truths, 50)
    assert 5 < len(found) < 50
    assert len(record(mistakes=found).file()) < 1_000_000


def test_the_worst_values_are_furthest_off() -> None:
    found = wrong_values(show, np.array([1.0, 5.0, 2.0]), np.array([1.0, 2.0, 3.5]), 10)
    assert [(one.place, one.truth, one.answer) for one in found] == [("row 2", 2.0, 5.0), ("row 3", 3.5, 2.0)]


def test_rows_show_what_the_data_has() -> None:
    out = io.BytesIO()
    Image.new("RGB", (400, 200), "red").save(out, "JPEG")
    table = pa.table(
        {
            "age": pa.array([39.0, None]),
            "town": ["Zürich", None],
            "since": pa.array([1_700_000_000_000_000, None], pa.timestamp("us")),
            "text": ["x" * 5000, ""],
            "photo": pa.array([out.getvalue(), b"GIF89a"], pa.binary()),
            **{f"c{i}": [i, i] for i in range(100)},
        }
    )
    first, second = of_table(table, ("row 1", "row 2")).rows
    assert (first["age"], first["town"], first["since"]) == (39.0, "Zürich", "2023-11-14T22:13:20")
    assert isinstance(first["text"], str) and len(first["text"]) == 400
    assert isinstance(first["photo"], Picture)
    with Image.open(io.BytesIO(base64.b64decode(first["photo"].png))) as picture:
        assert picture.size == (96, 48) == (first["photo"].width, first["photo"].height)
    assert (second["age"], second["town"], second["since"]) == (None, None, None)
    assert second["photo"] == "6 bytes that are no picture"
    assert len(first) == 40 and of_table(table, ("", "")).more_columns == 65


def test_columns_whose_long_names_start_alike_are_all_shown() -> None:
    names = [f"{'How much do you agree with this: ' * 5}{i}" for i in range(3)]
    (row,) = of_table(pa.table({name: [i] for i, name in enumerate(names)}), ("row 1",)).rows
    assert list(row.values()) == [0, 1, 2]
    assert all(len(name) <= 120 for name in row)
    (row,) = of_arrays(np.array([[0.0, 1.0, 2.0]], np.float32), ("row 1",), tuple(names), None).rows
    assert list(row.values()) == [0, 1, 2]


def test_rows_of_arrays_are_pictures_or_numbers() -> None:
    pixels = np.zeros((2, 8, 8), np.float32)
    pixels[0, 2, 3] = 16
    found = of_arrays(pixels, ("row 1", "row 2"), (), (8, 8, 1)).rows[0]["image"]
    assert isinstance(found, Picture)
    with Image.open(io.BytesIO(base64.b64decode(found.png))) as picture:
        assert np.asarray(picture)[2, 3] == 255 and np.asarray(picture).sum() == 255
    named = of_arrays(np.array([[1.5, np.nan]], np.float32), ("row 1",), ("age", "debt"), None)
    assert named.rows == ({"age": 1.5, "debt": None},)


def test_the_page_needs_nothing_from_elsewhere(shown: str) -> None:
    assert not re.search(r"(src|href)=\"(?!data:|#)", shown)
    assert "<script" not in shown and "@import" not in shown and "url(http" not in shown
    assert "prefers-color-scheme:dark" in shown and "@media print" in shown
    assert not re.search(r"#0[1-6]0[1-6]0[1-6]", shown), "a colour that does not follow the page's style"


@pytest.mark.filterwarnings("error")
def test_a_slow_machine_puts_no_warning_into_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the search for a place takes over a second, matplotlib would advise on its own arguments."""
    hours = count(step=3600)
    monkeypatch.setattr("matplotlib.legend.time.perf_counter", lambda: next(hours))
    assert "validation rows" in page(record())
    assert next(hours) > 3600, "it did not look at the clock"


def test_names_of_the_data_are_no_html() -> None:
    shown = page(record(labels=("<script>alert(1)</script>", "good & 'bad'")))
    assert "<script" not in shown and "column <0>" not in shown and "<m²>" not in shown
    assert "&lt;script&gt;" in shown and "Größe &lt;m²&gt;" in shown


def test_the_page_says_what_counts(shown: str) -> None:
    found = record()
    primary = found.quality[0].metrics[0]
    assert f"has accuracy {primary.value:.4f}" in shown and "always answering" in shown
    assert "kept: epoch 2" in shown
    assert "missing" in shown and found.mistakes[0].place in shown
    assert "a bootstrap over the rows, in which each class keeps its number of rows." in shown
    assert 'class="warning"' not in shown
    warned = page(record(better_than_guessing=False))
    assert "not better than that beyond chance" in warned
    assert "see the condition BetterThanGuessing of" in warned


def test_a_class_of_which_no_row_is_found_is_named() -> None:
    """A good average precision stands beside it: who reads that alone thinks that the rare class is found."""
    truths = np.array([0] * 30 + [1] * 5)
    told = np.where(truths[:, None] == 0, [0.9, 0.1], [0.6, 0.4])
    told[0] = 0.1, 0.9
    found = classes_of(Classification.of(truths, 2), ("stays", "<goes>"), told, truths)
    shown = page(record(labels=("stays", "<goes>"), classes=found))
    assert "No row of &#x27;&lt;goes&gt;&#x27; was answered so." in shown and "classWeights: Balanced" in shown
    recipe = {"task": "tabular-classification", "model": {"architecture": "mlp"}, "classWeights": "Balanced"}
    shown = page(record(labels=("stays", "<goes>"), classes=found, recipe=recipe))
    assert "was answered so" in shown and "classWeights: Balanced" not in shown
    assert "was answered so" not in page(record())
    few = classes_of(Classification.of(truths[:-1], 2), ("stays", "<goes>"), told[:-1], truths[:-1])
    assert "was answered so" not in page(record(labels=("stays", "<goes>"), classes=few)), "4 rows say little"


@pytest.mark.parametrize(
    ("primary", "said"),
    [
        ("accuracy", "has accuracy 1 (95 % interval 0.8957 to 1)"),
        ("f1", "has f1 1 (no 95 % interval: each resample of these rows gives the same value"),
    ],
)
def test_no_interval_is_from_1_to_1(primary: str, said: str) -> None:
    truths = np.array([0] * 22 + [1] * 11)
    found = quality_of(Classification.of(truths, 2), "test", primary, np.eye(2)[truths] * 0.8 + 0.1, truths, seed=0)
    shown = page(record(quality=(found,), primary_metric=primary))
    assert said in shown and "1 to 1" not in shown


def test_rows_can_be_kept_out_of_it() -> None:
    shown = page(record(mistakes=(), mistakes_asked=0))
    assert "spec.report.mistakes is 0" in shown and "Größe" not in shown


def test_numbers_are_drawn_too() -> None:
    random = np.random.default_rng(8)
    truths = random.normal(100, 20, 3000)
    told = truths + random.normal(0, 5, 3000)
    head = Regression.of(truths)
    shown = page(
        record(
            classes=None,
            commonest=None,
            primary_metric="rmse",
            quality=(quality_of(head, "test", "rmse", told, truths, 0),),
            values=values_of(told, truths, 0),
            mistakes=wrong_values(show, told, truths, 3),
        )
    )
    assert "answer less true value" in shown and "400 of the rows are drawn" in shown
    assert "the mean of the training rows" in shown
    assert "a bootstrap over the rows." in shown, "a regression has no classes"


@pytest.mark.parametrize("scale", [1e-3, 1, 1e3, 1e5, 1e6])
@pytest.mark.parametrize("draw", [drawing.scatter, drawing.residuals])
def test_numbers_below_an_axis_do_not_touch(draw: Callable[[Values], str], scale: float) -> None:
    random = np.random.default_rng(8)
    truths = random.lognormal(1, 0.4, 180) * scale
    told = truths + random.standard_t(4, 180) * scale / 4
    drawn = draw(values_of(told, truths, 0))
    below = r'<text style="[^"]*text-anchor: middle[^"]*" x="([\d.]+)" [^>]*>(\W?[\d.]+)</text>'
    ticks = [(float(x), text) for x, text in re.findall(below, drawn)]
    assert len(ticks) >= 2
    wide = 9 * 0.6  # a digit, in points
    for (x, text), (after, following) in pairwise(ticks):
        assert after - x > wide * (len(text) + len(following)) / 2, (text, following)


def test_a_report_is_bounded_and_read_by_others() -> None:
    labels = tuple(f"class {i}" for i in range(300))
    found = record(labels=labels, rows=3000, columns=200)
    written = found.file()
    assert len(written) < 1_000_000 and len(page(found)) < 3_000_000
    content = json.loads(written) | {"fieldOfANewerVersion": 1}
    assert Record.read(content) == found
    assert content["formatVersion"] == 1 and content["primaryMetric"] == "accuracy"
