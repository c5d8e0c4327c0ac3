"""What the cluster created is found again, and nothing else is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.cluster.children import spawn
from e2e.cluster.cleanup import remove_tree
from e2e.cluster.launch import Launch
from e2e.cluster.progress import Failed
from e2e.cluster.record import Entry, Record, is_alive, start_time, stop

SLEEP = [sys.executable, "-c", "import time; time.sleep(3600)"]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path / "record")


def test_entries_come_back_in_order(record: Record) -> None:
    record.add("link", "one")
    record.add("nft", "ip two", family="ip", table="two")
    assert [(entry.kind, entry.name) for entry in record.entries()] == [("link", "one"), ("nft", "ip two")]
    assert record.entries("nft")[0].about == {"family": "ip", "table": "two"}


def test_an_entry_is_replaced_by_one_of_its_name(record: Record) -> None:
    record.add("process", "etcd", pid=1, start="1")
    record.add("process", "etcd", pid=2, start="2")
    assert [entry.about["pid"] for entry in record.entries()] == [2]


def test_after_a_boot_only_files_are_left(record: Record, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    record.add("process", "etcd", pid=os.getpid(), start=start_time(os.getpid()))
    record.add("folder", "state", path="/nowhere")
    boot = tmp_path / "boot_id"
    boot.write_text("another")
    monkeypatch.setattr("e2e.cluster.record.BOOT_ID", boot)
    assert [entry.kind for entry in record.entries()] == ["folder"]


def test_half_a_write_is_no_entry(record: Record) -> None:
    record.add("link", "one")
    (record.folder / ".process-etcd.json").write_text('{"kind": "pro')
    assert [entry.name for entry in record.entries()] == ["one"]


def test_a_component_writes_itself_down(record: Record, tmp_path: Path) -> None:
    process = spawn(Launch("sleeper", SLEEP, str(tmp_path / "log"), record=str(record.folder)))
    entry = _written(record, process)
    assert entry.about["pid"] == process.pid and is_alive(entry)
    stop([entry], patience=5)
    process.wait()
    assert not is_alive(entry)


def test_another_process_with_the_same_pid_is_left_alone(record: Record) -> None:
    with subprocess.Popen(SLEEP) as bystander:
        entry = record.add("process", "etcd", pid=bystander.pid, start="12345")
        assert not is_alive(entry)
        stop([entry], patience=0)
        assert bystander.poll() is None
        bystander.kill()


def test_a_folder_goes_with_its_content(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    (folder / "deep").mkdir(parents=True)
    remove_tree(folder)
    assert not folder.exists()


def test_a_mount_point_keeps_what_it_hides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "file").write_text("")
    monkeypatch.setattr(Path, "is_mount", lambda path: path == folder)
    remove_tree(folder)
    assert folder.is_dir() and not list(folder.iterdir())


def test_nothing_goes_while_something_is_mounted_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").mkdir()
    monkeypatch.setattr("e2e.cluster.cleanup._mounts_below", lambda folder: [f"{folder}/volume"])
    with pytest.raises(Failed, match="still mounted"):
        remove_tree(tmp_path / "state")
    assert (tmp_path / "state").exists()


def _written(record: Record, process: subprocess.Popen[bytes]) -> Entry:
    while process.poll() is None:
        if entries := record.entries("process"):
            return entries[0]
    raise AssertionError("the process ended without writing itself down")
