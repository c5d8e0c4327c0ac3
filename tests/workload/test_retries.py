"""Trouble of a volume that passes is waited out; it never ends a job for good, and nothing else is waited for."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from tradewind.api.data import Data
from tradewind_workload import __main__ as entry
from tradewind_workload.data import delimited
from tradewind_workload.data.dataset import infer
from tradewind_workload.data.opening import read_layout
from tradewind_workload.io import artefacts, files, retries
from tradewind_workload.io.fault import Fault, StorageUnavailable
from tradewind_workload.io.retries import patiently, read_whole
from tradewind_workload.io.store import find

MARK = "the path"


class Flaky:
    """Fails so many times, then gives 42."""

    def __init__(self, times: int, error: BaseException) -> None:
        self.left, self.error, self.calls = times, error, 0

    def __call__(self, *_: Any, **__: Any) -> int:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return 42


def trouble(number: int = errno.EIO) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EAGAIN, errno.ETIMEDOUT, errno.EINTR, errno.ENOLINK])
def test_what_passes_is_waited_out(waits: list[float], number: int) -> None:
    flaky = Flaky(4, trouble(number))
    assert patiently(flaky, MARK, waits.append) == 42
    assert waits == sorted(waits)
    assert len(waits) == len(set(waits)) == 4


def test_what_stays_is_told_and_left_to_another_attempt(waits: list[float]) -> None:
    flaky = Flaky(99, trouble(errno.ESTALE))
    words = rf"^{MARK}: {os.strerror(errno.ESTALE)} \(ESTALE\), 5 times"
    with pytest.raises(StorageUnavailable, match=words) as caught:
        patiently(flaky, MARK, waits.append)
    assert flaky.calls == 5
    assert caught.value.reason == "StorageFailed"
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 -- as Ray passes it between its processes
    assert isinstance(again, StorageUnavailable)
    assert again.message == caught.value.message


@pytest.mark.parametrize("error", [trouble(errno.ENOSPC), trouble(errno.EACCES), trouble(errno.EROFS), ValueError("x")])
def test_what_does_not_pass_is_told_at_once(waits: list[float], error: Exception) -> None:
    flaky = Flaky(1, error)
    with pytest.raises(type(error)) as caught:
        patiently(flaky, MARK, waits.append)
    assert caught.value is error
    assert not waits


def test_it_is_seen_through_the_errors_of_others(waits: list[float]) -> None:
    wrapped = RuntimeError("as Ray wraps the error of a task")
    wrapped.cause = trouble()  # type: ignore[attr-defined]
    assert patiently(Flaky(2, wrapped), MARK, waits.append) == 42


def test_a_part_that_was_tried_enough_is_not_tried_again_by_the_whole(waits: list[float]) -> None:
    flaky = Flaky(99, trouble())
    with pytest.raises(StorageUnavailable):
        patiently(lambda: patiently(flaky, MARK, waits.append), MARK, waits.append)
    assert flaky.calls == 5


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "WAITS", (0.0, 0.0))


@pytest.mark.usefixtures("at_once")
def test_a_read_that_ends_early_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"0123456789")
    opened = Path.open
    short = 1

    def once_short(self: Path, *arguments: Any, **named: Any) -> Any:
        nonlocal short
        file = opened(self, *arguments, **named)
        if short:
            short -= 1
            file.seek(4)  # as many bytes fewer are read
        return file

    monkeypatch.setattr(Path, "open", once_short)
    assert read_whole(path) == b"0123456789"
    short = 1
    assert files.sha256(path) == "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882"
    short = 9
    with pytest.raises(StorageUnavailable, match="only 6 of 10 bytes were read"):
        read_whole(path)


@pytest.mark.usefixtures("at_once")
def test_writers_wait_it_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, left = files.write_synced, 2

    def flaky(path: Path, *parts: bytes) -> None:
        nonlocal left
        if left:
            left -= 1
            raise trouble()
        synced(path, *parts)

    for module in (files, artefacts):
        monkeypatch.setattr(module, "write_synced", flaky)
    files.write_atomically(tmp_path / "x", b"a", b"b")
    assert (tmp_path / "x").read_bytes() == b"ab"
    left = 2
    with artefacts.Draft.begin(tmp_path) as draft:
        draft.write("model.onnx", b"graph")
        left = 2
        stored = draft.finish({"files": draft.files})
    assert stored.folder.is_dir()
    left = 9
    with pytest.raises(StorageUnavailable, match=os.strerror(errno.EIO)):
        files.write_atomically(tmp_path / "x", b"c")
    assert (tmp_path / "x").read_bytes() == b"ab"


@pytest.mark.usefixtures("at_once")
def test_a_model_that_can_not_be_looked_for_is_not_taken_for_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a job whose model is finished would train again."""
    with artefacts.Draft.begin(tmp_path) as draft:
        draft.write("model.onnx", b"graph")
        draft.finish({"task": "custom", "inputs": [], "outputs": [], "files": draft.files})
    for name in ("iterdir", "open"):
        with monkeypatch.context() as broken:
            broken.setattr(Path, name, Flaky(99, trouble(errno.ESTALE)))
            with pytest.raises(StorageUnavailable):
                find(tmp_path, lambda _: True)
    assert find(tmp_path, lambda _: True) is not None


def test_a_rename_whose_answer_is_lost_has_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "WAITS", (0.0,))
    renamed, lost = Path.rename, 1

    def rename(self: Path, target: Path) -> Path:
        nonlocal lost
        found = renamed(self, target)
        if lost:
            lost -= 1
            raise trouble(errno.ETIMEDOUT)
        return found

    monkeypatch.setattr(Path, "rename", rename)
    with artefacts.Draft.begin(tmp_path) as draft:
        draft.write("model.onnx", b"graph")
        stored = draft.finish({"files": draft.files})
    assert (stored.folder / "model.onnx").read_bytes() == b"graph"
    assert [path.name for path in (tmp_path / "models").iterdir()] == [stored.folder.name]


@pytest.mark.parametrize(
    ("fault", "code"),
    [(StorageUnavailable("StorageFailed", "x: it hangs"), 1), (Fault("StorageFailed", "x: no space"), 2)],
)
def test_the_attempt_ends_and_not_the_job(monkeypatch: pytest.MonkeyPatch, fault: Fault, code: int) -> None:
    reported: list[dict[str, Any]] = []

    def fail(*_: object) -> int:
        raise fault

    document = {
        "kind": "TrainingJob",
        "namespace": "team",
        "name": "job",
        "uid": "1",
        "attempt": 1,
        "run": "attempt-1",
        "reportUrl": "",
        "spec": {},
    }
    monkeypatch.setattr(entry, "read_document", lambda: document)
    monkeypatch.setattr(entry, "_dispatch", fail)
    monkeypatch.setattr(entry.Reporter, "final", lambda _, report: reported.append(report))
    assert entry.main() == code
    assert len(reported) == code - 1


def test_trouble_while_data_is_read_is_waited_out_and_never_the_data_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEWIND_PVC_ROOT", str(tmp_path))
    monkeypatch.setattr(retries, "WAITS", (0.0, 0.0))
    (tmp_path / "claim").mkdir()
    (tmp_path / "claim/t.csv").write_text("a,label\n1,x\n2,y\n")
    data = Data.read({"train": {"storageUri": "pvc://claim/t.csv"}, "validationFraction": "0.5"})
    layout = read_layout(data.train, "spec.data.train", data.missing)
    opened, left = delimited.open_bytes, [2]

    def flaky(*arguments: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise trouble(errno.ESTALE)
        return opened(*arguments)

    monkeypatch.setattr(delimited, "open_bytes", flaky)
    assert infer(layout, data).inputs[0].rows == 2
    left[0] = 99
    with pytest.raises(StorageUnavailable, match="ESTALE"):
        infer(layout, data)
