"""How the program gives up: a mistake that another attempt would only repeat, in a sentence that its author can act
on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Reason = Literal["InvalidData", "InvalidModel", "StorageFailed", "NotSupported", "ProgramFailed"]


class Fault(Exception):
    """A failure with a reason of api.report.Failure; the message says what was wrong, where, and what to do."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(
            reason, message
        )  # both as arguments: an exception that crosses Ray's processes is built from them
        self.reason: Reason = reason
        self.message = message

    def __str__(self) -> str:
        return self.message


class StorageUnavailable(Fault):
    """Trouble of a volume that outlasted this program's patience. It may be over for the next attempt, so it ends this
    attempt and not the job."""


class Superseded(Exception):
    """The operator has moved on (a later attempt, or the object has ended or is gone): leave quietly."""


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and everything that it came from, through the wrappers that Ray puts around an exception of a task."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        found = waiting.pop(0)
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        failures = getattr(found, "worker_failures", None)
        waiting += [
            getattr(found, "cause", None),
            getattr(found, "_base_exc", None),
            found.__cause__,
            *(failures.values() if isinstance(failures, dict) else ()),
        ]


def fault_in(error: BaseException) -> Fault | None:
    """The Fault that an error carries, if there is one."""
    return next((found for found in causes(error) if isinstance(found, Fault)), None)
