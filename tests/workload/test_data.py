"""Reading and preparing: what is wrong is refused in a sentence, what is fitted saw the training split only."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from jobs import blobs, write_csv

from tradewind.api.data import Data, Dataset
from tradewind_workload.data import files, opening
from tradewind_workload.data.headers import read_headers
from tradewind_workload.data.preparation import Prepared, prepare
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from pathlib import Path

CSV = {"storageUri": "pvc://claim/train.csv", "format": "csv"}
HELD = {"storageUri": "pvc://claim/validation.csv", "format": "csv"}
NPZ = {"storageUri": "pvc://claim/train.npz", "format": "npz"}


def prepared(task: str = "tabular-classification", seed: int = 0, **fields: Any) -> Prepared:
    settings = {"train": CSV, "validationFraction": "0.25"} | fields
    if "validation" in fields:
        del settings["validationFraction"]
    data = Data.model_validate(settings)
    return prepare(data, read_headers(data, task), seed)


def refusal(task: str = "tabular-classification", **fields: Any) -> str:
    with pytest.raises(Fault) as caught:
        prepared(task, **fields)
    assert caught.value.reason == "InvalidData"
    return caught.value.message


def save(volumes: Path, **arrays: Any) -> None:
    (volumes / "claim").mkdir(exist_ok=True)
    np.savez(volumes / "claim" / "train.npz", **arrays)


def test_missing_file(volumes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PATIENCE", 0.0)
    assert refusal() == (
        "pvc://claim/train.csv does not exist on the volume: put the data there, or correct spec.data.train.storageUri."
    )


def test_data_that_comes_a_little_later_is_waited_for(volumes: Path) -> None:
    inputs, classes = np.zeros((4, 2)), ["a", "b"] * 2
    threading.Timer(1.5, write_csv, (volumes / "claim" / "later.csv", inputs, classes)).start()
    found = opening.read_layout(
        Dataset.model_validate({**CSV, "storageUri": "pvc://claim/later.csv"}), "spec.data.train"
    )
    assert set(found.columns) == {"f0", "f1", "label"}


def test_folder_without_a_file_of_the_format(volumes: Path) -> None:
    (volumes / "claim" / "folder").mkdir(parents=True)
    assert "has no .csv file" in refusal(train={"storageUri": "pvc://claim/folder", "format": "csv"})


def test_files_of_a_folder_with_different_columns(volumes: Path) -> None:
    write_csv(volumes / "claim/folder/a.csv", *blobs(10))
    write_csv(volumes / "claim/folder/b.csv", *blobs(10), header="f0,f1,f2,other,label")
    told = refusal(train={"storageUri": "pvc://claim/folder", "format": "csv"})
    assert "b.csv of pvc://claim/folder has other columns than a.csv" in told


def test_wrong_format(volumes: Path) -> None:
    write_csv(volumes / "claim/train.csv", *blobs(10))
    told = refusal(train={"storageUri": "pvc://claim/train.csv", "format": "parquet"})
    assert told.startswith("train.csv can't be read as parquet")
    assert told.endswith("correct the file or spec.data.train.format.")


def test_damaged_parquet_and_npz(volumes: Path) -> None:
    (volumes / "claim").mkdir()
    (volumes / "claim" / "train.npz").write_bytes(b"PK\x03\x04 not really")
    assert "train.npz can't be read as npz" in refusal(train=NPZ)
    save(volumes, x=np.zeros((4, 2)), label=np.arange(4))
    whole = (volumes / "claim" / "train.npz").read_bytes()
    (volumes / "claim" / "train.npz").write_bytes(whole[:80] + b"\xff" * 40 + whole[120:])
    assert "can't be read as npz" in refusal(train=NPZ)


def test_label_column_that_is_not_there(volumes: Path) -> None:
    write_csv(volumes / "claim/train.csv", *blobs(10))
    assert refusal(label="species") == (
        "pvc://claim/train.csv has no column 'species' for the label; it has f0, f1, f2, f3, label. Set "
        "spec.data.label to one of them."
    )


def test_a_column_of_nearly_the_same_name_is_named_though_many_come_before_it(volumes: Path) -> None:
    inputs, classes = blobs(10)
    header = ",".join([*(f"f{i}" for i in range(14)), "maker", "label"])
    write_csv(volumes / "claim/train.csv", np.tile(inputs, (1, 4))[:, :15], classes, header)
    near = "(did you mean 'maker'?); it has f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11 and 4 more."
    assert f"has no column 'makr' for the label {near} Set" in refusal(label="makr")
    assert f"has no column 'makr', which spec.data.inputs names {near}" in refusal(inputs=["makr"])
    step = [{"dropNulls": {"columns": ["makr"]}}]
    assert f"has no column 'makr', which spec.data.prepare[0].dropNulls names {near}" in refusal(prepare=step)


def test_input_column_that_is_not_there(volumes: Path) -> None:
    write_csv(volumes / "claim/train.csv", *blobs(10))
    assert "has no column 'f9', which spec.data.inputs names" in refusal(inputs=["f0", "f9"])
    assert "the model would see the answer" in refusal(inputs=["f0", "label"])
    assert "'f9', which spec.data.prepare[0].dropNulls names" in refusal(prepare=[{"dropNulls": {"columns": ["f9"]}}])


def test_text_among_the_inputs(volumes: Path) -> None:
    (volumes / "claim").mkdir()
    (volumes / "claim/train.csv").write_text("size,colour,label\n1.5,red,a\n2.5,blue,b\n")
    told = refusal()
    assert "the column 'colour' is a category, not a number (2 different texts in 2 rows)" in told
    assert "name the other columns (size) in spec.data.inputs" in told
    rows = "".join(f"{i}.5,red,a\n{i}.7,blue,b\n" for i in range(16))  # equal rows would not be split
    (volumes / "claim/train.csv").write_text(f"size,colour,label\n{rows}")
    assert prepared(columns=[{"name": "colour", "type": "ignore"}]).row_shape == (1,)
    assert prepared(inputs=["size"]).row_shape == (1,)


def test_text_further_down_in_a_column_of_numbers(volumes: Path) -> None:
    write_csv(volumes / "claim/folder/a.csv", *blobs(40))  # what is looked at before Ray is started
    write_csv(volumes / "claim/folder/b.csv", *blobs(3))
    with (volumes / "claim/folder/b.csv").open("a") as file:
        file.write("1,2,oops,3,1\n")
    assert refusal(train={"storageUri": "pvc://claim/folder"}) == (
        "'oops' in row 4 of b.csv is no number, and the column 'f2' is a number: 43 of 44 values are numbers. If it "
        'stands for a missing value, set spec.data.missing to ["NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", '
        '"NULL", "null", "?", "oops"]; otherwise correct it, or say in spec.data.columns what the column is (ignore '
        "leaves it out)."
    )


def test_fractions_after_many_whole_numbers(volumes: Path) -> None:
    (volumes / "claim").mkdir()
    rows = "".join(f"{i},{i % 2}\n" for i in range(200_000))
    (volumes / "claim/train.csv").write_text(f"f0,label\n{rows}0.5,1\n")
    found = prepared()
    assert 0.5 in np.concatenate([found.train.load(), found.validation.load()])


def test_pickles_are_never_read(volumes: Path) -> None:
    save(volumes, x=np.array([{"a": 1}, {}], dtype=object), label=np.arange(2))
    assert "the array 'x' has Python objects (a pickle), which are never read" in refusal(train=NPZ)


def test_arrays_of_different_length(volumes: Path) -> None:
    save(volumes, x=np.zeros((5, 2)), label=np.arange(4))
    assert "the arrays differ in their number of rows (x 5, label 4)" in refusal(train=NPZ)


def test_several_arrays_besides_the_label(volumes: Path) -> None:
    save(volumes, x=np.zeros((4, 2)), z=np.zeros((4, 3)), label=np.arange(4))
    assert "name the one array of inputs in spec.data.inputs" in refusal(train=NPZ)


def test_missing_values_need_a_step(volumes: Path) -> None:
    inputs, classes = blobs(40)
    inputs[7, 2] = np.nan
    write_csv(volumes / "claim/train.csv", inputs, classes)
    told = refusal()
    assert told == (
        "pvc://claim/train.csv has a missing or not finite value in 'f2' (row 8): add dropNulls or impute to "
        "spec.data.prepare."
    )


def test_rows_are_counted_over_all_files(volumes: Path) -> None:
    inputs, classes = blobs(40)
    write_csv(volumes / "claim/folder/a.csv", inputs, classes)
    inputs[3, 1] = np.inf
    write_csv(volumes / "claim/folder/b.csv", inputs, classes)
    assert "in 'f1' (row 4 of b.csv)" in refusal(train={"storageUri": "pvc://claim/folder", "format": "csv"})


def test_nothing_left_after_cleaning(volumes: Path) -> None:
    inputs, classes = blobs(10)
    inputs[:, 1] = np.inf
    write_csv(volumes / "claim/train.csv", inputs, classes)
    assert "has no row left after dropNulls (spec.data.prepare[0])" in refusal(prepare=[{"dropNulls": {}}])


def test_labels_that_are_no_classes(volumes: Path) -> None:
    inputs, _ = blobs(60)
    write_csv(volumes / "claim/train.csv", inputs, np.linspace(0, 1, 60))
    assert "is not a class: row 2 has 0.0169" in refusal()
    write_csv(volumes / "claim/train.csv", inputs, range(60))
    assert "has 60 different values in 60 rows: these are not classes" in refusal()
    write_csv(volumes / "claim/train.csv", inputs, ["yes"] * 60)
    assert "has only one class, 'yes'" in refusal()


def test_missing_labels(volumes: Path) -> None:
    inputs, classes = blobs(60)
    labels = [float(label) for label in classes]
    labels[5] = float("nan")
    write_csv(volumes / "claim/train.csv", inputs, labels)
    assert "the label 'label' of pvc://claim/train.csv is missing in 1 rows (the first is row 6)" in refusal()
    found = prepared(prepare=[{"dropNulls": {}}])
    assert found.labels == ("0", "1", "2")
    assert len(found.train) + len(found.validation) == 59


def test_label_that_only_the_validation_data_has(volumes: Path) -> None:
    inputs, classes = blobs(40)
    write_csv(volumes / "claim/train.csv", inputs, [f"kind{label}" for label in classes])
    write_csv(volumes / "claim/validation.csv", inputs, ["new" if i == 3 else "kind0" for i in range(40)])
    assert "has labels that the training data does not have ('new')" in refusal(validation=HELD)


def test_shapes_of_train_and_validation_differ(volumes: Path) -> None:
    write_csv(volumes / "claim/train.csv", *blobs(20))
    write_csv(volumes / "claim/validation.csv", *blobs(20, features=3))
    assert "pvc://claim/validation.csv has other columns than pvc://claim/train.csv: it lacks f3." in refusal(
        validation=HELD
    )
    save(volumes, x=np.zeros((4, 2)), label=np.arange(4))
    assert "a row of pvc://claim/train.npz has the shape [2], and one of pvc://claim/train.csv [4]" in refusal(
        validation=NPZ
    )


def test_images_that_are_not_square(volumes: Path) -> None:
    write_csv(volumes / "claim/train.csv", *blobs(20, features=6))
    assert "has 6 values, which is not a square image: set spec.data.imageShape" in refusal("image-classification")
    assert "has 8 values, and a row of pvc://claim/train.csv has 6" in refusal(
        "image-classification", imageShape=[2, 4]
    )
    assert prepared("image-classification", imageShape=[2, 3]).image == (2, 3, 1)


def image_of(shape: tuple[int, ...], volumes: Path, **fields: Any) -> str | tuple[int, ...] | None:
    """The image that rows of that shape are, or the refusal."""
    save(volumes, x=np.zeros((4, *shape)), label=np.arange(4) % 2)
    data = Data.model_validate({"train": NPZ, "validationFraction": "0.5"} | fields)
    try:
        return read_headers(data, "image-classification").image
    except Fault as fault:
        return fault.message


def test_pixels_are_never_taken_for_channels(volumes: Path) -> None:
    """Pictures with their channels first, as PyTorch has them, would be read as other pictures."""
    assert image_of((28, 20), volumes) == (28, 20, 1)
    assert image_of((1, 28, 20), volumes) == (28, 20, 1)
    assert image_of((28, 20, 1), volumes) == (28, 20, 1)
    assert image_of((28, 20, 3), volumes) == (28, 20, 3)
    assert image_of((28, 20, 12), volumes) == (28, 20, 12)
    assert image_of((3, 20, 3), volumes) == (3, 20, 3)
    assert image_of((1, 20, 3), volumes) == (1, 20, 3)
    assert image_of((1, 560), volumes, imageShape=[28, 20]) == (28, 20, 1)
    said = image_of((3, 28, 20), volumes)
    assert "has the shape [3, 28, 20], which looks like a picture with its 3 channels first" in str(said)
    assert "(numpy.moveaxis(x, 1, -1)), or set spec.data.imageShape to [3, 28, 20]" in str(said)
    assert image_of((3, 28, 20), volumes, imageShape=[3, 28, 20]) == (3, 28, 20)
    assert "is [28, 20, 3] (height, width, channels), and a row of pvc://claim/train.npz has the shape [3, 28, 20]" in (
        str(image_of((3, 28, 20), volumes, imageShape=[28, 20, 3]))
    )
    assert image_of((1, 28, 20), volumes, imageShape=[28, 20]) == (28, 20, 1)
    assert image_of((560,), volumes, imageShape=[28, 20]) == (28, 20, 1)


def test_an_axis_of_one_is_no_second_value(volumes: Path) -> None:
    """Keras has labels as [n, 1]."""
    inputs, classes = blobs(50, 3)
    save(volumes, x=inputs, label=classes)
    plain = prepared(train=NPZ)
    save(volumes, **{f"f{i}": inputs[:, i : i + 1] for i in range(3)}, label=classes[:, None])
    columns = prepared(train=NPZ)
    assert columns.columns == ("f0", "f1", "f2")
    np.testing.assert_array_equal(columns.train.load(), plain.train.load())
    np.testing.assert_array_equal(columns.train.targets, plain.train.targets)
    save(volumes, x=inputs, label=np.stack([classes, classes], 1))
    assert "the label 'label' has more than one value a row; give one class a row." in refusal(train=NPZ)


def test_augmentation_of_a_table(volumes: Path) -> None:
    write_csv(volumes / "claim/train.csv", *blobs(20))
    assert "augment shifts and rotates images" in refusal(prepare=[{"augment": {"shiftPixels": 1}}])


def test_fraction_that_leaves_nothing(volumes: Path) -> None:
    write_csv(volumes / "claim/train.csv", *blobs(20))
    assert "leaves no validation data" in refusal(validationFraction="0")


def test_equal_rows_stay_together_and_the_refusal_says_so(volumes: Path) -> None:
    inputs, classes = blobs(20)
    write_csv(volumes / "claim/train.csv", np.ones_like(inputs), classes)
    said = refusal(validationFraction="0.25")
    assert (
        "of 20 rows of pvc://claim/train.csv, which have 1 different inputs in all (equal ones stay together)" in said
    )
    assert said.endswith("data: give more rows with other inputs."), "no fraction helps"


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([1e300, *range(19)], "has the label 1e+300, and a model can't predict numbers beyond 1e+30: correct it, or"),
        ([1.76e9 + i for i in range(20)], "an answer has 32 bits, and goes in steps of 128 there. Subtract the same"),
        ([1e-40 * i for i in range(20)], "e-40, which is too little for an answer of 32 bits"),
    ],
)
def test_numbers_that_no_answer_can_be_are_refused(labels: list[float], said: str, volumes: Path) -> None:
    write_csv(volumes / "claim/train.csv", blobs(20)[0], labels)
    assert said in refusal("tabular-regression", validationFraction="0.25")


def test_csv_parquet_and_npz_give_the_same(volumes: Path) -> None:
    inputs, classes = blobs(50)
    write_csv(volumes / "claim/train.csv", inputs, classes)
    columns = {f"f{i}": inputs[:, i] for i in range(4)} | {"label": classes}
    pyarrow.parquet.write_table(pa.table(columns), volumes / "claim/train.parquet")
    save(volumes, x=inputs, label=classes)
    found = [
        prepared(train={"storageUri": f"pvc://claim/train.{kind}", "format": kind}, prepare=[{"standardize": {}}])
        for kind in ("csv", "parquet", "npz")
    ]
    for other in found[1:]:
        np.testing.assert_array_equal(other.train.load(), found[0].train.load())
        np.testing.assert_array_equal(other.validation.targets, found[0].validation.targets)
        np.testing.assert_array_equal(other.stages[0].values, found[0].stages[0].values)


def test_split_is_disjoint_and_by_the_seed(volumes: Path) -> None:
    inputs, classes = blobs(200)
    inputs[100:] = inputs[:100]  # each row twice, so that a split before the cleaning would share rows
    classes[100:] = classes[:100]
    write_csv(volumes / "claim/train.csv", inputs, classes)
    steps = [{"dropDuplicates": {}}]
    one, again, other = (prepared(seed=seed, prepare=steps) for seed in (1, 1, 2))
    train = {row.tobytes() for row in one.train.load()}
    held = {row.tobytes() for row in one.validation.load()}
    assert len(train) + len(held) == 100
    assert not train & held
    assert 10 <= len(held) <= 40
    np.testing.assert_array_equal(one.train.load(), again.train.load())
    assert held != {row.tobytes() for row in other.validation.load()}
    assert set(one.validation.targets) == {0, 1, 2}


def test_training_rows_that_are_validation_rows_too_are_dropped_with_the_duplicates(volumes: Path) -> None:
    inputs, classes = blobs(60)
    write_csv(volumes / "claim/train.csv", inputs, classes)
    write_csv(volumes / "claim/validation.csv", inputs[40:], classes[40:])
    found = prepared(validation=HELD, prepare=[{"dropDuplicates": {}}])
    assert (len(found.train), len(found.validation)) == (40, 20)
    dropped = "20 rows dropped by dropDuplicates, since they are also in the validation data"
    assert any(note.endswith(dropped) for note in found.notes)


def test_duplicates_by_some_columns_keep_the_first(volumes: Path) -> None:
    (volumes / "claim").mkdir()
    (volumes / "claim/train.csv").write_text("id,f,label\n1,1,a\n1,2,b\n2,3,a\n3,4,b\n3,5,b\n4,6,a\n")
    found = prepared(inputs=["f"], validationFraction="0.5", prepare=[{"dropDuplicates": {"columns": ["id"]}}])
    rows = np.concatenate([found.train.load(), found.validation.load()])
    assert sorted(rows.reshape(-1)) == [1, 3, 4, 6]


def test_large_integers_are_told_apart(volumes: Path) -> None:
    (volumes / "claim").mkdir()
    big = 2**60
    lines = [f"{big + i},{i},{i % 2}" for i in range(8)]
    (volumes / "claim/train.csv").write_text("\n".join(["id,f,label", *lines]) + "\n")
    found = prepared(inputs=["f"], prepare=[{"dropDuplicates": {"columns": ["id"]}}])
    assert len(found.train) + len(found.validation) == 8


def test_fitted_on_the_training_split_only(volumes: Path) -> None:
    inputs, classes = blobs(200)
    inputs[5, 0] = np.nan
    write_csv(volumes / "claim/train.csv", inputs, classes)
    extreme = np.full((30, 4), 1e6, np.float32)
    write_csv(volumes / "claim/validation.csv", extreme, classes[:30])
    for strategy, expected in (("mean", np.nanmean(inputs, axis=0)), ("median", np.nanmedian(inputs, axis=0))):
        found = prepared(validation=HELD, prepare=[{"impute": {"strategy": strategy}}, {"standardize": {}}])
        impute, standardize = found.stages
        np.testing.assert_allclose(impute.values, expected, rtol=1e-5)
        filled = np.where(np.isnan(inputs), impute.values, inputs).astype(np.float64)
        np.testing.assert_allclose(standardize.values, filled.mean(axis=0), rtol=1e-5)
        assert standardize.scale is not None
        np.testing.assert_allclose(standardize.scale, filled.std(axis=0), rtol=1e-5)


def test_images_are_standardised_by_channel(volumes: Path) -> None:
    random = np.random.default_rng(0)
    images = random.normal([1, 10, 100], [1, 2, 3], (64, 5, 4, 3)).astype(np.float32)
    save(volumes, x=images, label=np.arange(64) % 2)
    found = prepared("image-classification", train=NPZ, prepare=[{"standardize": {}}])
    rows = found.train.load().astype(np.float64)
    assert found.image == (5, 4, 3)
    np.testing.assert_allclose(found.stages[0].values, rows.mean(axis=(0, 1, 2)), rtol=1e-5)
    assert found.stages[0].scale is not None
    np.testing.assert_allclose(found.stages[0].scale, rows.std(axis=(0, 1, 2)), rtol=1e-5)


def test_column_without_any_value_can_not_be_imputed(volumes: Path) -> None:
    inputs, classes = blobs(30)
    inputs[:, 3] = np.nan
    write_csv(volumes / "claim/train.csv", inputs, classes)
    assert "'f3' of pvc://claim/train.csv has no value at all" in refusal(prepare=[{"impute": {}}])


def test_constant_column_is_not_blown_up(volumes: Path) -> None:
    inputs, classes = blobs(40)
    inputs[:, 2] = 0.1
    write_csv(volumes / "claim/train.csv", inputs, classes)
    found = prepared(prepare=[{"standardize": {}}])
    assert found.stages[0].scale is not None
    assert found.stages[0].scale[2] == 1


def dated(volumes: Path, rows: int = 60) -> None:
    """A csv with a customer for every three rows and a day for each."""
    inputs, classes = blobs(rows)
    days = [f"2026-{1 + i // 28:02d}-{1 + i % 28:02d}" for i in range(rows)]
    lines = [
        f"{row[0]},{row[1]},c{i // 3},{day},{label}"
        for i, (row, day, label) in enumerate(zip(inputs.tolist(), days, classes, strict=True))
    ]
    (volumes / "claim").mkdir(exist_ok=True)
    (volumes / "claim/train.csv").write_text("\n".join(["f0,f1,customer,day,label", *lines]) + "\n")


def numbers(volumes: Path, rows: Any) -> set[int]:
    """Which rows of the file these are."""
    lines = (volumes / "claim/train.csv").read_text().splitlines()[1:]
    place = {np.float32(line.split(",")[0]).tobytes(): i for i, line in enumerate(lines)}
    return {place[row[0].tobytes()] for row in rows.load()}


def test_split_by_a_group_and_by_time(volumes: Path) -> None:
    dated(volumes)
    shares = {"validationFraction": "0.3", "testFraction": "0.2", "inputs": ["f0", "f1"]}
    found = prepared(**shares, split={"by": "Group", "column": "customer"})
    assert found.test is not None
    parts = [numbers(volumes, rows) for rows in (found.train, found.validation, found.test)]
    customers = [{number // 3 for number in part} for part in parts]
    assert sum(map(len, parts)) == 60
    assert sum(map(len, customers)) == 20
    found = prepared(**shares, split={"by": "Time", "column": "day"})
    assert found.test is not None
    assert numbers(volumes, found.test) == set(range(48, 60))
    assert numbers(volumes, found.validation) == set(range(30, 48))
    assert found.split_digest != prepared(**shares).split_digest


def test_corrected_labels_are_other_answers(volumes: Path) -> None:
    """The split goes by the inputs, so it stays; a training must not go on from checkpoints of the wrong labels."""
    inputs, classes = blobs(60)
    write_csv(volumes / "claim/train.csv", inputs, classes)
    before = prepared(validationFraction="0.25")
    corrected = classes.copy()
    corrected[7] = next(label for label in classes if label != classes[7])
    write_csv(volumes / "claim/train.csv", inputs, corrected)
    after = prepared(validationFraction="0.25")
    assert after.split_digest == before.split_digest
    assert after.answers_digest != before.answers_digest


def test_column_of_the_split_is_no_input(volumes: Path) -> None:
    write_csv(volumes / "claim/train.csv", *blobs(60))
    found = prepared(split={"by": "Time", "column": "f3"})
    assert found.row_shape == (3,)
    assert prepared(split={"by": "Time", "column": "f3"}, inputs=["f0", "f3"]).row_shape == (2,)


def test_columns_that_can_not_split(volumes: Path) -> None:
    dated(volumes)
    shares = {"inputs": ["f0", "f1"]}
    told = refusal(**shares, split={"by": "Time", "column": "customer"})
    assert (
        "the column 'customer', which spec.data.split names, can't be used: 'c0' in row 1 of train.csv is no time"
        in told
    )
    assert "has no column 'shop', which spec.data.split names" in refusal(
        **shares, split={"by": "Group", "column": "shop"}
    )
    text = (volumes / "claim/train.csv").read_text().replace(",c4,", ",,")
    (volumes / "claim/train.csv").write_text(text)
    told = refusal(**shares, split={"by": "Group", "column": "customer"})
    assert "is missing in 3 rows (the first is row 13)" in told


def test_class_of_one_group_needs_a_training_row(volumes: Path) -> None:
    dated(volumes)
    lines = (volumes / "claim/train.csv").read_text().splitlines()
    lines[-1] = lines[-1].rsplit(",", 1)[0] + ",9"  # the newest row alone has that class
    (volumes / "claim/train.csv").write_text("\n".join(lines) + "\n")
    shares = {"inputs": ["f0", "f1"]}
    told = refusal(**shares, split={"by": "Time", "column": "day"})
    assert "leaves 1 classes or labels of pvc://claim/train.csv without a training row (one is that of row 60)" in told
    assert 3 in prepared(**shares, validationFraction="0.9", prepare=[]).train.targets


def test_test_data_of_its_own(volumes: Path) -> None:
    inputs, classes = blobs(80)
    write_csv(volumes / "claim/train.csv", inputs, classes)
    write_csv(volumes / "claim/test.csv", inputs[60:], classes[60:])
    own = {"storageUri": "pvc://claim/test.csv", "format": "csv"}
    found = prepared(test=own, prepare=[{"dropDuplicates": {}}])
    assert found.test is not None
    assert (len(found.test), len(found.train) + len(found.validation)) == (20, 60)
    dropped = "20 rows dropped by dropDuplicates, since they are also in the test data"
    assert any(note.endswith(dropped) for note in found.notes)


def test_labels_are_classes_as_they_stand_over_all_parts(volumes: Path) -> None:
    inputs, _ = blobs(40)
    write_csv(volumes / "claim/folder/a.csv", inputs, ["001", "010"] * 20)
    write_csv(volumes / "claim/folder/b.CSV", inputs, ["A7", "true"] * 20)
    found = prepared(train={"storageUri": "pvc://claim/folder"})
    assert found.labels == ("001", "010", "A7", "true")
    assert len(found.train) + len(found.validation) == 80


def test_whole_numbers_with_a_point_are_the_classes_without_one(volumes: Path) -> None:
    inputs, classes = blobs(40)
    write_csv(volumes / "claim/train.csv", inputs, [f"{label}.0" for label in classes])
    pyarrow.parquet.write_table(
        pa.table({f"f{i}": inputs[:, i] for i in range(4)} | {"label": classes}), volumes / "claim/validation.parquet"
    )
    found = prepared(validation={"storageUri": "pvc://claim/validation.parquet"})
    assert found.labels == ("0", "1", "2")
    np.testing.assert_array_equal(found.validation.targets, classes)
    as_they_stand = [{"name": "label", "type": "category"}]
    write_csv(volumes / "claim/train.csv", inputs, [f"{label}.5" for label in classes])
    assert "set the label's type to category in spec.data.columns" in refusal()
    assert prepared(columns=as_they_stand).labels == ("0.5", "1.5", "2.5")


@pytest.mark.parametrize(
    "labels",
    [("yes ", "yes"), ("a b", "a\u00a0b"), ("caf\u00e9", "cafe\u0301"), ("\ufeffno", "no"), ("a\u200bb", "ab")],
)
def test_labels_that_look_the_same_are_not_two(volumes: Path, labels: tuple[str, str]) -> None:
    inputs, _ = blobs(40)
    write_csv(volumes / "claim/train.csv", inputs, labels * 20)
    assert f"has {' and '.join(map(ascii, sorted(labels)))}, which look the same" in refusal()


def test_a_label_that_is_no_number_of_a_regression(volumes: Path) -> None:
    inputs, _ = blobs(40)
    write_csv(volumes / "claim/train.csv", inputs, ["true", "false"] * 20)
    told = refusal(task="tabular-regression")
    assert told.endswith("otherwise correct it, or set spec.recipe.task to a classification, if these are classes.")


def test_what_a_spreadsheet_writes(volumes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (volumes / "claim").mkdir()
    rows = "".join(f"{i},25;{i};{'NA' if i == 3 else ('groß', 'klein')[i % 2]}\r\n" for i in range(20))
    (volumes / "claim/train.csv").write_bytes(f"Umsatz;Alter;Klasse\r\n{rows}".encode("utf-8-sig"))
    found = prepared(label="Klasse", prepare=[{"dropNulls": {"columns": ["Klasse"]}}])
    assert found.labels == ("groß", "klein")
    assert found.notes == ("pvc://claim/train.csv: 1 row dropped by dropNulls",)
    rows_read = np.concatenate([found.train.load(), found.validation.load()])
    assert sorted(rows_read[:, 0]) == [i + 0.25 for i in range(20) if i != 3]
    log = capsys.readouterr().out
    assert "train.csv: separated by ';', decimal ',', UTF-8 with a byte order mark\n" in log
    assert "column 'Klasse': category, it is the label, 1 missing\n" in log


def test_duplicates_in_parts_whose_columns_have_another_order(volumes: Path) -> None:
    (volumes / "claim/folder").mkdir(parents=True)
    rows = [(i, i * 2, "ab"[i % 2]) for i in range(10)]
    (volumes / "claim/folder/a.csv").write_text("x,y,label\n" + "".join(f"{x},{y},{z}\n" for x, y, z in rows))
    (volumes / "claim/folder/b.csv").write_text("label,y,x\n" + "".join(f"{z},{y}.0,{x}\n" for x, y, z in rows))
    found = prepared(train={"storageUri": "pvc://claim/folder"}, prepare=[{"dropDuplicates": {}}])
    assert len(found.train) + len(found.validation) == 10
