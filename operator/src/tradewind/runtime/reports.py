"""Reports that the status does not have yet, and who waits for each to be written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tradewind.api.report import Report
from tradewind.runtime.queue import Bucket
from tradewind.runtime.store import Key

PER_SECOND = 1.0  # reports of an object; a program sends one in three seconds
BURST = 20
BUCKETS = 4096  # from which on those are looked for that are full again


class Vanished(Exception):
    """The object was deleted while a report about it waited."""


class Superseded(Exception):
    """Another run has taken the place of the one that reports."""


@dataclass(slots=True)
class _Entry:
    uid: str  # of the object that the program works for
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
    """One merged report for each run of each key, until a status that has it was written."""

    def __init__(self, touched: Callable[[Key], None]) -> None:
        self._touched = touched
        self._entries: dict[Key, dict[str, _Entry]] = {}
        self._serial = 0

    def pending(self, key: Key, uid: str) -> tuple[Mapping[str, Report], int]:
        """The reports to plan with, by the name of their run, and a serial number for `heard` and `superseded`.

        Reports about an object that had the name before are answered: nobody will write them.
        """
        for run, entry in list(self._entries.get(key, {}).items()):
            if entry.uid != uid:
                self._answer(key, run, self._serial, Vanished(str(key)))
        return {run: entry.report for run, entry in self._entries.get(key, {}).items()}, self._serial

    async def deliver(self, key: Key, uid: str, run: str, report: Report, seconds: float) -> None:
        """Hand in a report and wait until the status has it.

        Raises `TimeoutError` when that takes longer (the report stays), `Superseded` when another run has taken the
        place of this one, `Vanished` when the object is gone.
        """
        self._serial += 1
        entries = self._entries.setdefault(key, {})
        entry = entries.get(run)
        if entry is None or entry.uid != uid:
            if entry is not None:
                self._answer(key, run, self._serial, Vanished(str(key)))
            entry = self._entries.setdefault(key, {})[run] = _Entry(uid, report, self._serial)
        else:
            entry.report, entry.serial = merged(entry.report, report), self._serial
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry.waiting.append((self._serial, done))
        self._touched(key)
        try:
            async with asyncio.timeout(seconds):
                await done
        finally:
            entry.waiting = [(number, one) for number, one in entry.waiting if one is not done]

    def heard(self, key: Key, runs: Iterable[str], serial: int) -> None:
        """The status has what these runs reported up to that serial number."""
        for run in runs:
            self._answer(key, run, serial, None)

    def superseded(self, key: Key, runs: Iterable[str], serial: int) -> None:
        """Nobody wants what these runs reported up to that serial number."""
        for run in runs:
            self._answer(key, run, serial, Superseded(f"{run} of {key} is over"))

    def vanished(self, key: Key) -> None:
        """The object is gone: nobody will write its reports."""
        for run in list(self._entries.get(key, {})):
            self._answer(key, run, self._serial, Vanished(str(key)))

    def _answer(self, key: Key, run: str, serial: int, error: Exception | None) -> None:
        entry = self._entries.get(key, {}).get(run)
        if entry is None:
            return
        for number, done in entry.waiting:
            if number > serial or done.done():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
        entry.waiting = [(number, done) for number, done in entry.waiting if number > serial]
        if entry.serial <= serial:
            del self._entries[key][run]
            if not self._entries[key]:
                del self._entries[key]


def merged(old: Report, new: Report) -> Report:
    """Both reports of a run as one: what the newer says stands."""
    said = {name: value for name in Report.model_fields if (value := getattr(new, name)) is not None}
    if new.final:
        said = {"model": None, "compression": None, "failure": None} | said
    return old.model_copy(update=said)
