"""The reports: over verified TLS, with the token of the moment, the last one until it has arrived."""

from __future__ import annotations

import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from endpoint import Endpoint, endpoint
from jobs import training_job

from tradewind.api.report import JobDocument, Report
from tradewind_workload.io.fault import Superseded
from tradewind_workload.io.reporter import Refused, Reporter

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 60.0  # seconds; machines that run tests can be slow
LAST = {"failure": {"reason": "InvalidData", "message": "a column is missing"}}


def percent(done: int) -> dict[str, Any]:
    return {"trainerStatus": {"progressPercentage": done}}


def reporter(operator: Endpoint, **settings: object) -> Reporter:
    job = JobDocument.model_validate(training_job({}, url=operator.url, attempt=3))
    return Reporter(job, mount=operator.mount, **settings)  # type: ignore[arg-type]


def test_last_report_is_tried_again_with_the_token_of_the_moment(operator: Endpoint) -> None:
    operator.answers = [(503, {"Retry-After": "1"}), (401, {}), (200, {})]
    operator.before_answer = lambda: (operator.mount / "token").write_text("second-token")
    reporter(operator).final(LAST)
    assert len(operator.reports) == 3
    assert operator.tokens[0] == "Bearer first-token"
    assert operator.tokens[1:] == ["Bearer second-token"] * 2
    assert operator.reports[-1] == {"run": "attempt-3", **LAST}
    assert Report.model_validate(operator.reports[-1]).final


@pytest.mark.parametrize("code", [404, 409])
def test_an_operator_that_has_moved_on_ends_it(operator: Endpoint, code: int) -> None:
    operator.answers = [(code, {})]
    with pytest.raises(Superseded, match="said by the operator"):
        reporter(operator).final(LAST)
    gone = threading.Event()
    speaking = reporter(operator, on_superseded=gone.set)
    speaking.progress(percent(1))
    assert gone.wait(PATIENCE)


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_report_that_is_refused_is_not_sent_again(operator: Endpoint, code: int) -> None:
    operator.answers = [(code, {})]
    with pytest.raises(Refused, match=f"{code} said by the operator"):
        reporter(operator).final(LAST)
    assert len(operator.reports) == 1


def test_it_gives_up_in_time(operator: Endpoint) -> None:
    operator.answers = [(503, {})]
    with pytest.raises(TimeoutError):
        reporter(operator, patience=2).final(LAST)


def test_a_server_of_another_authority_gets_no_token(tmp_path: Path, operator: Endpoint) -> None:
    with endpoint(tmp_path / "other") as impostor:
        job = JobDocument.model_validate(training_job({}, url=impostor.url))
        with pytest.raises(TimeoutError, match="certificate"):
            Reporter(job, mount=operator.mount, patience=0.5).final(LAST)
        assert not impostor.reports


def test_a_redirect_is_not_followed(tmp_path: Path, operator: Endpoint) -> None:
    with endpoint(tmp_path / "other") as other:
        operator.answers = [(307, {"Location": other.url})]
        with pytest.raises(TimeoutError):
            reporter(operator, patience=0.5).final(LAST)
        assert not other.reports


def test_progress_is_throttled_and_the_newest_wins(operator: Endpoint) -> None:
    speaking = reporter(operator, interval=0.5)
    began = time.monotonic()
    speaking.progress(percent(0))
    while not operator.reports:
        assert time.monotonic() < began + PATIENCE, "the first report does not arrive"
        time.sleep(0.01)
    for done in range(1, 100):
        speaking.progress(percent(done))
        time.sleep(0.01)
    speaking.close()
    took = time.monotonic() - began
    told = [report["trainerStatus"]["progressPercentage"] for report in operator.reports]
    assert told == sorted(told)
    assert told[-1] == 99
    assert 2 <= len(told) <= took / 0.5 + 2
    # What is left at the end is sent at once.
    assert all(later - earlier >= 0.5 for earlier, later in pairwise(operator.times[:-1]))


def test_progress_never_waits_for_an_operator_that_does_not_answer(operator: Endpoint) -> None:
    go = threading.Event()
    operator.before_answer = lambda: go.wait(PATIENCE)
    speaking = reporter(operator)
    try:
        for done in range(100):
            speaking.progress(percent(done))
            # The first is on its way without an answer; were it waited for, there would be a second.
            assert len(operator.reports) <= 1
    finally:
        go.set()
    speaking.close()


def test_progress_never_fails_for_an_operator_that_is_gone(tmp_path: Path) -> None:
    with endpoint(tmp_path / "mount") as operator:
        speaking = reporter(operator)
    for done in range(100):
        speaking.progress(percent(done))
    speaking.close()
