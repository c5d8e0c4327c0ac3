"""Texts that are days or times, read by the same code in training and in serving."""

from __future__ import annotations

import re
from datetime import UTC, datetime

# What both read without being told. Where dots part a date, the day is first wherever that is usual; between slashes
# and dashes it is not known.
_YEAR_FIRST = re.compile(
    r"(\d{4})([-/])(\d{2})\2(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}:?\d{2})?)?"
)
_DOTS = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?: (\d{2}):(\d{2})(?::(\d{2}))?)?")
_NUMBERS = re.compile(r"\d{1,2}([-./])\d{1,2}\1(?:(\d{4})|\d{2})(?: \d{1,2}:\d{2}(:\d{2}(\.\d{1,6})?)?( [AaPp][Mm])?)?")


def moment(text: str, time_format: str | None = None) -> datetime | None:
    """The time that a text says, in UTC and without a zone of its own; None where it says none.

    `time_format` is one of strptime's: then nothing else is read. Without it, 2026-11-25, 2026-11-25T12:00:00Z and the
    like are read, and 25.11.2026. A time without a zone is in UTC.
    """
    text = text.strip()
    try:
        if time_format is not None:
            return _in_utc(datetime.strptime(text, time_format))  # noqa: DTZ007 -- has a zone where the text has one
        if found := _YEAR_FIRST.fullmatch(text):
            # Python reads microseconds at most.
            told = re.sub(r"(\.\d{6})\d+", r"\1", text.replace("/", "-"))
            return _in_utc(datetime.fromisoformat(told))
        if found := _DOTS.fullmatch(text):
            day, month, year, hour, minute, second = (int(part or 0) for part in found.groups())
            return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 -- see above
    except (ValueError, OverflowError, re.error):  # the last of a format that names a part twice
        return None  # the 30th of February
    return None


def written(time: datetime, time_format: str | None) -> str | None:
    """A time in UTC as a text that `moment` reads as the same time; None where the format can't say it."""
    if time_format is None:
        return time.isoformat()
    text = time.replace(tzinfo=UTC).strftime(time_format)
    return text if moment(text, time_format) == time else None


def mistake(time_format: str) -> str | None:
    """Why a format of strptime is none, or reads another time than the texts say; None where it is right.

    strptime passes over AM and PM beside %H, and takes for January what has a day and no month.
    """
    if moment(datetime(2026, 11, 25, tzinfo=UTC).strftime(time_format), time_format) is None:
        return "no time can be read by it: correct it, for example to %d/%m/%Y"
    fields = set(re.findall("%(.)", time_format)) - {"%"}
    if ("p" in fields) != ("I" in fields):
        return "the hours of AM and PM are %I with %p, for example %I:%M %p, and those from 0 to 23 are %H without %p"
    if fields & set("dyY") and "M" in fields and not fields & set("HI"):
        return "%M is the minute, and it has no hour: the month is %m"
    if "d" in fields and fields & set("yY") and not fields & set("mbB"):
        return "it has a day and a year, and no month: that is %m in numbers, %b or %B by its name"
    return None


def formats(text: str) -> tuple[str, ...]:
    """The formats that read a date in numbers of which the year is not first, or may not be: of 11/12/2026 two."""
    text = text.strip()
    if not (found := _NUMBERS.fullmatch(text)):
        return ()
    part, year, seconds, fraction, half = found.groups()
    time = ""
    if " " in text:
        time = " %I" if half else " %H"
        time += f":%M{':%S' if seconds else ''}{'.%f' if fraction else ''}{' %p' if half else ''}"
    orders = ("dmY", "mdY") if year else ("dmy", "mdy", "ymd")
    asked = (part.join(f"%{field}" for field in order) + time for order in orders)
    return tuple(time_format for time_format in asked if moment(text, time_format) is not None)


def _in_utc(time: datetime) -> datetime:
    return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)
