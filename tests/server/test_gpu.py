"""A model on a GPU, as far as that shows without one: who asks for it, and in which shapes it is asked.

What only a GPU shows is in `python -m e2e.bench.gpu`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import graphs
import numpy as np
import onnxruntime
import pytest
from process import PATIENCE, SOURCES, Process
from test_learning import ENDLESS, ROWS, Timed

from tradewind_server.folder import Unservable
from tradewind_server.gpu import OnGpu, opened, size_for
from tradewind_server.hardware import gpus
from tradewind_server.learning import Clock, learn


@pytest.mark.parametrize(
    ("rows", "size"), [(1, 1), (2, 2), (3, 4), (5, 8), (8, 8), (9, 16), (16, 16), (17, 32), (33, 48), (4096, 4096)]
)
def test_rows_are_filled_up_to_few_sizes(rows: int, size: int) -> None:
    assert size_for(rows, largest=16) == size


class Seen:
    """A session, and the rows that it was asked for; it fails when told to."""

    def __init__(self) -> None:
        proto = graphs.classifier()
        session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        self.get_inputs, self.get_outputs, self.get_providers = (
            session.get_inputs,
            session.get_outputs,
            session.get_providers,
        )
        self._session = session
        self.rows: list[int] = []
        self.broken = False

    def run(self, wanted: Sequence[str], tensors: Mapping[str, Any], options: Any = None) -> list[Any]:
        if self.broken:
            raise RuntimeError("CUDA failure 700: an illegal memory access was encountered")
        self.rows.append(len(next(iter(tensors.values()))))
        return list(self._session.run(wanted, tensors, options))


def test_added_rows_are_in_no_answer() -> None:
    seen = Seen()
    model = OnGpu(seen, lambda: seen, recorded=False)  # type: ignore[arg-type, return-value]
    (node,) = seen.get_inputs()
    values = np.random.default_rng(0).standard_normal((5, *node.shape[1:])).astype(np.float32)
    names = [output.name for output in seen.get_outputs()]
    before = model.run(names, {node.name: values})
    model.largest = 16
    after = model.run(names, {node.name: values})
    assert seen.rows == [5, 8]  # 5 as long as nobody knows whether rows change each other
    for one, other in zip(before, after, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_process_whose_gpu_is_broken_ends(tmp_path: Path) -> None:
    program = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from test_gpu import Seen
from tradewind_server.gpu import OnGpu
from tradewind_server import logs
logs.configure("text")
seen = Seen()
model = OnGpu(seen, lambda: seen, recorded=False)
node = seen.get_inputs()[0]
names = [output.name for output in seen.get_outputs()]
row = {node.name: np.zeros((1, *node.shape[1:]), np.float32)}
model.run(names, row)
try:
    model.run(names, {node.name: np.zeros((1, 99), np.float32)})
except Exception as error:
    print("refused", type(error).__name__, flush=True)
seen.broken = True
model.run(names, row)
print("still there", flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([SOURCES, str(Path(__file__).parents[2])])},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert "refused InvalidArgument" in done.stdout  # a client's mistake ends nothing
    assert "still there" not in done.stdout
    assert "the GPU does not compute any more: CUDA failure 700" in done.stdout + done.stderr


def test_asked_for_and_absent_is_not_ready(tmp_path: Path) -> None:
    folder = graphs.save(graphs.classifier(), tmp_path / "model")
    process = Process(folder, tmp_path / "log", env={"TRADEWIND_DEVICE": "gpu"})
    try:
        assert process.popen.wait(PATIENCE) == 1
        assert "a GPU is asked for, and the ONNX Runtime of this image is built for CPUs only" in process.log
        assert "images.serverGpu" in process.log
    finally:
        process.close()


def test_a_gpu_that_does_not_start_is_said_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what ONNX Runtime 1.31.1 raised on a machine whose GPU was hidden from it."""
    said = (
        "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:154 std::conditional_t<THRW, void, "
        "onnxruntime::common::Status> onnxruntime::CudaCall(ERRTYPE, const char*, int) [with ERRTYPE = cudaError; bool "
        "THRW = true] CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=vm ; file=/"
        "onnxruntime_src/onnxruntime/core/providers/cuda/cuda_execution_provider.cc ; line=355 ; "
    )

    def raising(*_: Any, **__: Any) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", raising)
    with pytest.raises(Unservable) as refused:
        opened(b"", onnxruntime.SessionOptions())
    assert str(refused.value) == (
        "a GPU is asked for, and ONNX Runtime can't use one (CUDA failure 100: no CUDA-capable device is detected). The"
        " container has none: check the node's driver and device plugin, and that the image has CUDA 13 and cuDNN 9"
    )


def test_runs_that_prepare_for_a_size_are_not_timed() -> None:
    """On a GPU the first runs of a shape take a hundred times as long."""

    def seconds(rows: int) -> float:
        first = model.rows.count(rows) <= 2
        return 0.5 if first else 0.001

    model = Timed(seconds)
    assert learn(model, ROWS, 16, ENDLESS, clock=Clock(lambda: model.now)).rows == 1
    model = Timed(seconds)
    found = learn(model, ROWS, 16, ENDLESS, clock=Clock(lambda: model.now, cold=2))
    assert found.rows == 16
    assert found.seconds[1] == pytest.approx(0.001)


def test_the_driver_names_the_gpus(tmp_path: Path) -> None:
    assert gpus(tmp_path) is None
    for number in (0, 1):
        folder = tmp_path / f"gpus/0000:00:0{number}.0"
        folder.mkdir(parents=True)
        (folder / "information").write_text("Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 41\n")
    (tmp_path / "version").write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (build@)\nGCC version: 15"
    )
    assert gpus(tmp_path) == "NVIDIA H100 80GB HBM3, NVIDIA H100 80GB HBM3 (driver 580.159.04)"
