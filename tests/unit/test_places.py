"""Where the local cluster keeps what it builds."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from e2e.cluster import places


@pytest.mark.parametrize(("free", "built", "short"), [(44e9, False, True), (46e9, False, False), (1e9, True, False)])
def test_a_disk_that_may_fill_up_is_told_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: float, built: bool, short: bool
) -> None:
    monkeypatch.setenv("TRADEWIND_CACHE", str(tmp_path / "not" / "there"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free if path == tmp_path else 0))
    if built:
        (tmp_path / "not/there/containerd").mkdir(parents=True)
    said = places.short_of_disk()
    assert (said is not None) == short
    assert said is None or said.startswith(f"{tmp_path} has 44 GB free, and what is built takes up to 45 GB")
