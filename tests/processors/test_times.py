"""Texts that are times: read as one time, or as none."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind_processors.times import formats, mistake, moment, written

NOON = datetime(2026, 12, 11, 12, 0)  # noqa: DTZ001 -- times are in UTC, without a zone of their own
FORMATS = ("%d/%m/%Y %H:%M:%S.%f", "%m-%d-%Y %I:%M:%S.%f %p", "%Y-%d-%m %H:%M:%S.%f", "%d %b %Y %H:%M:%S.%f %z")


@pytest.mark.parametrize(
    ("text", "time_format", "expected"),
    [
        ("2026-12-11 12:00", None, NOON),
        (" 2026-12-11T13:00:00.0000000+01:00 ", None, NOON),
        ("11.12.2026 12:00", None, NOON),
        ("11/12/2026", None, None),
        ("2026-02-29", None, None),
        ("2026-12-11 12:00:00 UTC", None, NOON),
        ("2026-12-11 13:00:00.000000+01", None, NOON),
        ("2026-12-11 06:30:00 -0530", None, NOON),
        ("2026-12-11t12:00:00z", None, NOON),
        ("2026-12-11 12:00:00,000", None, NOON),
        ("2026-12-11 12:00:00.5", None, NOON.replace(microsecond=500_000)),
        ("2026-12-11 12:00:00 CET", None, None),
        ("2026-12-11 12:00:00+01:60", None, None),
        ("2026/1/5", None, datetime(2026, 1, 5)),  # noqa: DTZ001
        ("2026-13-5", None, None),
        ("0001-01-01T00:00:00+01:00", None, None),
        ("11/12/2026 12:00 PM", "%d/%m/%Y %I:%M %p", NOON),
        ("12/11/2026 12:00", "%m/%d/%Y %H:%M", NOON),
        ("2026-11-12 12", "%Y-%d-%m %H", NOON),
        ("2026-12-11 12:00", "%Y-%d-%m %H", None),
        ("11 Dec 26 13:00 +0100", "%d %b %y %H:%M %z", NOON),
        ("31/12/68", "%d/%m/%y", datetime(2068, 12, 31)),  # noqa: DTZ001
        ("31/12/69", "%d/%m/%y", datetime(1969, 12, 31)),  # noqa: DTZ001
        ("31/12/69", "%d/%d/%y", None),
        ("1", "%Q", None),
    ],
)
def test_a_text_is_one_time_or_none(text: str, time_format: str | None, expected: datetime | None) -> None:
    assert moment(text, time_format) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("11/12/2026", ("%d/%m/%Y", "%m/%d/%Y")),
        ("1-2-2026 00:00", ("%d-%m-%Y %H:%M", "%m-%d-%Y %H:%M")),
        ("25/12/2026 13:00:01", ("%d/%m/%Y %H:%M:%S",)),
        ("12/25/2026 3:04 pm", ("%m/%d/%Y %I:%M %p",)),
        ("12/25/2026 13:04:00.5", ("%m/%d/%Y %H:%M:%S.%f",)),
        ("12/25/2026 13:04 PM", ()),
        ("12/25/2026 3:04PM", ("%m/%d/%Y %I:%M%p",)),
        ("25-NOV-2026", ("%d-%b-%Y",)),
        ("25 november 2026 13:00", ("%d %B %Y %H:%M",)),
        ("Nov 5, 2026", ("%b %d, %Y",)),
        ("November 5 2026", ("%B %d %Y",)),
        ("05-May-26", ("%d-%b-%y",)),
        ("5 apples 2026", ()),
        ("31 Nov 2026", ()),
        ("31.12.26", ("%d.%m.%y", "%y.%m.%d")),
        ("11-12-13", ("%d-%m-%y", "%m-%d-%y", "%y-%m-%d")),
        ("31/31/2026", ()),
        ("11/12-2026", ()),
        ("2026-12-11", ()),
        ("call me on 11/12/2026", ()),
    ],
)
def test_all_orders_that_a_date_in_numbers_allows(text: str, expected: tuple[str, ...]) -> None:
    assert formats(text) == expected


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)), st.sampled_from((None, *FORMATS)))  # noqa: DTZ001
def test_what_is_written_is_read_as_the_same_time(time: datetime, time_format: str | None) -> None:
    text = written(time, time_format)
    # The C library writes a year before 1000 with fewer than the four digits that are read.
    assert moment(text, time_format) == time if text is not None else time.year < 1000


def test_a_format_that_loses_a_part_of_a_time_does_not_write_it() -> None:
    assert written(NOON, "%d/%m/%Y") is None
    assert written(NOON, "%d/%m/%Y %H") == "11/12/2026 12"


def test_what_a_format_is() -> None:
    assert not any(map(mistake, FORMATS))
    assert all(map(mistake, ("%d/%d", "%Q", "%")))
