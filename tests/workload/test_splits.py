"""Splits: a row's part is its own, equal rows and groups stay together, the newest come last."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest

from tradewind_workload.data import splits
from tradewind_workload.data.splits import TEST, TRAINING, VALIDATION, Fractions

SHARES = Fractions(0.2, 0.1)


def rows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)


def test_a_data_set_that_grows_keeps_its_split_in_any_order() -> None:
    before = rows(500)
    after = np.random.default_rng(9).permutation(np.concatenate([before, rows(700, seed=1)]))
    parts = dict(zip(map(bytes, after), splits.by_hash(splits.contents(after), SHARES, 3), strict=True))
    for row, part in zip(before, splits.by_hash(splits.contents(before), SHARES, 3), strict=True):
        assert parts[bytes(row)] == part


def test_shares_and_seeds() -> None:
    hashes = splits.contents(rows(20_000))
    parts = splits.by_hash(hashes, SHARES, 0)
    assert np.bincount(parts) / 20_000 == pytest.approx([0.7, 0.2, 0.1], abs=0.02)
    other = splits.by_hash(hashes, SHARES, 1)
    assert np.mean(other == parts) == pytest.approx(0.7**2 + 0.2**2 + 0.1**2, abs=0.02)
    assert (splits.by_hash(hashes, Fractions(0.0, 0.0), 0) == TRAINING).all()


def test_a_test_part_leaves_the_validation_part_as_it_was() -> None:
    hashes = splits.contents(rows(1000))
    alone = splits.by_hash(hashes, Fractions(0.2, 0.0), 0)
    np.testing.assert_array_equal(splits.by_hash(hashes, SHARES, 0) == VALIDATION, alone == VALIDATION)


def test_equal_rows_stay_together() -> None:
    twice = np.concatenate([rows(300), rows(300)])
    twice[0, 0], twice[300, 0] = 0.0, -0.0
    twice[1, 1] = twice[301, 1] = np.nan
    parts = splits.by_hash(splits.contents(twice), SHARES, 0)
    np.testing.assert_array_equal(parts[:300], parts[300:])


def test_hashes_are_those_of_every_version() -> None:
    """Another hash would give every model that is trained anew another split."""
    assert splits.contents(np.array([[1.5, -2.0]], np.float32)).tolist() == [8540456881415867208]
    assert splits.groups(pa.array(["customer"])).tolist() == [7684015199182067155]
    parts = splits.by_hash(np.arange(12, dtype=np.uint64), Fractions(0.3, 0.3), 7)
    assert parts.tolist() == [
        2,
        2,
        1,
        1,
        0,
        0,
        1,
        1,
        0,
        0,
        2,
        1,
    ]


def test_groups_stay_together_whatever_type_a_file_gave_them() -> None:
    names = np.repeat([f"machine {i}" for i in range(200)], 5)
    parts = splits.by_hash(splits.groups(pa.array(names)), SHARES, 0).reshape(200, 5)
    assert (parts == parts[:, :1]).all()
    assert set(parts[:, 0]) == {TRAINING, VALIDATION, TEST}
    whole = splits.groups(pa.array([1, 20, 300]))
    for same in (pa.array([1.0, 20.0, 300.0]), pa.array(["1", "20", "300"])):
        np.testing.assert_array_equal(splits.groups(same), whole)
    np.testing.assert_array_equal(
        splits.groups(pa.array(["a", "b"]).dictionary_encode()), splits.groups(pa.array(["a", "b"]))
    )
    with pytest.raises(ValueError, match="a group is a text or a number"):
        splits.groups(pa.array([[1], [2]]))


def test_the_newest_are_test_and_those_before_them_validation() -> None:
    moments = np.random.default_rng(0).permutation(100)
    parts = splits.by_time(moments, SHARES)
    assert moments[parts == TEST].min() == 90
    assert sorted(moments[parts == VALIDATION]) == list(range(70, 90))
    assert moments[parts == TRAINING].max() == 69


def test_equal_times_stay_together() -> None:
    days = np.repeat(np.arange(10), 7)
    parts = splits.by_time(days, Fractions(0.25, 0.15)).reshape(10, 7)
    assert (parts == parts[:, :1]).all()
    assert parts[:, 0].tolist() == sorted(parts[:, 0], key=[TRAINING, VALIDATION, TEST].index)
    assert (splits.by_time(np.zeros(20), SHARES) == TEST).all()  # what can't be divided leaves no training data


def test_times_of_every_form_are_in_order() -> None:
    days = [date(2026, 1, 31), date(2025, 12, 1), date(2026, 2, 1)]
    moments = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days]
    for column in (
        pa.array(days),
        pa.array(moments, pa.timestamp("ns", "Europe/Berlin")),
        pa.array(moments, pa.timestamp("s")),
        pa.array([2026.08, 2025.92, 2026.09]),
        pa.array([20260131, 20251201, 20260201]),
    ):
        assert np.argsort(splits.times(column)).tolist() == [1, 0, 2]
    with pytest.raises(ValueError, match="a time is written as"):
        splits.times(pa.array(["yesterday"]))


def test_every_class_keeps_a_training_row_and_equal_rows_stay_together() -> None:
    hashes = np.array([5, 3, 3, 9, 1], np.uint64)
    classes = np.array([0, 1, 0, 1, 0])
    parts = np.array([TRAINING, VALIDATION, VALIDATION, TEST, TRAINING], np.int8)
    kept = splits.with_all_classes(parts, hashes, classes)
    assert kept.tolist() == [TRAINING, TRAINING, TRAINING, TEST, TRAINING]
    np.testing.assert_array_equal(splits.with_all_classes(kept, hashes, classes), kept)


def test_a_digest_tells_which_rows_are_where() -> None:
    hashes = splits.contents(rows(50))
    whole = splits.digest({"train": hashes[:40], "validation": hashes[40:]})
    mixed = splits.digest({"validation": hashes[40:][::-1], "train": hashes[:40][::-1]})
    assert whole == mixed
    assert whole.startswith("sha256:")
    moved = splits.digest({"train": hashes[:39], "validation": hashes[39:]})
    swapped = splits.digest({"train": hashes[40:], "validation": hashes[:40]})
    assert len({whole, moved, swapped}) == 3


@pytest.mark.parametrize("seed", range(30))
def test_no_part_of_a_handful_of_rows_is_empty(seed: int) -> None:
    hashes = splits.contents(np.arange(6, dtype=np.float32)[:, None])
    parts = splits.by_hash(hashes, splits.Fractions(0.1, 0.1), seed)
    assert set(parts.tolist()) == {splits.TRAINING, splits.VALIDATION, splits.TEST}
    grown = np.concatenate([hashes, splits.contents(np.arange(6, 500, dtype=np.float32)[:, None])])
    plain = splits.by_hash(grown, splits.Fractions(0.1, 0.1), seed)
    assert (plain[:6] != parts).sum() <= 2  # only what filled a part that was empty
