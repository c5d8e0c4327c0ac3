"""What the images have to have in common."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LOCKS = ("images/server/requirements.txt", "images/server/requirements-gpu.txt", "images/workload/requirements.txt")


@pytest.mark.parametrize("package", ["pillow", "tokenizers"])
def test_texts_and_pictures_are_taken_by_one_version(package: str) -> None:
    """Another version may decode a JPEG a little differently, and a model would be asked what it was not trained on."""
    versions = {lock: re.findall(rf"^{package}==(\S+)", (ROOT / lock).read_text(), re.MULTILINE) for lock in LOCKS}
    assert all(len(found) == 1 for found in versions.values()), versions
    assert len({found for (found,) in versions.values()}) == 1, versions
