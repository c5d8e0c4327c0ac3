"""A binary in the cache is used only for what it was built from."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from e2e.cluster.binaries import OWNER, TOOLS_BY_NAME, build, key, path_of
from e2e.cluster.progress import Failed

TOOL = TOOLS_BY_NAME["volumes"]


@pytest.fixture
def module(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TOOL.folder, tmp_path / "module"))


def test_the_key_is_that_of_the_content(module: Path) -> None:
    assert key(TOOL, module) == key(TOOL)


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "main.go"])
def test_the_key_changes_with_each_file(module: Path, name: str) -> None:
    with (module / name).open("a") as file:
        file.write("\n")
    assert key(TOOL, module) != key(TOOL)


def test_the_key_changes_with_the_flags() -> None:
    assert key(replace(TOOL, tags="other")) != key(TOOL)


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRADEWIND_CACHE", str(tmp_path))
    assert path_of("kubelet").is_relative_to(tmp_path)


def test_an_unknown_target_is_named_with_those_that_there_are() -> None:
    with pytest.raises(Failed, match=r"no such target: kubelt.*kubelet"):
        build("kubelt")


def test_every_module_is_pinned() -> None:
    for tool in TOOLS_BY_NAME.values():
        assert (tool.folder / "go.sum").exists()
    assert set(OWNER) >= {"kubelet", "containerd", "kuberay", "kserve", "helm", "kwok"}
