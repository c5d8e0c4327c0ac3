"""Reports wait for the status that has them."""

from __future__ import annotations

import asyncio

import pytest

from tradewind.api.report import Report
from tradewind.runtime import reports as module
from tradewind.runtime.reports import BURST, Rate, Reports, Superseded, Vanished, merged
from tradewind.runtime.store import Key

pytestmark = pytest.mark.asyncio
KEY = Key("TrainingJob", "digits", "digits")


RUN, UID = "attempt-1", "uid-1"


def _progress(percent: int) -> Report:
    return Report.model_validate({"trainerStatus": {"progressPercentage": percent}})


def _failure() -> Report:
    return Report.model_validate({"failure": {"reason": "InvalidData", "message": "no rows"}})


async def test_who_reports_waits_until_it_is_written() -> None:
    touched: list[Key] = []
    reports = Reports(touched.append)
    first = asyncio.create_task(reports.deliver(KEY, UID, RUN, _progress(10), 600))
    await asyncio.sleep(0)
    waiting, serial = reports.pending(KEY, UID)
    assert touched == [KEY] and waiting == {RUN: _progress(10)}
    second = asyncio.create_task(reports.deliver(KEY, UID, RUN, _progress(20), 600))
    await asyncio.sleep(0)
    reports.heard(KEY, {RUN}, serial)
    await first
    assert not second.done(), "the status that was written does not have the second"
    waiting, serial = reports.pending(KEY, UID)
    assert waiting == {RUN: _progress(20)}
    reports.heard(KEY, {RUN}, serial)
    await second
    assert not reports.pending(KEY, UID)[0]


async def test_a_report_outlives_the_patience_of_its_sender() -> None:
    reports = Reports(lambda _: None)
    with pytest.raises(TimeoutError):
        await reports.deliver(KEY, UID, RUN, _failure(), 0.01)
    assert reports.pending(KEY, UID)[0] == {RUN: _failure()}


async def test_reports_of_two_runs_neither_mix_nor_answer_for_one_another() -> None:
    reports = Reports(lambda _: None)
    old = asyncio.create_task(reports.deliver(KEY, UID, "attempt-1", _failure(), 600))
    new = asyncio.create_task(reports.deliver(KEY, UID, "attempt-2", _progress(5), 600))
    await asyncio.sleep(0)
    waiting, serial = reports.pending(KEY, UID)
    assert waiting == {"attempt-1": _failure(), "attempt-2": _progress(5)}
    reports.superseded(KEY, {"attempt-1"}, serial)
    with pytest.raises(Superseded):
        await old
    assert not new.done() and reports.pending(KEY, UID)[0] == {"attempt-2": _progress(5)}
    reports.heard(KEY, {"attempt-2"}, serial)
    await new


async def test_who_waits_for_a_deleted_object_is_told() -> None:
    reports = Reports(lambda _: None)
    waiting = asyncio.create_task(reports.deliver(KEY, UID, RUN, _progress(10), 600))
    await asyncio.sleep(0)
    reports.vanished(KEY)
    with pytest.raises(Vanished):
        await waiting


async def test_merging_keeps_what_the_newer_does_not_speak_of() -> None:
    both = merged(_progress(90), _failure())
    assert both.failure and both.trainer_status and both.trainer_status.progress_percentage == 90
    assert merged(_failure(), _progress(95)).failure, "a last report is not lost to a late progress report"


async def test_an_object_reports_at_a_rate_and_others_do_not_wait_for_it() -> None:
    rate = Rate()
    waits = [rate.wait(KEY, _progress(1), 100.0) for _ in range(BURST + 3)]
    assert waits[:BURST] == [0.0] * BURST and all(0 < wait <= 1 for wait in waits[BURST:])
    assert rate.wait(KEY._replace(name="other"), _progress(1), 100.0) == 0
    assert rate.wait(KEY, _progress(1), 100.0 + waits[-1]) == 0, "who waits as long as told is taken"


async def test_no_flood_of_progress_holds_up_a_result() -> None:
    rate = Rate()
    for _ in range(1000):
        rate.wait(KEY, _progress(1), 100.0)
    assert rate.wait(KEY, _failure(), 100.0) == 0


async def test_what_reported_long_ago_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUCKETS", 10)
    rate = Rate()
    for number in range(100):
        rate.wait(KEY._replace(name=str(number)), _progress(1), 100.0 * number)
    assert len(rate._buckets) <= 11


async def test_a_report_about_an_object_that_had_the_name_before_is_not_the_new_ones() -> None:
    reports = Reports(lambda _: None)
    old = asyncio.create_task(reports.deliver(KEY, "uid-0", RUN, _failure(), 600))
    await asyncio.sleep(0)
    assert reports.pending(KEY, UID)[0] == {}
    with pytest.raises(Vanished):
        await old
