"""Texts that are days or times, read by the same code in training and in serving."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

# What both read without being told. Where dots part a date, the day is first wherever that is usual; between slashes
# and dashes it is not known.
_YEAR_FIRST = re.compile(
    r"(\d{4})([-/])(\d{1,2})\2(\d{1,2})(?:[Tt ](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?"
    r" ?([Zz]|UTC|GMT|[+-]\d{2}(?::?[0-5]\d)?)?)?",
    re.ASCII,
)
_DOTS = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?: (\d{2}):(\d{2})(?::(\d{2}))?)?")
_TIME = r"(?: \d{1,2}:\d{2}(:\d{2}(\.\d{1,6})?)?( ?[AaPp][Mm])?)?"
_NUMBERS = re.compile(r"\d{1,2}([-./])\d{1,2}\1(?:(\d{4})|\d{2})" + _TIME)
_NAMED = re.compile(r"(?:\d{1,2}([-/ ])([A-Za-z]{3,9})\1|([A-Za-z]{3,9}) \d{1,2}(,? ))(?:(\d{4})|\d{2})" + _TIME)


def moment(text: str, time_format: str | None = None) -> datetime | None:
    """The time that a text says, in UTC and without a zone of its own; None where it says none.

    `time_format` is one of strptime's: then nothing else is read. Without it, 2026-11-25, 2026-11-25T12:00:00Z and the
    like are read, as databases and programs write them too (2026-1-5, 12:00:00+01, 12:00:00 UTC), and 25.11.2026. A
    time without a zone is in UTC.
    """
    text = text.strip()
    try:
        if time_format is not None:
            return _in_utc(datetime.strptime(text, time_format))  # noqa: DTZ007 -- has a zone where the text has one
        if found := _YEAR_FIRST.fullmatch(text):
            micro = f"{found[8] or '':0<6}"[:6]  # Python reads no less
            told = (*found.group(1, 3, 4, 5, 6, 7), micro)
            year, month, day, hour, minute, second, fraction = (int(part or 0) for part in told)
            return _in_utc(datetime(year, month, day, hour, minute, second, fraction, _zone(found[9])))
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
    """The formats that read a date of which the year is not first, or may not be: of 11/12/2026 two."""
    text = text.strip()
    if found := _NUMBERS.fullmatch(text):
        part, year, *clock = found.groups()
        days = [
            part.join(f"%{field}" for field in order) for order in (("dmY", "mdY") if year else ("dmy", "mdy", "ymd"))
        ]
    elif found := _NAMED.fullmatch(text):
        part, middle, first, comma, year, *clock = found.groups()
        month = "%b" if len(middle or first) == len("Nov") else "%B"
        days = [(f"%d{part}{month}{part}" if middle else f"{month} %d{comma}") + ("%Y" if year else "%y")]
    else:
        return ()
    seconds, fraction, half = clock
    time = ""
    if ":" in text:
        half = half and half[:-2] + "%p"
        time = f"{' %I' if half else ' %H'}:%M{':%S' if seconds else ''}{'.%f' if fraction else ''}{half or ''}"
    return tuple(day + time for day in days if moment(text, day + time) is not None)


def _zone(text: str | None) -> tzinfo | None:
    if text is None or text[0] not in "+-":
        return None if text is None else UTC
    hours, minutes = int(text[1:3]), int(text[3:].strip(":") or 0)
    return timezone((1 if text[0] == "+" else -1) * timedelta(hours=hours, minutes=minutes))


def _in_utc(time: datetime) -> datetime:
    return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)
