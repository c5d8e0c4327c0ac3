"""Checkpoints that are written while steps go on: what is in them, when they are told of, and where a write fails."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import torch
from jobs import Heard, alone, blobs, training_job, write_csv

from tradewind.api.report import JobDocument
from tradewind.api.trainingjob import Recipe
from tradewind_workload.io import files, retries
from tradewind_workload.io.fault import Fault, StorageUnavailable
from tradewind_workload.io.files import WEIGHTS
from tradewind_workload.io.store import locate
from tradewind_workload.tasks.matrix.network import Classifier, build_network
from tradewind_workload.train import checkpoint, learning, recipe
from tradewind_workload.train.checkpoint import State
from tradewind_workload.train.place import Alone
from tradewind_workload.train.training import Share, Training
from tradewind_workload.train.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENCE = 60  # seconds for another thread, on a machine that is busy


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[Path], None]]:
    """Called one after the other with the path, before a file goes to the disk."""
    called: list[Callable[[Path], None]] = []
    synced = files.write_synced

    def write_synced(path: Path, *parts: bytes | memoryview) -> None:
        if ".checkpoint." in path.name:
            for call in called:
                call(path)
        synced(path, *parts)

    monkeypatch.setattr(files, "write_synced", write_synced)
    return called


def state(step: int) -> State:
    return State(step, step, {"weights": torch.full((1000,), float(step))})


def failing(number: int, times: int = 99) -> Callable[[Path], None]:
    left = times

    def fail(path: Path) -> None:
        nonlocal left
        if left:
            left -= 1
            raise OSError(number, os.strerror(number), str(path))

    return fail


def trained() -> Training:
    rows, classes = blobs(60)
    settings = Recipe.model_validate(
        {"task": "tabular-classification", "model": {"architecture": "mlp"}, "batchSize": 8}
    )
    torch.manual_seed(0)
    model = Classifier(torch.nn.Sequential(), build_network(settings.model, 4, None, 3), None)
    return Training(model, settings, Share(rows, classes, (60,)), epochs=3)


def test_steps_go_on_beside_a_write_and_are_not_in_it(tmp_path: Path, before: list[Callable[[Path], None]]) -> None:
    going, told = threading.Event(), []
    before.append(lambda _: going.wait(PATIENCE) or pytest.fail("nothing went on"))
    training = trained()
    training.epoch(0)
    expected = {name: tensor.clone() for name, tensor in training.state(1).tensors.items()}
    with Writer(tmp_path, "mark", 2) as writer:
        writer.write(training.state(1), told.append)
        training.epoch(1)
        assert not told, "it is not on the disk"
        assert checkpoint.restore(tmp_path, "mark") is None
        going.set()
    assert told == [training.steps_per_epoch]
    restored = checkpoint.restore(tmp_path, "mark")
    assert restored is not None
    assert restored.tensors.keys() == expected.keys()
    assert all(torch.equal(restored.tensors[name], tensor) for name, tensor in expected.items())
    assert not all(torch.equal(training.state(2).tensors[name], tensor) for name, tensor in expected.items())


def test_steps_go_first(tmp_path: Path, before: list[Callable[[Path], None]]) -> None:
    own, found = os.getpriority(os.PRIO_PROCESS, 0), []
    before.append(lambda _: found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
    with Writer(tmp_path, "mark", 2) as writer:
        writer.write(state(1), lambda _: None)
    assert found == [min(19, own + 10)]
    assert os.getpriority(os.PRIO_PROCESS, 0) == own


def test_a_checkpoint_waits_for_the_one_before_and_there_is_one_copy(
    tmp_path: Path, before: list[Callable[[Path], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    copied = Writer._copied

    def copying(self: Writer, one: State) -> State:
        log.append(f"copy {one.step}")
        return copied(self, one)

    def slow(_: Path) -> None:
        time.sleep(0.05)
        log.append("write")

    monkeypatch.setattr(Writer, "_copied", copying)
    before.append(slow)
    with Writer(tmp_path, "mark", 2) as writer:
        for step in (1, 2, 3):
            writer.write(state(step), lambda step: log.append(f"told {step}"))
    assert log == [what for step in (1, 2, 3) for what in (f"copy {step}", "write", f"told {step}")]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("where", ["step", "checkpoint", "end"])
def test_a_full_disk_ends_the_training(tmp_path: Path, before: list[Callable[[Path], None]], where: str) -> None:
    before.append(failing(errno.ENOSPC))
    told: list[int] = []

    def attempt() -> None:
        with Writer(tmp_path, "mark", 2) as writer:
            writer.write(state(1), told.append)
            while where == "step":
                writer.look()
            if where == "checkpoint":
                writer.write(state(2), told.append)

    with pytest.raises(Fault, match=r"could not be written .*: make the PersistentVolumeClaim larger") as caught:
        attempt()
    assert caught.value.reason == "StorageFailed"
    assert not isinstance(caught.value, StorageUnavailable)
    assert not told
    assert not list(tmp_path.iterdir())


def test_trouble_that_passes_is_waited_out_and_trouble_that_stays_is_told(
    tmp_path: Path, before: list[Callable[[Path], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "WAITS", (0.0, 0.0))
    before.append(failing(errno.EIO, times=2))
    told: list[int] = []
    with Writer(tmp_path, "mark", 2) as writer:
        writer.write(state(1), told.append)
    assert told == [1]
    before[:] = [failing(errno.ESTALE)]
    with pytest.raises(StorageUnavailable), Writer(tmp_path, "mark", 2) as writer:
        writer.write(state(2), told.append)
    assert told == [1]
    restored = checkpoint.restore(tmp_path, "mark")
    assert restored is not None and restored.step == 1


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_what_was_begun_is_written_where_the_training_is_stopped_or_fails(
    tmp_path: Path, before: list[Callable[[Path], None]], end: type[BaseException]
) -> None:
    stopped, told = threading.Event(), []

    def late(_: Path) -> None:
        assert stopped.wait(PATIENCE)
        time.sleep(0.1)  # whoever does not wait is gone by now

    before.append(late)

    def attempt() -> None:
        with Writer(tmp_path, "mark", 2) as writer:
            writer.write(state(1), told.append)
            stopped.set()
            raise end

    with pytest.raises(end):
        attempt()
    assert told == [1]


def test_why_a_training_failed_is_not_hidden_by_its_last_checkpoint(
    tmp_path: Path, before: list[Callable[[Path], None]], capsys: pytest.CaptureFixture[str]
) -> None:
    before.append(failing(errno.ENOSPC))

    def attempt() -> None:
        with Writer(tmp_path, "mark", 2) as writer:
            writer.write(state(1), lambda _: None)
            raise Fault("ProgramFailed", "the loss is not finite")

    with pytest.raises(Fault, match="the loss is not finite"):
        attempt()
    assert "the last checkpoint was not written: " in capsys.readouterr().err


def job(volumes: Path, **more: Any) -> dict[str, Any]:
    inputs, classes = blobs(120)
    write_csv(volumes / "claim/data.csv", inputs, classes)
    recipe = {"task": "tabular-classification", "model": {"architecture": "mlp"}, "epochs": 4, "batchSize": 8}
    data = {"train": {"storageUri": "pvc://claim/data.csv"}, "validationFraction": "0.25"}
    return training_job({"recipe": recipe, "data": data, "output": {"storageUri": "pvc://claim/model"}} | more)


class Looking(Heard):
    """Looks which checkpoints are on the disk when one is told of."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.told: dict[int, int] = {}  # step of the newest one there, by the step that was told

    def progress(self, report: dict[str, Any]) -> None:
        """One of many."""
        super().progress(report)
        if (last := report.get("lastCheckpoint")) is not None:
            newest = max(int(path.stem) for path in self.folder.iterdir() if path.suffix == ".checkpoint")
            self.told.setdefault(last["step"], newest)


def test_a_job_tells_of_a_checkpoint_that_is_on_the_disk(volumes: Path, before: list[Callable[[Path], None]]) -> None:
    before.append(lambda _: time.sleep(0.02))  # long enough for some steps
    document = job(volumes)
    heard = Looking(volumes / "claim/model/.train/checkpoints" / document["uid"])
    recipe.run(JobDocument.read(document), heard, Alone(heard))
    assert heard.told
    assert all(newest >= step for step, newest in heard.told.items())
    steps = 4 * -(-90 // 8)
    assert max(heard.told) == heard.told[max(heard.told)] == pytest.approx(steps, abs=4)


def test_a_job_whose_volume_is_full_says_so_and_tells_of_no_checkpoint(
    volumes: Path, before: list[Callable[[Path], None]]
) -> None:
    before.append(failing(errno.ENOSPC))
    heard = Heard()
    with pytest.raises(Fault, match="make the PersistentVolumeClaim larger"):
        recipe.run(JobDocument.read(job(volumes)), heard, Alone(heard))
    assert not any("lastCheckpoint" in report for report in heard.reports)


def test_the_last_epoch_is_told_of_where_checkpoints_are_rare(volumes: Path) -> None:
    reports, _ = alone(job(volumes, checkpoint={"everyEpochs": 3}))
    told = [report["lastCheckpoint"]["step"] for report in reports if "lastCheckpoint" in report]
    assert told == sorted(told)
    assert told[-1] % 4 == 0, "steps of all four epochs"


def _attempt(volumes: Path, document: dict[str, Any], last: int | None) -> None:
    """In a process of its own, which is killed after a step."""
    os.environ["TRADEWIND_PVC_ROOT"] = str(volumes)
    from tradewind_workload.train import voice

    class Voice(voice.Voice):
        def speak(self) -> None:
            if last is not None and self._training.step >= last:
                os.kill(os.getpid(), signal.SIGKILL)
            super().speak()

    learning.Voice = Voice  # type: ignore[misc]
    alone(document)


def test_a_training_that_is_killed_again_and_again_ends_with_the_same_bits(volumes: Path) -> None:
    """In its first epoch, in the second while the first one's checkpoint may be on its way, and so on."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["jobs", "tradewind_workload.compress.job", "tradewind_workload.train.result"])
    found = []
    for name, kills in (("whole", ()), ("killed", (5, 13, 27))):
        document = job(volumes, output={"storageUri": f"pvc://claim/{name}"})
        for last in (*kills, None):
            process = context.Process(target=_attempt, args=(volumes, document, last))
            process.start()
            process.join()
            assert process.exitcode == (0 if last is None else -signal.SIGKILL)
        folder, _ = locate(volumes / "claim" / name)
        found.append((folder / WEIGHTS).read_bytes())
    assert found[0] == found[1]
