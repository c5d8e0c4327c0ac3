"""Every golden case decides as written down. `GOLDEN_REWRITE=1 pytest tests/golden` writes them anew: read the diff."""

from __future__ import annotations

import os

import pytest
import yaml

from tests.golden import cases


@pytest.mark.parametrize("name", cases.names())
def test_golden(name: str) -> None:
    folder = cases.FOLDER / name
    given = yaml.safe_load((folder / "input.yaml").read_text())
    decided = cases.text(cases.shown(cases.decide(given)))
    output = folder / "output.yaml"
    if os.environ.get("GOLDEN_REWRITE"):
        output.write_text(decided)
    assert yaml.safe_load(decided) == yaml.safe_load(output.read_text())


def test_there_are_cases_of_each_kind() -> None:
    kinds = [name.split("/")[0] for name in cases.names()]
    assert all(kinds.count(kind) >= 8 for kind in ("trainingjob", "compressionjob", "modeldeployment"))
