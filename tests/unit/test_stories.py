"""`make e2e` says which stories it plays, and which it leaves to `make e2e-all`."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.stories import selection


def test_every_story_is_in_the_header_once() -> None:
    lines = selection.header(selection.chosen(every=False)).splitlines()
    played = [line.split()[0] for line in lines[1:-1]]
    left = lines[-1].removeprefix("left to `make e2e-all`: ").split(", ")
    assert set(played) == set(selection.SELECTION)
    assert sorted([*played, *left]) == sorted(selection.stories())
    assert all(len(line.split()) > 3 for line in lines[1:-1]), "a story says what it is about"


def test_all_are_played_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = selection.chosen(every=True)
    assert names[0] == "digits" and set(names) == set(selection.stories())
    assert "left to" not in selection.header(names)
    for number in (10, 9, 1):
        (tmp_path / f"test_{number}_story{number}.py").touch()
    assert list(selection.stories(tmp_path)) == ["story1", "story9", "story10"]


def test_a_story_that_was_renamed_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "SELECTION", ("digits", "no_such"))
    with pytest.raises(LookupError, match="no story no_such"):
        selection.chosen(every=False)
