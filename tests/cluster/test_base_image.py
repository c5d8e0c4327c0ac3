"""The base image comes from where this machine's apt has its packages, however that is written down."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.cluster.base_image import SETTING, mirror
from e2e.cluster.progress import Failed

pytestmark = pytest.mark.skipif(not shutil.which("apt-get"), reason="no apt here")

ONE_LINE = "deb [arch=amd64 trusted=yes] http://mirror.example/debian/ bookworm main contrib\n"
DEB822 = """\
Types: deb deb-src
URIs: https://mirror.example/pub/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
OFF = f"Enabled: no\n{DEB822.replace('mirror', 'off')}"
SOURCES_ONLY = "deb-src http://sources.example/debian bookworm main\n#deb http://comment.example/debian bookworm main\n"
THIRD_PARTY = "deb https://packages.example bookworm main\n"
TRIXIE = "deb http://next.example/debian trixie main\n"
OWN_PATH = "deb https://nexus.example/repository/apt-proxy bookworm main\n"

Apt = Callable[..., None]


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apt:
    """Gives apt this sources.list, and these files in sources.list.d."""

    def configured(listed: str = "", **parts: str) -> None:
        (tmp_path / "parts").mkdir()
        (tmp_path / "sources.list").write_text(listed)
        for name, content in parts.items():
            (tmp_path / "parts" / name.replace("_", ".")).write_text(content)
        lines = {"sourcelist": tmp_path / "sources.list", "sourceparts": tmp_path / "parts"}
        config = tmp_path / "apt.conf"
        config.write_text("".join(f'Dir::Etc::{name} "{path}";\n' for name, path in lines.items()))
        monkeypatch.setenv("APT_CONFIG", str(config))

    monkeypatch.delenv(SETTING, raising=False)
    return configured


@pytest.mark.parametrize(
    ("listed", "parts", "expected"),
    [
        (ONE_LINE, {}, "http://mirror.example/debian"),
        ("", {"debian_sources": DEB822}, "https://mirror.example/pub/debian"),
        (SOURCES_ONLY, {"off_sources": OFF, "some_list": ONE_LINE}, "http://mirror.example/debian"),
        (THIRD_PARTY, {"debian_sources": DEB822}, "https://mirror.example/pub/debian"),
        (TRIXIE, {"debian_sources": DEB822}, "https://mirror.example/pub/debian"),
        (THIRD_PARTY + TRIXIE, {}, "http://next.example/debian"),
        (OWN_PATH, {}, "https://nexus.example/repository/apt-proxy"),
    ],
)
def test_the_mirror_is_the_one_of_apt(apt: Apt, listed: str, parts: dict[str, str], expected: str) -> None:
    apt(listed, **parts)
    assert mirror() == expected


def test_a_setting_comes_first(apt: Apt, monkeypatch: pytest.MonkeyPatch) -> None:
    apt(ONE_LINE)
    monkeypatch.setenv(SETTING, "https://setting.example/debian/")
    assert mirror() == "https://setting.example/debian"


@pytest.mark.parametrize("listed", ["", SOURCES_ONLY, "deb https://packages.example nodistro main\n"])
def test_a_machine_without_a_mirror_is_told_what_to_set(apt: Apt, listed: str) -> None:
    apt(listed)
    with pytest.raises(Failed, match=SETTING):
        mirror()
