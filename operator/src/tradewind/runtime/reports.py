"""Reports that the status does not have yet, and who waits for each to be written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from tradewind.api.report import Report
from tradewind.runtime.store import Key


class Vanished(Exception):
    """The object was deleted while a report of it waited."""


@dataclass(slots=True)
class _Entry:
    report: Report
    serial: int
    waiting: list[tuple[int, asyncio.Future[None]]] = field(default_factory=list)


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
