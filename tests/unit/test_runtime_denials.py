"""A right that lacks for a moment is no news; one that lacks for good is."""

from __future__ import annotations

from tradewind.runtime.denials import FORGOTTEN, LASTING, Denials


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_denials_last_when_they_go_on() -> None:
    clock = Clock()
    denials = Denials(clock)
    told = []
    for _ in range(4):
        told.append(denials.lasting("rayjobs"))
        clock.now += LASTING / 3 + 0.1
    assert told == [False, False, False, True]
    assert not denials.lasting("networkpolicies")


def test_what_was_allowed_or_is_long_ago_does_not_count() -> None:
    clock = Clock()
    denials = Denials(clock)
    denials.lasting("rayjobs")
    clock.now += LASTING
    denials.over("rayjobs")
    assert not denials.lasting("rayjobs")
    clock.now += FORGOTTEN + 1
    assert not denials.lasting("rayjobs")
