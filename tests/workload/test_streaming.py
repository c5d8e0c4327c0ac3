"""Tables that are larger than memory: the same parts, fits and refusals as in memory, and no row is lost."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from jobs import alone, blobs, training_job, write_csv
from PIL import Image

from tradewind.api.data import Data
from tradewind.api.trainingjob import Recipe
from tradewind_workload.data import dealing, duplicates, reading, selection, splits, streaming
from tradewind_workload.data.dealing import deal, pile
from tradewind_workload.data.division import groups_of
from tradewind_workload.data.headers import read_headers
from tradewind_workload.data.preparation import Prepared, Room, prepare
from tradewind_workload.data.streamed import Streamed
from tradewind_workload.data.work import Here
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.store import open_model
from tradewind_workload.tasks.image import family as image
from tradewind_workload.tasks.tabular import family as tabular
from tradewind_workload.tasks.tabular import trees
from tradewind_workload.tasks.text import family as text
from tradewind_workload.train import judging
from tradewind_workload.train.streaming import Chunks, Strided

if TYPE_CHECKING:
    from pathlib import Path

    from tradewind_workload.data.work import Work

ROWS = 240
FILES = 3  # of the table


@pytest.fixture(autouse=True)
def many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file of the table gives several blocks, and no range of hashes holds more than a few."""
    monkeypatch.setattr("tradewind_workload.data.table.ROWS", 37)
    monkeypatch.setattr(reading, "BLOCK", 1)
    monkeypatch.setattr(duplicates, "HELD", 100)
    monkeypatch.setattr(streaming, "HELD", 50)


def write_table(volumes: Path, name: str, seed: int, **extra: list[Any]) -> None:
    """Numbers, a category, a group and a time, with values missing, rows twice, and a long tail; JSON lines."""
    random = np.random.default_rng(seed)
    inputs, classes = blobs(ROWS, 3, seed)
    folder = volumes / "claim" / name
    folder.mkdir(parents=True)
    lines = []
    for i in range(ROWS):
        row: dict[str, Any] = {f"f{k}": round(float(value), 3) for k, value in enumerate(inputs[i])}
        row |= {
            "tail": round(float(np.exp(random.normal(0, 3))), 3),
            "colour": str(random.choice(["red", "green", "blue"])),
            "group": f"g{random.integers(0, 40)}",
            "day": f"2026-{random.integers(1, 13):02d}-{random.integers(1, 29):02d}",
            "amount": round(float(inputs[i].sum() + random.normal()), 3),
            "label": ["a", "b", "c"][classes[i]],
        }
        row |= {column: values[i] for column, values in extra.items()}
        if random.random() < 0.1:
            row["f1"] = None
        lines.append(json.dumps(row))
        if random.random() < 0.1:
            lines.append(lines[random.integers(0, len(lines))])
    for number in range(FILES):
        part = lines[number::FILES]
        (folder / f"{number}.jsonl").write_text("\n".join(part) + "\n")


TAGS = ("red", "large", "rare")


def tags(seed: int) -> dict[str, list[Any]]:
    """Any number of labels a row, in one cell and in a column each; few rows have the last one."""
    sets = np.random.default_rng(seed).random((ROWS, 3)) < (0.5, 0.3, 0.02)
    columns = {name: sets[:, i].astype(int).tolist() for i, name in enumerate(TAGS)}
    return {"tags": [";".join(np.array(TAGS)[row]) for row in sets], **columns}


def data_of(**fields: Any) -> Data:
    settings = {"train": {"storageUri": "pvc://claim/table"}, "label": "label", "validationFraction": "0.25"} | fields
    if "labelColumns" in settings:
        del settings["label"]
    if settings["validationFraction"] is None:
        del settings["validationFraction"]
    return Data.model_validate(settings)


def task_of(data: Data) -> str:
    if data.label_columns or data.label_separator:
        return "tabular-multilabel-classification"
    return "tabular-regression" if data.label == "amount" else "tabular-classification"


def both(volumes: Path, data: Data, work: Work | None = None) -> tuple[Prepared, Prepared]:
    headers = read_headers(data, task_of(data), "either")
    room = Room(0, volumes / "rows", "a test")
    return prepare(data, headers, 3), prepare(data, headers, 3, work, room)


def all_rows(prepared: Prepared) -> dict[str, Any]:
    parts = {"train": prepared.train, "validation": prepared.validation, "test": prepared.test}
    found = {}
    for name, rows in parts.items():
        if rows is not None:
            held = rows.take(np.arange(len(rows)))
            found[name] = (repr(held.table().to_pylist()), held.targets.tolist(), held.places())
    return found


MATRIX = {"inputs": ["f0", "f1", "f2", "tail"]}
TWICE = {"dropDuplicates": {"columns": ["f0", "f2", "label"]}}
CASES: dict[str, dict[str, Any]] = {
    "a matrix with medians": {**MATRIX, "prepare": [{"impute": {"strategy": "median"}}, {"standardize": {}}]},
    "rows dropped": {"prepare": [{"dropNulls": {"columns": ["f1"]}}, TWICE], "testFraction": "0.2"},
    "by a group": {"split": {"by": "Group", "column": "group"}, "testFraction": "0.2", "prepare": [TWICE]},
    "by time": {"split": {"by": "Time", "column": "day"}, "testFraction": "0.2"},
    "data of its own": {
        "validationFraction": None,
        "validation": {"storageUri": "pvc://claim/held"},
        "testFraction": "0.1",
        "prepare": [TWICE],
    },
    "a number": {"label": "amount", "inputs": ["f0", "f1", "colour"]},
    "labels in cells": {"label": "tags", "labelSeparator": ";", "inputs": ["f0", "colour"], "testFraction": "0.2"},
    "labels in columns": {
        "labelColumns": list(TAGS),
        "inputs": ["f0", "colour"],
        "validationFraction": None,
        "validation": {"storageUri": "pvc://claim/held"},
    },
    "outliers": {"prepare": [{"dropOutliers": {"columns": ["tail"]}}, {"clip": {"columns": ["f0"]}}]},
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_as_in_memory(case: str, volumes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = data_of(**CASES[case])
    for name, seed in (("table", 1), ("held", 2)):
        write_table(volumes, name, seed, **(tags(seed) if "multilabel" in task_of(data) else {}))
    held, streamed = both(volumes, data)
    assert isinstance(streamed.train, Streamed)
    assert len(list(streamed.train.blocks())) > 2 * FILES
    assert "are streamed from files below the output folder" in capsys.readouterr().out
    if held.schema is not None:
        held, streamed = (tabular.without_outliers(one, data.prepare) for one in (held, streamed))
        fitted, other = (tabular.fit(one, data.prepare, trees=False).written() for one in (held, streamed))
        assert fitted == other
    assert all_rows(held) == all_rows(streamed)
    assert judging.head_of(streamed).guesses(1).tolist() == judging.head_of(held).guesses(1).tolist()
    assert streamed.split_digest == held.split_digest
    assert streamed.answers_digest == held.answers_digest
    assert streamed.notes == held.notes
    assert streamed.steps == held.steps
    for one, other in zip(held.stages, streamed.stages, strict=True):
        assert np.allclose(one.values, other.values, rtol=1e-6)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a label is missing": ({"label": "f1"}, "is missing in"),
    "no classes": ({"label": "f0"}, "is not a class"),
    "missing values": (MATRIX, "has a missing or not finite value in 'f1'"),
    "no value to divide by": ({"split": {"by": "Group", "column": "f1"}}, "is missing in"),
    "no time": ({"split": {"by": "Time", "column": "colour"}}, "can't be used"),
    "a class without a row": ({"split": {"by": "Group", "column": "label"}}, "without a training row"),
    "no label": ({"label": "f1", "labelSeparator": ";"}, "is missing in"),
    "one label a row": ({"label": "colour", "labelSeparator": ";"}, "never has ';'"),
    "lists of labels": ({"label": "lists", "labelSeparator": ","}, "has '[1, 2]', which is a list"),
    "a label of no row": ({"labelColumns": ["none", "f3"]}, "has no row with the label 'none'"),
    "very many labels": ({"label": "many", "labelSeparator": ";"}, "different labels in"),
    "no row left": ({"prepare": [{"dropNulls": {"columns": ["f2"]}}], "inputs": ["f0", "f2"]}, "has no row left"),
    "only rows that judge": (
        {"validationFraction": None, "validation": {"storageUri": "pvc://claim/table"}, "prepare": [TWICE]},
        "every training row is also in the validation data",
    ),
}


def test_rows_of_a_group_share_a_number(volumes: Path) -> None:
    """In memory as streamed; where a row has none, it is a group by itself."""
    write_table(volumes, "table", 1)
    write_table(volumes, "held", 2, group=[None if i % 5 == 0 else f"g{i % 7}" for i in range(ROWS)])
    own = {"validationFraction": None, "validation": {"storageUri": "pvc://claim/held"}, "testFraction": "0.2"}
    held, streamed = both(volumes, data_of(**CASES["by a group"] | own))
    for part, rows, other in (
        ("held", held.validation, streamed.validation),
        ("table", held.test, streamed.test),
    ):
        assert rows is not None and other is not None
        numbers, again = groups_of(rows), groups_of(other)
        assert numbers is not None and again is not None
        groups = []
        for number, place in enumerate(rows.places()):
            line, file = re.fullmatch(r"row (\d+) of (.*)", place).groups()  # type: ignore[union-attr]
            text = (volumes / "claim" / part / file).read_text().splitlines()[int(line) - 1]
            groups.append(json.loads(text)["group"] or f"alone {number}")
        for found in (numbers, again):
            assert len(set(found.tolist())) == len(set(groups)) == len(set(zip(found.tolist(), groups, strict=True)))
    without = both(volumes, data_of(**CASES["outliers"]))
    assert [groups_of(one.validation) for one in without] == [None, None]


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_the_same_words(case: str, volumes: Path) -> None:
    fields, expected = REFUSED[case]
    extra: dict[str, list[Any]] = {
        "lists": ["[1, 2]"] * ROWS,
        "none": [0] * ROWS,
        "f3": [1, 0] * (ROWS // 2),
        "many": [f"a;b{i}" for i in range(ROWS)],
    }
    data, said = data_of(**fields), list[str]()
    if case == "no row left":
        extra = {"f2": [None] * ROWS}
    write_table(volumes, "table", seed=1, **({} if fields is MATRIX else extra))
    headers = read_headers(data, task_of(data), "matrix" if fields is MATRIX else "either")
    for room in (None, Room(0, volumes / "rows", "a test")):
        with pytest.raises(Fault) as caught:
            prepare(data, headers, 3, None, room)
        said.append(caught.value.message)
    assert expected in said[0]
    assert said[0] == said[1]


def test_a_class_of_one_row_is_learnt(volumes: Path) -> None:
    """Its one row would be held back by this seed."""
    inputs, classes = blobs(300)
    names = np.array(["a", "b", "c"])[classes].astype("U4")
    data = data_of(train={"storageUri": "pvc://claim/t.csv"}, validationFraction="0.6")
    for row in range(20):
        some = names.copy()
        some[row] = "rare"
        write_csv(volumes / "claim" / "t.csv", inputs, some)
        held, streamed = both(volumes, data)
        assert streamed.labels == ("a", "b", "c", "rare")
        assert isinstance(streamed.train, Streamed)
        assert streamed.train.tally.classes.tolist() == np.bincount(held.train.targets).tolist()
        assert streamed.train.tally.classes[3] == 1


def test_of_very_many_rows_some_judge(
    volumes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(streaming, "JUDGED", 40)
    monkeypatch.setattr(streaming, "FEWEST", 10)
    write_table(volumes, "table", seed=1)
    held, streamed = both(volumes, data_of())
    assert len(streamed.validation) == 40
    assert set(streamed.validation.places()) < set(held.validation.places())
    assert f"{len(held.validation)} validation rows: 40 of them, evenly spaced, judge" in capsys.readouterr().out
    assert streamed.split_digest == held.split_digest


def dealt_rows(chunks: tuple[dealing.Pile, ...]) -> list[bytes]:
    return [record.tobytes() for chunk in chunks for record in chunk.load()]


def test_every_row_is_dealt_to_one_worker_and_seen_once_an_epoch(
    volumes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dealing, "CHUNK", 400)
    write_table(volumes, "table", seed=1)
    held, streamed = both(volumes, data_of(inputs=["f0", "f2"]))
    assert isinstance(streamed.train, Streamed)
    dealt = deal(streamed.train, 2, 5, volumes / "dealt")
    assert all(len(chunks) > 2 for chunks in dealt.workers)
    there = sorted(row for chunks in dealt.workers for row in dealt_rows(chunks))
    whole = np.concatenate([chunk.load() for chunks in dealt.workers for chunk in chunks])
    expected = [
        np.array([(row, target)], whole.dtype).tobytes()
        for row, target in zip(held.train.load(), held.train.targets, strict=True)
    ]
    assert there == sorted(expected)
    assert dealt_rows(deal(streamed.train, 2, 5, volumes / "again").workers[1]) == dealt_rows(dealt.workers[1])
    source = Chunks(dealt.workers[0], dealt.sizes, 0, lambda targets: targets)
    epochs = [[batch for batch, _ in source.batches([5, 2, epoch, 0], 7)] for epoch in (0, 0, 1)]
    sizes = [len(batch) for batch in epochs[0]]
    assert len(sizes) == 7
    assert max(sizes) - min(sizes) <= 1
    rows = [np.concatenate([batch.numpy() for batch in epoch]) for epoch in epochs]
    assert np.array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0], rows[2])
    assert len(rows[0]) == dealt.sizes[0]
    assert np.array_equal(np.sort(rows[0], axis=0), np.sort(rows[2], axis=0))
    asked = pile(streamed.validation, volumes / "dealt" / "validation")
    inputs = streamed.validation.load()
    for rank in range(3):
        share = Strided(asked, rank, 3)
        assert np.array_equal(np.concatenate([share[0:5], share[5 : len(share) + 9]]), inputs[rank::3])


def job(volumes: Path, output: str, memory: str, data: dict[str, Any] | None = None, **recipe: Any) -> dict[str, Any]:
    data = data or {"label": "label"}
    kind = "multilabel-classification" if "labelColumns" in data else "classification"
    spec = {
        "workers": 1,
        "resources": {"memory": memory},
        "data": {"train": {"storageUri": "pvc://claim/t.csv"}, "validationFraction": "0.25", **data},
        "recipe": {"task": f"tabular-{kind}", **recipe},
        "output": {"storageUri": f"pvc://claim/{output}"},
    }
    return training_job(spec)


@pytest.mark.parametrize("several", [False, True], ids=["a class", "labels"])
@pytest.mark.parametrize("architecture", ["mlp", "trees"])
def test_a_job_streams_where_its_memory_asks_for_it(architecture: str, volumes: Path, *, several: bool) -> None:
    """With all rows in each step, both ways make the same steps: the answers differ in their last digits alone."""
    inputs, classes = blobs(600)
    data = None
    if several:
        data = {"labelColumns": ["red", "large"], "inputs": ["f0", "f1"]}
        lines = [
            f"{row[0]},{row[1]},{int(kind > 0)},{int(kind < 2)}" for row, kind in zip(inputs, classes, strict=True)
        ]
        (volumes / "claim").mkdir(exist_ok=True)
        (volumes / "claim" / "t.csv").write_text("\n".join(["f0,f1,red,large", *lines]))
    else:
        write_csv(volumes / "claim" / "t.csv", inputs, np.array(["a", "b", "c"])[classes])
    recipe: dict[str, Any] = {"model": {"architecture": architecture}}
    if architecture == "trees":
        # Enough for both: where rows are held, trees may start from a linear model.
        recipe["model"]["trees"] = {"rounds": 200}
    else:
        recipe |= {"epochs": 4, "batchSize": 600, "optimizer": {"lr": "0.01"}}
        recipe["model"] |= {"dropout": "0"}
    metrics = []
    for output, memory in (("held", "1Gi"), ("streamed", "8Ki")):
        _, log = alone(job(volumes, output, memory, data, **recipe))
        assert ("more than 0 MB (1/8 of spec.resources.memory)" in log) is (output == "streamed")
        (folder,) = (volumes / "claim" / output / "models").iterdir()
        manifest, _ = open_model(folder)
        metrics.append({metric.name: float(metric.value) for metric in manifest.metrics})
        assert not list((volumes / "claim" / output / ".train").glob("rows/*"))
    assert metrics[0] == pytest.approx(metrics[1], abs=0.02 if architecture == "trees" else 1e-4)


def test_trees_grow_from_as_many_rows_as_memory_has_room_for(volumes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a table sorted by class, too: what is left out is a matter of chance."""
    monkeypatch.setattr(dealing, "CHUNK", 2000)
    inputs, classes = blobs(600)
    order = np.argsort(classes, kind="stable")
    write_csv(volumes / "claim" / "t.csv", inputs[order], np.array(["a", "b", "c"])[classes[order]])
    _, log = alone(job(volumes, "few", "48Ki", model={"architecture": "trees", "trees": {"rounds": 100}}))
    told = re.search(r"the trees grow from (\d+) of (\d+) training rows, drawn by chance: XGBoost holds 64 bytes", log)
    assert told is not None, log
    grown, every = map(int, told.groups())
    assert 100 < grown <= 48 * 1024 // 4 // 64 < every
    (folder,) = (volumes / "claim" / "few" / "models").iterdir()
    manifest, _ = open_model(folder)
    accuracy = next(float(metric.value) for metric in manifest.metrics if metric.name == "accuracy")
    assert accuracy > 0.9
    assert told.group() in (folder / "report.json").read_text()


def test_bins_are_those_of_a_sample() -> None:
    random = np.random.default_rng(0)
    rows = np.stack([random.normal(size=5000), random.integers(0, 9, 5000), np.full(5000, np.nan)], axis=1)
    rows[:100, 0] = np.nan
    edges = trees.edges(rows.astype(np.float32))
    counted = np.diff(np.searchsorted(np.sort(rows[100:, 0].astype(np.float32)), edges[:, 0], side="right"))
    assert set(counted) <= {4900 // trees.BINS, 4900 // trees.BINS + 1}
    assert np.unique(edges[:, 1]).tolist() == list(range(9))
    assert not edges[:, 2].any()


def test_texts_are_streamed_too(volumes: Path) -> None:
    write_table(volumes, "table", seed=1, note=[f"the {word} one" for word in ["good", "bad"] * (ROWS // 2)])
    data = data_of(inputs=["note"])
    headers = read_headers(data, "text-classification", "texts")
    recipe = Recipe.model_validate({"task": "text-classification", "model": {"architecture": "bag"}})
    fitted = []
    for room in (None, Room(0, volumes / "rows", "a test")):
        prepared = prepare(data, headers, 3, None, room)
        fitted.append(text.fit(prepared, recipe))
    assert isinstance(prepared.train, Streamed)
    assert fitted[0] == fitted[1]
    encoded = prepared.train.encoded(fitted[1].rows, fitted[1].shape)
    ((chunk,),) = deal(encoded, 1, 0, volumes / "dealt").workers
    assert chunk.load()["inputs"].dtype == np.int32


def write_pictures(folder: Path, kind: str) -> None:
    """Red and blue ones with some noise, in a folder each or named by a table, with more than one label or not."""
    random = np.random.default_rng(2)
    lines = ["image,label"]
    for name, channel in (("red", 0), ("blue", 2)):
        (folder / name).mkdir(parents=True)
        for i in range(30):
            pixels = random.integers(0, 120, (20, 16, 3))
            pixels[..., channel] += 100
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")
            lines.append(f"{name}/{i}.png,{name}{';odd' if kind == 'labels' and i % 2 else ''}")
    if kind != "folders":
        (folder / "table.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("kind", ["folders", "paths", "labels"])
def test_pictures_are_streamed_too(kind: str, volumes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(volumes / "claim" / "pictures", kind)
    uri = f"pvc://claim/pictures{'' if kind == 'folders' else '/table.csv'}"
    columns = [] if kind == "folders" else [{"name": "image", "type": "image"}]
    several = {"labelSeparator": ";"} if kind == "labels" else {}
    data = data_of(
        train={"storageUri": uri}, columns=columns, prepare=[{"dropDuplicates": {}}], testFraction="0.2", **several
    )
    task = f"image-{'multilabel-' if several else ''}classification"
    headers = read_headers(data, task)
    recipe = Recipe.model_validate({"task": task, "model": {"architecture": "cnn"}})
    found = []
    for held in (1 << 30, 0):
        prepared = prepare(data, headers, 3, None, Room(held, volumes / "rows", "a test"))
        found.append((prepared, image.fit(prepared, recipe, data)))
    (held_rows, fitted), (streamed, other) = found
    assert "has 0 MB of values, more than 0 MB (a test): its rows are streamed" in capsys.readouterr().out
    assert isinstance(streamed.train, Streamed) and not isinstance(held_rows.train, Streamed)
    assert fitted == other
    assert all_rows(held_rows) == all_rows(streamed)
    assert streamed.split_digest == held_rows.split_digest
    encoded = streamed.train.encoded(fitted.rows, fitted.shape)
    ((chunk,),) = deal(encoded, 1, 0, volumes / "dealt").workers
    pixels = held_rows.train.encoded(fitted.rows, fitted.shape).load()
    assert chunk.load()["inputs"].dtype == np.uint8
    assert sorted(row.tobytes() for row in chunk.load()["inputs"]) == sorted(row.tobytes() for row in pixels)


@pytest.mark.parametrize("kind", ["<f4", "<f8", "<i8"])
def test_ranks_are_exact(kind: str) -> None:
    random = np.random.default_rng(0)
    values = (random.normal(size=3000) * 10.0 ** random.integers(-3, 4, 3000)).astype(kind)
    values[:50], values[50:60] = 0, -values[50:60] * 0
    keys = selection.sortable(values)
    assert np.array_equal(selection.restored(keys, values.dtype)[np.argsort(keys)], np.sort(values))
    ranks = np.array([0, 1, 1499, 1500, 2999])

    def count(starts: tuple[int, ...], done: int, bits: int) -> Any:
        return (np.stack([selection.counts(some, start, done, bits) for start in starts]) for some in np.split(keys, 6))

    found = selection.restored(selection.select(count, ranks, keys.dtype), values.dtype)
    assert np.array_equal(found, np.sort(values)[ranks])


def test_the_digest_does_not_depend_on_how_much_is_held(volumes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.random.default_rng(0).integers(0, 2**64, 1000, np.uint64)
    pieces = iter(np.split(np.sort(hashes), 4))
    assert splits.digest_of({"train": (1000, pieces)}) == splits.digest({"train": hashes})


def test_work_is_not_ahead_of_who_asks() -> None:
    """A result that is not asked for is not made, so none waits in memory."""
    made: list[int] = []
    results = Here().each(made.append, ((number,) for number in range(10)))
    next(results)
    assert len(made) == 1
