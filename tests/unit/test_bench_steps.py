"""The benchmark of training steps: groups take their turns, and a row says whether what must be reached is."""

from __future__ import annotations

import threading
from pathlib import Path

from e2e.bench.training.gate import Gate, Gates, Took, Turn
from e2e.bench.training.steps import row


def test_a_turn_is_over_when_the_last_process_is(tmp_path: Path) -> None:
    gates = Gates(tmp_path / "gate")
    first, log = threading.Event(), []

    def process(system: str, rank: int) -> None:
        gate = Gate(str(tmp_path / "gate"), system, rank)
        while (turn := gate.next()) is not None:
            if (system, rank) == ("ours", 1):
                first.wait()
            log.append((system, rank, turn))
            first.set()
            gate.done()

    threads = [
        threading.Thread(target=process, args=(system, rank)) for system in ("ours", "theirs") for rank in (0, 1)
    ]
    for thread in threads:
        thread.start()
    gates.admit(4)
    took = gates.take("ours", Turn(20, checkpoint=True))
    assert took.seconds > 0
    assert sorted(log) == [("ours", rank, Turn(20, checkpoint=True)) for rank in (0, 1)]
    gates.take("theirs", Turn(3))
    assert sorted(log[2:]) == [("theirs", rank, Turn(3)) for rank in (0, 1)]
    gates.close()
    for thread in threads:
        thread.join()


def test_a_row_is_missed_where_the_whole_interval_lies_above_it() -> None:
    def starts(*ratios: list[float]) -> list[list[dict[str, Took]]]:
        return [[{"ours": Took(ratio, 2 * ratio), "theirs": Took(1.0, 1.0)} for ratio in one] for one in ratios]

    found = row("mlp", "ours / theirs", starts([1.1] * 9), "ours", "theirs", 1.025)
    assert (found["ratio"], found["cpu_ratio"], found["met"]) == ((1.1, 1.1, 1.1), (2.2, 2.2, 2.2), False)
    assert row("mlp", "ours / theirs", starts([1.0, 1.1] * 9), "ours", "theirs", 1.025)["met"]
    assert row("mlp", "ours / theirs", starts([1.0] * 9), "ours", "theirs", 1.025)["reference_ms"] == 1000 / 20
    processes = starts([1.1] * 9, [1.1] * 9, [0.9] * 9)
    (middle, low, high) = row("mlp", "ours / theirs", processes, "ours", "theirs", 1.025)["ratio"]
    assert (middle, low, high) == (1.1, 0.9, 1.1), "processes differ, however alike their rounds are"
