"""The measurements are honest: memory of the model's own process, intervals that cover, verdicts by the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from tradewind.api.compressionjob import Goals, Measure
from tradewind.api.trainingjob import Architecture
from tradewind_workload.compress.rows import cost_per_million
from tradewind_workload.heads.answer import Classes
from tradewind_workload.heads.classification import Classification
from tradewind_workload.heads.paired import Loss
from tradewind_workload.heads.regression import Regression
from tradewind_workload.io.fault import Fault
from tradewind_workload.measure import measurement
from tradewind_workload.measure.bench import interleaved
from tradewind_workload.measure.figures import Alone, Figures
from tradewind_workload.measure.measurement import Unmeasured, measure, save, speedup, turns
from tradewind_workload.measure.verdict import Measured, Quality, frontier, judge, judge_baseline, measured_metric
from tradewind_workload.tasks.matrix.graph import to_onnx
from tradewind_workload.tasks.matrix.network import Classifier, build_network

if TYPE_CHECKING:
    from pathlib import Path


def figures(
    speed: float = 1.0, low: float | None = None, high: float | None = None, p50: float = 1.0, p95: float = 2.0
) -> Figures:
    return Figures(
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=3.0,
        throughput=1000.0,
        peak_memory=10**7,
        speedup=speed,
        low=speed * 0.98 if low is None else low,
        high=speed * 1.02 if high is None else high,
    )


def quality(
    value: float,
    baseline: float = 0.9,
    spread: float = 0.0,
    least: float = 0.0,
    part: str = "Validation",
    sign: int = 1,
) -> Quality:
    """With an interval that reaches so far on both sides."""
    loss = round(sign * (baseline - value), 9)
    return Quality(part, 500, value, baseline, Loss(loss, loss - spread, loss + spread, 7, 2), least)


def measured(
    accuracy: float = 0.9, size: int = 1000, found: Figures | None = None, spread: float = 0.0, least: float = 0.0
) -> Measured:
    judged = quality(accuracy, spread=spread, least=least)
    return Measured(judged, judged, size, found or figures())


def in_units(value: float, size: int = 1000, spread: float = 0.0) -> Measured:
    """An rmse beside one of 200."""
    judged = quality(value, 200.0, spread, sign=-1)
    return Measured(judged, judged, size, figures(2.0))


BASELINE = measured()
ACCURACY = Classification.of(np.array([0, 1]), 2).metric("accuracy")
RMSE = Regression(0.0).metric("rmse")


@pytest.mark.parametrize(
    ("variant", "verdict"),
    [
        (measured(size=500, found=figures(2.0)), "Accepted"),
        (measured(size=2000, found=figures(2.0)), "Accepted"),  # larger but faster
        (measured(size=500, found=figures(1.0)), "Accepted"),  # smaller, and as fast
        (measured(size=500, found=figures(0.9)), "NotFaster"),  # smaller, but slower
        (measured(size=500, found=figures(0.955, 0.6, 1.4)), "NotFaster"),  # as fast, or a lot slower
        (measured(size=500, found=figures(0.99, 0.949, 1.04)), "NotFaster"),
        (measured(size=500, found=figures(0.97, 0.95, 1.0)), "Accepted"),
        (measured(size=1000, found=figures(1.01)), "NotFaster"),  # neither
        (measured(0.8899, 500, figures(2.0)), "Regression"),
        (measured(0.89, 500, figures(2.0)), "Accepted"),  # exactly what may be lost
        (measured(0.95, 500, figures(2.0)), "Accepted"),
        (measured(0.895, 500, figures(2.0), spread=0.005), "Accepted"),  # all of the interval
        (measured(0.895, 500, figures(2.0), spread=0.006), "Inconclusive"),
        (measured(0.9, 500, figures(2.0), spread=0.03), "Inconclusive"),
        (measured(0.9, 500, figures(2.0), spread=0.03, least=0.03), "Accepted"),  # none could show less
        (measured(0.899, 500, figures(2.0), spread=0.03, least=0.03), "Inconclusive"),
        (measured(0.8899, 500, figures(2.0), spread=0.03, least=0.05), "Regression"),  # a point is never beyond it
        (measured(0.9, 500, figures(0.9), spread=0.03), "NotFaster"),  # what is surely of no use comes first
    ],
)
def test_verdicts(variant: Measured, verdict: str) -> None:
    found, reason = judge(variant, BASELINE, Goals(), ACCURACY)
    assert found == verdict, reason


def test_goals_of_latency_and_size() -> None:
    goals = Goals.read({"maxLatency": {"milliseconds": "1.5"}, "maxSizeBytes": 900})
    assert judge(measured(size=500, found=figures(2.0)), BASELINE, goals, ACCURACY) == (
        "Infeasible",
        "p95 latency is 2.000 ms; goals.maxLatency is 1.5 ms",
    )
    assert judge(measured(size=950, found=figures(2.0, p95=1.0)), BASELINE, goals, ACCURACY)[0] == "Infeasible"
    assert judge(measured(size=500, found=figures(2.0, p95=1.0)), BASELINE, goals, ACCURACY)[0] == "Accepted"
    assert judge_baseline(BASELINE, goals)[0] == "Infeasible"
    assert judge_baseline(BASELINE, Goals())[0] == "Accepted"
    goals = Goals.read({"maxLatency": {"percentile": 99, "milliseconds": "2.5"}})
    assert judge_baseline(BASELINE, goals) == ("Infeasible", "p99 latency is 3.000 ms; goals.maxLatency is 2.5 ms")


def test_sentences_speak_in_the_scale_of_the_metric() -> None:
    assert judge(measured(0.8875, 500, figures(2.0)), BASELINE, Goals(), ACCURACY) == (
        "Regression",
        "loses 0.0125 of accuracy (0.8875 after 0.9000 on 500 validation rows); goals.maxQualityLoss is 0.01",
    )
    goals = Goals.read({"maxQualityLoss": {"value": "0.02"}})
    fast = "2.00x the baseline's speed (1.96 to 2.04), 0.50x its size, accuracy"
    verdict, reason = judge(measured(0.8899, 500, figures(2.0), spread=0.005), BASELINE, goals, ACCURACY)
    lost = "a loss of 0.0101 (95 % interval 0.0051 to 0.0151)"
    assert (verdict, reason) == ("Accepted", f"{fast} 0.8899 after 0.9000 on 500 validation rows, {lost}")
    verdict, reason = judge(measured(0.9, 500, figures(2.0), spread=0.03, least=0.03), BASELINE, goals, ACCURACY)
    lost = "a loss of 0.0000 (95 % interval -0.0300 to 0.0300)"
    few = "even where no row differs, so few rows don't show a loss to be below 0.0300"
    assert (verdict, reason) == ("Accepted", f"{fast} 0.9000 after 0.9000 on 500 validation rows, {lost}; {few}")


def test_what_is_not_shown_says_what_is_known_and_what_to_do() -> None:
    unsure = measured(0.895, 500, figures(2.0), spread=0.01234)
    verdict, reason = judge(unsure, BASELINE, Goals(), ACCURACY)
    assert verdict == "Inconclusive"
    assert reason == (
        "may be worse by 0.0173 in accuracy, and goals.maxQualityLoss is 0.01: it is 0.8950 after 0.9000 on 500 "
        "validation rows, a loss of 0.0050 (95 % interval -0.0073 to 0.0173); of these rows 7 went from right to wrong "
        "and 2 from wrong to right; a job with more validation data that the model has not learnt from tells more "
        "exactly, and one with goals.maxQualityLoss.value 0.018 accepts it"
    )
    advised = Goals.read({"maxQualityLoss": {"value": "0.018"}})
    assert judge(unsure, BASELINE, advised, ACCURACY)[0] == "Accepted", "what is advised works"
    far = in_units(201.0, 500, spread=123.0)
    reason = judge(far, in_units(200.0), Goals(), RMSE)[1]
    assert "may be worse by 124 in rmse" in reason and "goals.maxQualityLoss.value 130 accepts it" in reason


@pytest.mark.parametrize("lost", [0.005, 0.0, -0.005])
def test_rows_of_one_group_show_no_loss_to_be_small(lost: float) -> None:
    """Nor that there is none."""
    judged = Quality("Validation", 500, 0.9 - lost, 0.9, Loss(lost, alone=True))
    verdict, reason = judge(Measured(judged, judged, 500, figures(2.0)), BASELINE, Goals(), ACCURACY)
    assert verdict == "Inconclusive"
    assert reason == (
        f"a loss of {lost:.4f} of accuracy ({0.9 - lost:.4f} after 0.9000 on 500 validation rows) is that of a single "
        "group of rows, or of a single row, which tells nothing of others; goals.maxQualityLoss is 0.01: give the job "
        "validation data of more groups, or of more rows"
    )


def test_rows_that_show_no_difference_whatever_part_is_taken_accept() -> None:
    judged = Quality("Validation", 500, 0.9, 0.9, Loss(0.0))
    verdict, reason = judge(Measured(judged, judged, 500, figures(2.0)), BASELINE, Goals(), ACCURACY)
    assert verdict == "Accepted" and reason.endswith("500 validation rows, of which no part tells the two apart")


def test_the_test_rows_refuse_what_they_show_beyond_chance() -> None:
    """And by themselves accept nothing."""
    judged, size = quality(0.9), 500
    shown = quality(0.86, spread=0.02, part="Test")
    verdict, reason = judge(Measured(judged, shown, size, figures(2.0)), BASELINE, Goals(), ACCURACY)
    assert verdict == "Regression"
    assert reason == (
        "loses 0.0400 of accuracy (0.8600 after 0.9000 on 500 test rows, a loss of 0.0400 (95 % interval 0.0200 to "
        "0.0600)), though the 500 validation rows do not show it; goals.maxQualityLoss is 0.01"
    )
    chance = Measured(judged, quality(0.86, spread=0.035, part="Test"), size, figures(2.0))
    assert judge(chance, BASELINE, Goals(), ACCURACY)[0] == "Accepted"
    better = Measured(quality(0.88), quality(0.9, part="Test"), size, figures(2.0))
    assert judge(better, BASELINE, Goals(), ACCURACY)[0] == "Regression"


def test_less_may_be_better_and_a_loss_has_the_unit_of_the_label() -> None:
    baseline = in_units(200.0)
    worse, better = in_units(203.0, 500), in_units(190.0, 500)
    part = "203 after 200 on 500 validation rows"
    most = "goals.maxQualityLoss is 1 % of the baseline's, 2, where none is given"
    assert judge(worse, baseline, Goals(), RMSE) == ("Regression", f"is worse in rmse by 3 ({part}); {most}")
    assert judge(better, baseline, Goals(), RMSE)[0] == "Accepted"
    verdict, reason = judge(worse, baseline, Goals.read({"maxQualityLoss": {"value": "3"}}), RMSE)
    assert verdict == "Accepted" and reason.endswith(f"its size, rmse {part}, a loss of 3 (95 % interval 3 to 3)")
    assert frontier([baseline, worse, better], RMSE) == [False, False, True]


def test_goal_on_a_metric_that_is_not_measured_is_refused() -> None:
    known = ("accuracy", "f1")
    assert measured_metric(Goals(), known) == "accuracy"
    assert measured_metric(Goals.read({"maxQualityLoss": {"metric": "f1", "value": "0.1"}}), known) == "f1"
    with pytest.raises(Fault, match=r"maxQualityLoss.metric is 'rmse', .* choose one of accuracy, f1, or") as caught:
        measured_metric(Goals.read({"maxQualityLoss": {"metric": "rmse"}}), known)
    assert caught.value.reason == "NotSupported"


def test_frontier() -> None:
    best = measured(0.9, 1000, figures(p50=1))
    small = measured(0.8, 100, figures(p50=2))
    beaten = measured(0.79, 100, figures(p50=2))
    assert frontier([best, small, beaten], ACCURACY) == [True, True, False]
    assert frontier([best, best], ACCURACY) == [True, True]


def test_cost_is_the_price_of_the_time_or_unknown() -> None:
    assert cost_per_million(figures(), "3.6") == "1"  # 1000 rows per second
    assert cost_per_million(figures(), None) == "Unknown"


def test_interval_covers_the_truth() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        baseline, variant = list[np.ndarray](), list[np.ndarray]()
        for _process in range(10):
            layout = random.normal(1, 0.02, 2)  # where each lies in memory
            drift = random.uniform(0.8, 1.25, (4, 1))  # of the machine, alike for both
            baseline.append(1e6 * layout[0] * drift * random.gamma(50, 1 / 50, (4, 5)))
            variant.append(0.5e6 * layout[1] * drift * random.gamma(50, 1 / 50, (4, 5)))
        value, low, high = speedup(baseline, variant)
        assert low <= value <= high
        covered += low <= 2.0 <= high
        assert speedup(variant, baseline) == pytest.approx((1 / value, 1 / high, 1 / low))
    assert covered >= 193


def model(path: Path, hidden: int) -> Path:
    torch.manual_seed(0)
    architecture = Architecture.model_validate({"architecture": "mlp", "hiddenUnits": [hidden, hidden]})
    path.write_bytes(
        to_onnx(
            Classifier(torch.nn.Sequential(), build_network(architecture, 64, None, 4), None).eval(),
            (64,),
            Classes(tuple("abcd")),
        )
    )
    return path


def test_measured_beside_the_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurement, "PROCESSES", (10, 10))  # not more of them until the interval is narrow
    rows = np.random.default_rng(0).normal(size=(50, 64)).astype(np.float32)
    large, small = model(tmp_path / "large.onnx", 1500), model(tmp_path / "small.onnx", 150)
    steps: list[int] = []
    settings = Measure(repeats=60, batch_sizes=(1, 8))
    found = measure([large, small, large], {"inputs": rows}, settings, lambda: steps.append(1))
    assert len(found) == len(steps) == 3
    baseline, faster, same = (one for one in found if isinstance(one, Alone))
    assert baseline.speedup == baseline.low == baseline.high == 1
    assert faster.low > 2
    # On a machine that others use the interval is wide; it must not lie beside the truth.
    assert same.low < 1.25 and same.high > 0.8
    assert faster.p50_ms < baseline.p50_ms <= baseline.p95_ms <= baseline.p99_ms
    assert faster.throughput > baseline.throughput
    weights = large.stat().st_size - small.stat().st_size
    assert baseline.peak_memory - faster.peak_memory > 0.8 * weights
    assert faster.peak_memory < 200 * 10**6  # of a process without torch or Ray


def test_a_model_that_cannot_be_measured_alone_leaves_the_others_theirs(tmp_path: Path) -> None:
    rows = {"inputs": np.random.default_rng(0).normal(size=(8, 64)).astype(np.float32)}
    good, broken = model(tmp_path / "good.onnx", 8), tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    steps: list[int] = []
    settings = Measure(repeats=10, warmup=1, batch_sizes=(1,))
    found = measure([good, broken, good], rows, settings, lambda: steps.append(1), fewer=1)
    assert [type(one) for one in found] == [Alone, Unmeasured, Alone]
    assert str(found[1]).startswith("the process that measured it ended with 1: ")
    assert len(steps) == 3
    found = measure([good, broken], rows, settings, fewer=1)
    assert [type(one) for one in found] == [Alone, Unmeasured]
    with pytest.raises(Unmeasured):
        measure([broken, good], rows, settings, fewer=1)


def test_copies_of_one_model_are_equal(tmp_path: Path) -> None:
    """Whatever else the machine does: it does it to all of them."""
    one = model(tmp_path / "one.onnx", 2000)  # too large to stay in a cache while the others run
    rows = {"inputs": np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)}
    save(tmp_path / "rows.npz", rows, 64)
    held = 0
    for trial in range(4):
        times = turns([one] * 6, tmp_path / "rows.npz", Measure(repeats=200), 1, seed=100 * trial)
        for pair in ((0, 1), (2, 3), (4, 5)):
            value, low, high = speedup(*([models[number] for models in times] for number in pair))
            assert 0.5 < value < 2
            held += low <= 1 <= high
    assert held >= 10, "12 intervals of 99 %"


@pytest.mark.parametrize(("repeats", "most"), [(70, 40), (790, 40)])
def test_no_fewer_requests_and_no_more_processes_than_are_said(
    repeats: int, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However wide the intervals stay."""
    asked: list[int] = []

    def bench(task: dict[str, Any]) -> Any:
        rounds = len(interleaved([str(one)], rows, 1, 1, 1, task["repeats"], 0)[0])
        asked.append(5 * rounds)
        ratio = 2.0 if task["seed"] % 2 else 0.5
        return [[[1000] * 5], [[round(1000 * ratio)] * 5]]

    one = model(tmp_path / "one.onnx", 4)
    rows = {"inputs": np.zeros((8, 64), np.float32)}
    monkeypatch.setattr(measurement, "_bench", bench)
    times = measurement._times([one, one], tmp_path, Measure(repeats=repeats, batch_sizes=(1,)), None)
    assert len(times[1]) == len(asked) == most
    assert sum(asked[: max(10, repeats // 20)]) >= repeats


def test_a_long_text_does_not_make_all_rows_long(tmp_path: Path) -> None:
    texts = np.array(["short"] * 1000 + ["x" * 1_000_000], object)[::-1]
    save(tmp_path / "rows.npz", {"text": texts}, 1024)
    assert (tmp_path / "rows.npz").stat().st_size < 1 << 27
