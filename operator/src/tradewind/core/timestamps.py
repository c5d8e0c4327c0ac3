"""Times as the API writes them: RFC 3339 in UTC, whole seconds."""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(moment: datetime) -> str:
    """The API's form of a time: `2026-11-24T16:50:00Z`; parts of a second are cut off."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str | None) -> datetime | None:
    """The time that the API's form stands for; None for none, and for what isn't a time."""
    if not text:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def whole(now: datetime) -> datetime:
    """The time without parts of a second, as it would come back from the API."""
    return now.astimezone(UTC).replace(microsecond=0)
