"""Reports that the status does not have yet, and who waits for each to be written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from tradewind.api.report import Report
from tradewind.runtime.queue import Bucket
from tradewind.runtime.store import Key

PER_SECOND = 1.0  # reports of an object; a program sends one in three seconds
BURST = 20
BUCKETS = 4096  # from which on those are looked for that are full again


class Vanished(Exception):
    """The object was deleted while a report of it waited."""


@dataclass(slots=True)
class _Entry:
    report: Report
    serial: int
    waiting: list[tuple[int, asyncio.Future[None]]] = field(default_factory=list)


class Rate:
    """How often reports of one object are taken: each of them is a write to the API server.

    Last reports are counted apart, so that no flood of progress holds up a result.
    """

    def __init__(self) -> None:
        self._buckets: dict[tuple[Key, bool], Bucket] = {}

    def wait(self, key: Key, report: Report, now: float) -> float:
        """Seconds until such a report of the object may come again; 0: this one is taken."""
        which = key, report.final
        if which not in self._buckets and len(self._buckets) >= BUCKETS:
            self._buckets = {at: bucket for at, bucket in self._buckets.items() if not bucket.full(now)}
        return self._buckets.setdefault(which, Bucket(PER_SECOND, BURST)).take(now)


class Reports:
    """One merged report a key, until a status that has it was written."""

    def __init__(self, touched: Callable[[Key], None]) -> None:
        self._touched = touched
        self._entries: dict[Key, _Entry] = {}
        self._serial = 0

    def pending(self, key: Key) -> tuple[Report | None, int]:
        """The report to plan with, and its serial number for `written`."""
        entry = self._entries.get(key)
        return (entry.report, entry.serial) if entry else (None, 0)

    async def deliver(self, key: Key, report: Report, seconds: float) -> None:
        """Hand in a report and wait until the status has it.

        Raises `TimeoutError` when that takes longer (the report stays), `Vanished` when the object is gone.
        """
        self._serial += 1
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(report, self._serial)
        else:
            entry.report, entry.serial = merged(entry.report, report), self._serial
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry.waiting.append((self._serial, done))
        self._touched(key)
        async with asyncio.timeout(seconds):
            await done

    def written(self, key: Key, serial: int) -> None:
        """The status has what was reported up to that serial number."""
        entry = self._entries.get(key)
        if entry is None:
            return
        for number, done in entry.waiting:
            if number <= serial and not done.done():
                done.set_result(None)
        entry.waiting = [(number, done) for number, done in entry.waiting if number > serial]
        if entry.serial <= serial:
            del self._entries[key]

    def vanished(self, key: Key) -> None:
        """The object is gone: nobody will write its reports."""
        entry = self._entries.pop(key, None)
        for _, done in entry.waiting if entry else ():
            if not done.done():
                done.set_exception(Vanished(str(key)))


def merged(old: Report, new: Report) -> Report:
    """Both reports as one: what the newer says stands; one of a later attempt replaces the earlier's."""
    if old.attempt != new.attempt and None not in (old.attempt, new.attempt):
        return new
    said = {name: value for name in Report.model_fields if (value := getattr(new, name)) is not None}
    if new.final:
        said = {"model": None, "compression": None, "failure": None} | said
    return old.model_copy(update=said)
