"""The pod that reports is one that KubeRay made for the run's RayJob."""

from __future__ import annotations

import pytest

from tradewind.runtime.sender import is_of_run


@pytest.mark.parametrize(
    ("cluster", "known", "right"),
    [
        ("digits-train-1-x7k2p", "digits-train-1-x7k2p", True),
        ("digits-train-1-x7k2p", "digits-train-1-other", False),  # of the RayJob before, which was deleted by hand
        ("digits-train-1-x7k2p", "", True),  # the watch does not show the RayJob's status yet
        ("digits-train-1-x7k2p", None, True),  # the RayJob is gone, and its pods still end
        ("digits-train-2-x7k2p", None, False),
        ("digits-train-1-1-x7k2p", None, False),  # of the RayJob digits-train-1-1
        ("digits-train-1", None, False),
        ("", None, False),
        ("", "", False),
    ],
)
def test_the_sender_is_the_runs(cluster: str, known: str | None, right: bool) -> None:
    assert is_of_run(cluster, "digits-train-1", known) is right
