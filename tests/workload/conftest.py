"""Ray for the tests that read data, and one training of the digits that several tests look at."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys

os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - else whatever runs beside the tests goes first
os.environ["RAY_prestart_worker_first_driver"] = "0"  # noqa: SIM112 - workers that most tests here do not use

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from endpoint import Endpoint, endpoint
from jobs import SOURCES, digits, finish, start, training_job
from matplotlib.figure import Figure

from tradewind_workload.measure import bench, measurement

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# Ray waits 30 s for its own processes, which a busy machine can take longer for.
STARTS = 4


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A Ray of this machine with room for two tasks, as the pods of a job are."""
    import ray

    os.environ["PYTHONPATH"] = SOURCES
    for turn in range(STARTS):
        try:
            ray.init(
                num_cpus=2,
                include_dashboard=False,
                object_store_memory=100 * 1024**2,
                log_to_driver=False,
                logging_level="ERROR",
            )
            break
        except Exception:
            ray.shutdown()
            if turn == STARTS - 1:
                raise
    os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address  # of the processes that tests start
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def _briefly(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compression here measures in two turns, and in this process: how sure its numbers are is what test_measurement.py
    asks. To start one takes as long as all of the rest."""
    if request.path.name != "test_measurement.py":
        monkeypatch.setattr(measurement, "PROCESSES", (2, 2))
        monkeypatch.setattr(measurement, "_bench", _measured_here)


# What looks at drawn plots.
DRAWN = ("test_report.py", "test_compression_report.py", "test_end_to_end.py", "test_local.py")


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports of jobs here have all that is to be drawn, and empty pictures: half of a small job would be drawing."""
    if request.path.name not in DRAWN:
        monkeypatch.setattr(Figure, "tight_layout", lambda _: None)
        monkeypatch.setattr(Figure, "savefig", lambda _, file, **__: file.write("<svg></svg>"))


def _measured_here(task: dict[str, Any]) -> Any:
    """What the process of tradewind_workload.measure.bench would answer."""
    answer = io.StringIO()
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(answer):
        patched.setattr(sys, "stdin", io.StringIO(json.dumps(task)))
        try:
            bench.main()
        except Exception as error:  # noqa: BLE001 -- as a process that ends so
            raise measurement.Unmeasured(f"the process that measured it ended with 1: {error}") from None
    return json.loads(answer.getvalue())


@pytest.fixture
def volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the volumes: pvc://claim/x is `claim/x` in it."""
    monkeypatch.setenv("TRADEWIND_PVC_ROOT", str(tmp_path))
    return tmp_path


@dataclass(frozen=True)
class Trained:
    """A finished TrainingJob of the digits."""

    volumes: Path
    spec: dict[str, Any]
    document: dict[str, Any]
    reports: list[dict[str, Any]]
    output: str
    held_out: tuple[np.ndarray, np.ndarray]


def digits_spec(output: str) -> dict[str, Any]:
    """A small network on the digits, with every kind of preparation that images have."""
    return {
        "recipe": {
            "task": "image-classification",
            "model": {"architecture": "cnn", "channels": [16, 32], "hiddenUnits": [64]},
            "optimizer": {"lr": "0.003"},
            "epochs": 8,
            "batchSize": 64,
            "seed": 3,
        },
        "data": {
            "train": {"storageUri": "pvc://claim/data/train.npz", "format": "npz"},
            "validation": {"storageUri": "pvc://claim/data/validation.npz", "format": "npz"},
            "inputs": ["image"],
            "label": "digit",
            "prepare": [
                {"dropNulls": {}},
                {"dropDuplicates": {}},
                {"standardize": {}},
                {"augment": {"shiftPixels": 1}},
            ],
        },
        "workers": 2,
        "output": {"storageUri": output},
    }


@pytest.fixture(scope="session")
def trained(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    volumes = tmp_path_factory.mktemp("volumes")
    images, classes = digits()
    data = volumes / "claim" / "data"
    data.mkdir(parents=True)
    np.savez(data / "train.npz", image=images[:1200], digit=classes[:1200])
    np.savez(data / "validation.npz", image=images[1200:1500], digit=classes[1200:1500])
    spec = digits_spec("pvc://claim/model")
    with endpoint(volumes / "mount") as operator:
        document = training_job(spec, url=operator.url)
        code, output = finish(start(document, volumes, TRADEWIND_MOUNT=str(operator.mount)))
        assert code == 0, output
        yield Trained(volumes, spec, document, operator.reports, output, (images[1500:], classes[1500:]))


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Endpoint]:
    with endpoint(tmp_path / "mount") as found:
        yield found
