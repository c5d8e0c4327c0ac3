"""npz files are read some rows at a time: what comes is what NumPy reads, and a set that does not fit is not held."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from jobs import alone, blobs, training_job

from tradewind.api.data import Data
from tradewind.api.report import Report
from tradewind_workload.data import arrays, reading
from tradewind_workload.data.arrays import arrays_of, batches_of
from tradewind_workload.data.headers import read_headers
from tradewind_workload.data.preparation import Prepared, Room, prepare
from tradewind_workload.data.streamed import Streamed
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SAVES: list[Callable[..., None]] = [np.savez, np.savez_compressed]
ORDERS = [np.ascontiguousarray, np.asfortranarray]
ROWS = 101

saved = pytest.mark.parametrize("save", SAVES, ids=["stored", "compressed"])
streamed = pytest.mark.parametrize(
    ("save", "order"), [(np.savez, ORDERS[0]), (np.savez, ORDERS[1]), (np.savez_compressed, ORDERS[0])]
)
ordered = pytest.mark.parametrize("order", ORDERS, ids=["by row", "by column"])


def kinds() -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {
        "float64": random.normal(size=(ROWS, 7)),
        "big-endian": random.normal(size=(ROWS, 2)).astype(">f4"),
        "pixels": random.integers(0, 255, (ROWS, 3, 5, 2)).astype(np.uint8),
        "truth": random.random((ROWS, 2)) < 0.5,
        "texts": random.choice(["a", "bcd", "ä"], (ROWS, 2)),
        "bytes": random.choice([b"a", b"bcd"], ROWS),
        "day": np.arange(ROWS).astype("datetime64[D]").reshape(ROWS, 1),
        "nothing": np.zeros((ROWS, 0)),
        "label": random.integers(0, 3, ROWS),
    }


@saved
@ordered
@pytest.mark.parametrize("most", [1, 17, 1000])
def test_the_rows_are_those_that_numpy_reads(
    save: Callable[..., None], order: Callable[..., np.ndarray], most: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.npz"
    save(path, **{name: order(array) for name, array in kinds().items()})
    found = list(batches_of(str(path), most))
    assert len(found) == -(-ROWS // most)
    with np.load(path) as expected:
        assert list(found[0]) == list(expected)
        for name in expected:
            assert found[0][name].dtype == expected[name].dtype
            whole = np.concatenate([batch[name] for batch in found])
            np.testing.assert_array_equal(whole, expected[name])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "BATCH", 1 << 16)
    monkeypatch.setattr(reading, "BLOCK", 1 << 18)


@pytest.fixture(autouse=True)
def claim(volumes: Path) -> None:
    (volumes / "claim").mkdir()


def prepared(volumes: Path, room: Room | None, *steps: dict[str, Any]) -> Prepared:
    data = Data.model_validate(
        {"train": {"storageUri": "pvc://claim/t.npz"}, "validationFraction": "0.2", "prepare": [*steps]}
    )
    return prepare(data, read_headers(data, "tabular-classification"), 3, room=room)


def rows_of(found: Prepared) -> list[Any]:
    parts = (found.train.take(np.arange(len(found.train))), found.validation)
    return [(rows.load().tobytes(), rows.targets.tolist(), rows.places()) for rows in parts]


@saved
@ordered
def test_a_damaged_value_is_not_read_as_another_one(
    save: Callable[..., None], order: Callable[..., np.ndarray], volumes: Path, small: None
) -> None:
    """Also where the rows are read beside the zip's own reader, which looks at the checksum."""
    path = volumes / "claim/t.npz"
    save(path, x=order(np.random.default_rng(1).normal(size=(ROWS, 7))), label=np.arange(ROWS) % 2)
    content = bytearray(path.read_bytes())
    content[arrays_of(str(path))[0].start + 200] ^= 1
    path.write_bytes(content)
    with pytest.raises(Fault, match=r"t\.npz can't be read as npz: .*\. Correct the file\."):
        prepared(volumes, None)


@ordered
def test_an_array_without_its_last_rows_is_not_filled_up(
    order: Callable[..., np.ndarray], volumes: Path, small: None
) -> None:
    """Behind it in the file stand the bytes of another one."""
    whole, header = io.BytesIO(), {"descr": "<f8", "fortran_order": order is np.asfortranarray, "shape": (ROWS, 7)}
    np.lib.format.write_array_header_1_0(whole, header)
    label = io.BytesIO()
    np.save(label, np.arange(ROWS) % 2)
    with zipfile.ZipFile(volumes / "claim/t.npz", "w") as archive:
        archive.writestr("x.npy", whole.getvalue() + bytes(8 * 7 * ROWS - 8))
        archive.writestr("label.npy", label.getvalue())
    with pytest.raises(Fault, match=r"t\.npz can't be read as npz: the array 'x' ends before its last row"):
        prepared(volumes, None)


@streamed
def test_streamed_arrays_give_what_held_ones_give(
    save: Callable[..., None], order: Callable[..., np.ndarray], volumes: Path, small: None
) -> None:
    inputs, classes = blobs(2000, 5)
    inputs[7, 2] = np.nan
    inputs[11], classes[11] = inputs[900], classes[900]
    save(volumes / "claim/t.npz", x=order(inputs), label=classes.astype(float))
    steps: tuple[dict[str, Any], ...] = (
        {"dropDuplicates": {}},
        {"impute": {"strategy": "median"}},
        {"standardize": {}},
    )
    room = Room(inputs.nbytes - 1, volumes / "rows", "a test")
    held, found = prepared(volumes, None, *steps), prepared(volumes, room, *steps)
    assert isinstance(found.train, Streamed) and not isinstance(held.train, Streamed)
    assert rows_of(found) == rows_of(held)
    assert (found.split_digest, found.labels) == (held.split_digest, held.labels)
    for mine, other in zip(found.stages, held.stages, strict=True):
        np.testing.assert_allclose(mine.values, other.values, rtol=1e-6)
    assert len(held.train) + len(held.validation) == 1999
    fits = Room(inputs.nbytes, volumes / "rows", "a test")
    assert not isinstance(prepared(volumes, fits, *steps).train, Streamed)


def test_numbers_of_another_machine_are_the_same_numbers(volumes: Path) -> None:
    inputs, classes = blobs(50)
    found = []
    for order in "<>":
        np.savez(volumes / "claim/t.npz", x=inputs.astype(f"{order}f8"), label=classes.astype(f"{order}i4"))
        found.append(rows_of(prepared(volumes, None)))
    assert found[0] == found[1]


@streamed
def test_a_set_three_times_as_large_as_memory_is_never_held(
    save: Callable[..., None], order: Callable[..., np.ndarray], volumes: Path, small: None
) -> None:
    """What NumPy and Arrow have of it at most, of which the second one is counted by itself."""
    save(volumes / "claim/t.npz", x=np.eye(40), label=np.arange(40) % 2)
    prepared(volumes, Room(0, volumes / "rows", "a test"))  # what is imported for it is none of the set
    rows = order(np.random.default_rng(1).integers(0, 100, (1500, 500)).astype(float))
    save(volumes / "claim/t.npz", x=rows, label=np.arange(1500) % 2)
    limit = rows.nbytes // 3
    del rows
    pool, before = pa.proxy_memory_pool(pa.default_memory_pool()), pa.default_memory_pool()
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        found = prepared(volumes, Room(limit // 8, volumes / "rows", "a test"))
        assert isinstance(found.train, Streamed)
        peak = tracemalloc.get_traced_memory()[1] + pool.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(before)
    assert peak < limit


def test_what_can_not_be_read_by_rows_and_does_not_fit_is_refused(volumes: Path, small: None) -> None:
    inputs, classes = blobs(2000, 5)
    inputs = np.asfortranarray(np.repeat(inputs, 20, 1).astype(float))
    np.savez_compressed(volumes / "claim/t.npz", x=inputs, label=classes)
    with pytest.raises(Fault, match=r"t\.npz: the array 'x' has 2 MB of values, more than 0 MB \(a test\)") as caught:
        prepared(volumes, Room(1000, volumes / "rows", "a test"))
    assert caught.value.reason == "InvalidData"
    for save, advised in ((np.savez, inputs), (np.savez_compressed, np.ascontiguousarray(inputs))):
        save(volumes / "claim/t.npz", x=advised, label=classes)
        assert isinstance(prepared(volumes, Room(1000, volumes / "rows", "a test")).train, Streamed)


def test_a_job_streams_arrays(volumes: Path) -> None:
    inputs, classes = blobs(600)
    np.savez_compressed(volumes / "claim/t.npz", x=inputs, label=classes)
    spec: dict[str, Any] = {
        "recipe": {"task": "tabular-classification", "model": {"architecture": "mlp"}, "epochs": 10, "batchSize": 32},
        "data": {"train": {"storageUri": "pvc://claim/t.npz"}, "validationFraction": "0.2"},
        "resources": {"memory": "8Ki"},
        "output": {"storageUri": "pvc://claim/model"},
    }
    reports, log = alone(training_job(spec))
    assert "its rows are streamed from files" in log
    model = Report.read(reports[-1]).model
    assert model is not None and model.evaluation is not None
    assert float(model.evaluation.value) > 0.9
