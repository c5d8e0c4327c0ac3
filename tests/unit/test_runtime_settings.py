"""The configuration file: sentences for mistakes, and a bad change does not replace a good one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradewind.runtime.settings import BadConfig, ConfigFile

GOOD = """
pools: [{name: local, node: {cpu: "2", memory: 8Gi}, price: {perHour: "1.20"}}]
images: {workload: image}
reporting: {url: "https://operator:8443"}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(GOOD)
    return path


def test_a_change_is_taken_over_once(file: Path) -> None:
    config = ConfigFile(file)
    assert not config.changed()
    file.write_text(GOOD + "# a comment\n")
    assert not config.changed()
    file.write_text(GOOD.replace("1.20", "2.40"))
    assert config.changed() and not config.changed()
    assert str(config.config.pools[0].price.per_hour) == "2.40"  # type: ignore[union-attr]


def test_a_bad_change_keeps_the_old_one_and_is_told_once(file: Path) -> None:
    config = ConfigFile(file)
    file.write_text("pools: []")
    with pytest.raises(BadConfig):
        config.changed()
    assert not config.changed()
    assert config.config.pools[0].name == "local"
    file.unlink()
    assert not config.changed()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("pools: [", "is not YAML in line 1"),
        ("- a", "must be a map"),
        (GOOD.replace('"1.20"', "1.20"), "pools[0].price.perHour: write a decimal number as a string"),
        (GOOD.replace("images: {workload: image}", ""), "images: this field is required"),
        (GOOD + "pool: {}", "pool: there is no such field; correct its spelling or remove it"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(file: Path, content: str, words: str) -> None:
    file.write_text(content)
    with pytest.raises(BadConfig, match=r"config\.yaml") as told:
        ConfigFile(file)
    assert words in str(told.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="--config"):
        ConfigFile(tmp_path / "none.yaml")
