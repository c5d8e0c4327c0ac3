"""What a spec names: objects of ours that can't be read, and addresses in the store that others write to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tradewind.api.job import JobStatus
from tradewind.core.conditions import Reason
from tradewind.core.plan import Refusal


def unreadable(kind: str, name: str, references: Mapping[tuple[str, str], Any]) -> Refusal | None:
    """Why an object that is there can't be used, or None."""
    if (kind, name) not in references or references[kind, name] is not None:
        return None
    words = (
        f"This version of the operator can't read {kind} {name}, whose condition Accepted says why. It waits until "
        f"{kind} {name} is corrected, or the operator upgraded."
    )
    return Refusal(Reason.REFERENCE_UNREADABLE, words)


def taken(writers: Mapping[str, str], status: JobStatus) -> Refusal | None:
    """Why the object may not write where its spec says, or None: an older one would lose its files there."""
    if not writers or status.attempt is not None:
        return None
    uri, other = min(writers.items())
    return Refusal(
        Reason.OUTPUT_TAKEN,
        f"{other} of this namespace writes to {uri} too: choose another spec.output.storageUri, or delete {other}.",
    )
