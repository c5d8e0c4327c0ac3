"""What a spec names: objects of ours that can't be read, and addresses in the store that others write to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tradewind.core.conditions import Reason
from tradewind.core.plan import Refusal

_UNREADABLE = {
    "TrainingJob": Reason.TRAINING_JOB_NOT_COMPLETE,
    "CompressionJob": Reason.COMPRESSION_JOB_NOT_COMPLETE,
}


def unreadable(kind: str, name: str, references: Mapping[tuple[str, str], Any]) -> Refusal | None:
    """Why an object that is there can't be used, or None."""
    if (kind, name) not in references or references[kind, name] is not None:
        return None
    words = f"This version of the operator can't read {kind} {name}: the condition Accepted of that object says why."
    return Refusal(_UNREADABLE[kind], words)


def taken(writers: Mapping[str, str]) -> Refusal | None:
    """Why the object may not write where its spec says, or None: an older one would lose its files there."""
    if not writers:
        return None
    uri, other = min(writers.items())
    return Refusal(
        Reason.OUTPUT_TAKEN,
        f"{other} of this namespace writes to {uri} too: choose another spec.output.storageUri, or delete {other}.",
    )
