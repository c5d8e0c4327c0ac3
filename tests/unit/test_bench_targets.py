"""What the benchmark of the control plane calls met and missed."""

from __future__ import annotations

from typing import Any

from e2e.bench.controlplane.targets import Row, rows, table


def _turn(system: str, number: int, seconds: float) -> dict[str, Any]:
    return {
        "system": system,
        "round": number,
        "objects": 40,
        "latencies": {"0.5": seconds, "0.99": 2 * seconds},
        "wall": 10 * seconds,
        "cpu": seconds,
    }


def _found(measured: dict[str, Any], name: str, unit: str = "") -> Row:
    [row] = [row for row in rows(measured) if row.name == name and unit in ("", row.unit)]
    return row


def _lives(writes: int) -> dict[str, Any]:
    life = {"writes": writes, "events": 2, "reapplied": 0, "progress": 1}
    kinds = dict.fromkeys(("TrainingJob", "CompressionJob", "ModelDeployment"), life)
    return {"lives": kinds | {"reads": {"count": 1, "of": ["get pods"]}}}


def test_a_count_over_its_must_is_missed() -> None:
    assert _found(_lives(5), "TrainingJob: writes in its life").met
    assert not _found(_lives(6), "TrainingJob: writes in its life").met
    assert _found(_lives(8), "ModelDeployment: writes in its life").met
    assert not _found(_lives(9), "ModelDeployment: writes in its life").met
    reads = _found(_lives(5), "GET and LIST after start")
    assert not reads.met
    assert "MISSED" in table([reads]) and "get pods" in table([reads])


def test_rounds_are_compared_with_the_same_round_of_the_other() -> None:
    others = ("kuberay", "trainer*", "trainer")
    turns = [
        *(_turn(system, number, 0.1 * (number + 1)) for system in ("kuberay*", *others) for number in range(3)),
        *(_turn("tradewind", number, 0.2 * (number + 1)) for number in range(3)),
    ]
    row = _found({"rate": turns}, "apply to child, 10/s, p50", "of kuberay*")
    assert (round(row.value, 6), row.must, row.met) == (2.0, 0.7, False)
    # Trainer makes one child, where ours makes two and a status.
    assert _found({"rate": turns}, "apply to child, 10/s, p50", "of trainer*").met
    ours = [turn | {"latencies": {"0.5": 2.0, "0.99": 2.0}} for turn in turns[-3:]]
    assert not _found({"rate": turns[:-3] + ours}, "apply to child, 10/s, p50", "of trainer*").met


def test_what_ran_once_stands_beside_every_round() -> None:
    once = [_turn(system, 0, 0.4) for system in ("kuberay*", "kuberay", "trainer*", "trainer")]
    turns = [*once, *(_turn("tradewind", number, 0.2) for number in range(3))]
    assert round(_found({"burst": turns}, "40 at once: until all children", "of kuberay").value, 6) == 0.5


def test_memory_is_counted_a_thousand_settled() -> None:
    idle = {"requests": 4, "seconds": 40.0, "of": {"patch leases": 4}, "memory": 80.0}
    systems = dict.fromkeys(("tradewind", "kuberay", "trainer"), idle)
    settled = {
        "growth": [{"system": "tradewind", "n": n, "memory": 80.0 + n / 100} for n in (0, 1000, 2000, 3000)]
        + [{"system": "tradewind", "n": 10_000, "memory": 110.0, "restarted": True}],
        "idle at 0": systems,
        "idle at all": systems,
        "restart": [
            {"raw": 2.0, "ready": 5.0, "writes": 0, "written": [], "memory": 110.0, "held": {"a restart": 60.0}}
        ]
        * 2,
        "restart of others": {"kuberay": {"ready": 2.5}},
    }
    again = _found({"settled": settled}, "memory per 1,000 settled, restarted")
    lived = _found({"settled": settled}, "... without a restart")
    assert (round(again.value, 6), again.met) == (3.0, True)
    assert (round(lived.value, 6), lived.met) == (10.0, False)
    assert _found({"settled": settled}, "restart, 10,000 settled: ready", "of raw LIST").value == 2.5
    beside = _found({"settled": settled}, "restart, 10,000 settled: ready", "of kuberay")
    assert (beside.value, beside.must, beside.met) == (2.0, 2.5, True)
    assert _found({"settled": settled}, "idle requests, 10,000 settled").value == 0.1
    assert not _found({"settled": settled}, "event loop held at most, a restart").met
