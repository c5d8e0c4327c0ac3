"""Folders of pictures and tables of their paths, from the files to typed rows; and sentences for what can't be read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tradewind.api.data import Data
from tradewind_workload.data.headers import read_headers
from tradewind_workload.data.preparation import prepare
from tradewind_workload.io.fault import Fault
from tradewind_workload.tasks.image.looking import look

pytest.importorskip("PIL")
from io import BytesIO

from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ("001", "NA", "true", "émeu noir")


def picture(number: int, size: tuple[int, int] = (9, 7), form: str = "PNG") -> bytes:
    """A file whose pixels nobody else has."""
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def put(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def by_class(each: int = 30) -> dict[str, bytes]:
    return {
        f"{name}/_MG_{number}.{'PNG' if number % 2 else 'jpeg'}": picture(
            1000 * index + number, form="PNG" if number % 2 else "JPEG"
        )
        for index, name in enumerate(CLASSES)
        for number in range(each)
    }


def prepared(data: dict[str, Any], task: str = "image-classification") -> Any:
    read = Data.model_validate({"validationFraction": "0.25"} | data)
    return prepare(read, read_headers(read, task), 0)  # type: ignore[arg-type]


FOLDER = {"train": {"storageUri": "pvc://claim/train"}}


def test_the_folders_are_the_labels_as_they_stand(volumes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = by_class(80)  # more than one task reads
    put(volumes / "claim/train", files)
    rest = {".DS_Store": b"x", "true/Thumbs.db": b"x", "true/.hidden.png": b"x", "@eaDir/thumb.jpg": b"x"}
    put(volumes / "claim/train", rest)
    (volumes / "claim/train/nothing").mkdir()
    found = prepared(FOLDER)
    assert found.labels == CLASSES
    assert len(found.train) + len(found.validation) == len(files)
    by_content = {content: name.split("/")[0] for name, content in files.items()}
    for rows in (found.train, found.validation):
        contents = rows.table()["image"].to_pylist()
        assert [by_content[content] for content in contents] == [found.labels[label] for label in targets(rows)]
    assert found.train.place(0) == min(files), "a picture is named as such, not as a row"
    assert found.train.place(len(files) - 1) == max(files)
    told = capsys.readouterr().out
    assert "pvc://claim/train: 320 pictures in 4 folders, one for each class: 001, NA, true, émeu noir" in told
    assert "passed over: 4 files of other programs (the first is .DS_Store)" in told
    assert "passed over: the folder nothing, which has no picture" in told
    assert "missing" not in told


def test_one_file_that_is_left_is_one_file(volumes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(volumes / "claim/train", {**by_class(), "Thumbs.db": b"x"})
    prepared(FOLDER)
    assert "passed over: 1 file of other programs (the first is Thumbs.db)" in capsys.readouterr().out


def looked(found: Any) -> None:
    look(found.train, "photo", "training")
    look(found.validation, "photo", "validation")


def targets(rows: Any) -> Any:
    return rows.targets if hasattr(rows, "targets") else rows.classes


def test_equal_pictures_stay_together_and_are_dropped_by_their_content(volumes: Path) -> None:
    files = by_class()
    put(volumes / "claim/train", files)
    put(volumes / "claim/train", {f"{name.rsplit('.', 1)[0]} (copy).png": files[name] for name in sorted(files)[:60]})
    whole = prepared(FOLDER)
    parts = [set(rows.table()["image"].to_pylist()) for rows in (whole.train, whole.validation)]
    assert not parts[0] & parts[1]
    assert len(whole.train) + len(whole.validation) == 180
    once = prepared(FOLDER | {"prepare": [{"dropDuplicates": {}}]})
    assert len(once.train) + len(once.validation) == 120
    assert any("60 rows dropped by dropDuplicates" in note for note in once.notes)


def test_folders_that_say_a_column_and_data_sets_of_their_own(volumes: Path) -> None:
    put(volumes / "claim/train", {f"site={site}/{name}": c for site in "ab" for name, c in by_class(4).items()})
    put(volumes / "claim/validation", {f"site=c/{name}": c for name, c in by_class(2).items()})
    found = prepared(FOLDER | {"validationFraction": None, "validation": {"storageUri": "pvc://claim/validation"}})
    assert (len(found.train), len(found.validation)) == (32, 8)
    assert found.train.table().column_names == ["image"]
    groups = prepared(FOLDER | {"validationFraction": "0.5", "split": {"by": "Group", "column": "site"}})
    assert {len(groups.train), len(groups.validation)} == {16}


def table(volumes: Path, form: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    folder = volumes / "claim/shop"
    folder.mkdir(parents=True, exist_ok=True)
    if form == "csv":
        lines = [",".join(rows[0]), *(",".join("" if v is None else str(v) for v in row.values()) for row in rows)]
        (folder / "list.csv").write_text("\n".join(lines))
    elif form == "jsonl":
        (folder / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    else:
        pq.write_table(pa.Table.from_pylist(rows), folder / "list.parquet")
    return {
        "train": {"storageUri": f"pvc://claim/shop/list.{form}"},
        "columns": [{"name": "photo", "type": "image"}],
        "label": "kind",
    }


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_table_of_paths(form: str, volumes: Path) -> None:
    files = by_class(5)
    put(volumes / "claim/shop", files)
    rows: list[dict[str, Any]] = [
        {"photo": name, "price": number, "kind": name.split("/")[0] + "x"} for number, name in enumerate(files)
    ]
    found = prepared(table(volumes, form, rows))
    assert found.labels == tuple(f"{name}x" for name in CLASSES)
    assert found.train.table().column_names == ["photo"]
    assert set(found.train.table()["photo"].to_pylist()) <= set(files.values())
    assert found.notes == (f"pvc://claim/shop/list.{form}: the model takes pictures alone; not used: price",)

    rows[3]["photo"] = None
    found = prepared(table(volumes, form, rows))
    with pytest.raises(Fault, match=r"row 4: it is missing\): add dropNulls to spec.data.prepare"):
        looked(found)
    found = prepared(table(volumes, form, rows) | {"prepare": [{"dropNulls": {}}]})
    assert len(found.train) + len(found.validation) == 19
    assert look(found.train, "photo", "training").sizes.tolist() == [[7, 9]] * len(found.train)


def test_a_table_with_the_pictures_in_it(volumes: Path) -> None:
    files = by_class(5)
    rows = [{"photo": content, "kind": name.split("/")[0] + "x"} for name, content in files.items()]
    data = table(volumes, "parquet", rows)
    for told in (data, data | {"columns": []}):  # bytes that begin as pictures do are seen as such
        found = prepared(told)
        assert set(found.train.table()["photo"].to_pylist()) < set(files.values())
    rows[7]["photo"] = b"\xff\xfe no picture"
    found = prepared(table(volumes, "parquet", rows))
    with pytest.raises(Fault, match=r"1 of \d+ pictures of the \w+ data can't be used \(row 8: expected a picture"):
        looked(found)


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("a/none.png", r"there is no picture at 'a/none.png' in row 3 of list.csv: put the pictures there"),
        ("001", r"there is no picture at '001' in row 3 of list.csv"),
        ("../other/1.png", r"'../other/1.png' in row 3 of list.csv leads out of the folder of the table: write the"),
        ("/etc/passwd", r"'/etc/passwd' in row 3 of list.csv leads out of the folder"),
        ("https://example.com/1.png", "is an address, and pictures are read from the volume"),
    ],
)
def test_paths_that_lead_to_no_picture(path: str, refused: str, volumes: Path) -> None:
    files = by_class(2)
    put(volumes / "claim/shop", files)
    rows = [{"photo": name, "kind": name.split("/")[0]} for name in files]
    rows[2]["photo"] = path
    with pytest.raises(Fault, match=refused) as caught:
        prepared(table(volumes, "csv", rows))
    assert caught.value.reason == "InvalidData"


FINE = {"cat/1.png": b"", "dog/1.png": b""}
REFUSED: list[tuple[dict[str, bytes], dict[str, Any], str]] = [
    (
        {"1.png": b"", "2.png": b""},
        {},
        r"pictures of pvc://claim/train have no label: put each into a folder.*cat/1.png",
    ),
    (FINE | {"a=b/3.png": b""}, {}, r"the first is a=b/3.png\): move each .*, and name no class with =, which makes a"),
    (FINE | {"3.png": b""}, {}, r"has 1 pictures beside the folders of the classes \(the first is 3.png\): move each"),
    (
        FINE | {"cat/notes.txt": b""},
        {},
        r"has the file cat/notes.txt, which is no picture that can be read.*PNG or JPEG",
    ),
    (FINE | {"dog/2.heic": b""}, {}, r"has the file dog/2.heic, which is no picture that can be read"),
    (
        FINE | {"list.csv": b"a"},
        {"format": "images"},
        r"list.csv.*if it is a table with paths.*spec.data.train.storageUri",
    ),
    (
        {"train/cat/1.png": b"", "test/cat/1.png": b""},
        {},
        r"has the folder test/cat in the folder of the class 'test': name the folder right above the classes",
    ),
    ({"cat/a.txt": b""}, {"format": "images"}, r"has the file cat/a.txt, which is no picture"),
    ({"cat/.a.png": b""}, {"format": "images"}, r"the folder pvc://claim/train has no picture \(.png, "),
    (FINE, {"csv": {"delimiter": ";"}}, r"spec.data.train.csv says how a csv file is written"),
]


@pytest.mark.parametrize(("files", "said", "refused"), REFUSED)
def test_folders_that_are_no_classes(
    files: dict[str, bytes], said: dict[str, Any], refused: str, volumes: Path
) -> None:
    put(volumes / "claim/train", files)
    with pytest.raises(Fault, match=refused) as caught:
        prepared({"train": {"storageUri": "pvc://claim/train"} | said})
    assert caught.value.reason == "InvalidData"


def test_what_a_task_can_take(volumes: Path) -> None:
    put(volumes / "claim/train", by_class(2))
    with pytest.raises(
        Fault, match=r"has pictures, which tabular-classification can't take: set spec.recipe.task to image-"
    ):
        prepared(FOLDER, "tabular-classification")
    with pytest.raises(Fault, match=r"has no column 'kind' for the label; it has image, label"):
        prepared(FOLDER | {"label": "kind"})
    rows = [{"photo": name, "kind": name.split("/")[0]} for name in by_class(2)]
    data = table(volumes, "csv", rows)
    with pytest.raises(Fault, match=r"set its type in spec.data.columns to image if it has paths of pictures"):
        prepared(data | {"columns": []})
    one = {"train": {"storageUri": "pvc://claim/train/001/_MG_1.PNG", "format": "images"}}
    with pytest.raises(Fault, match=r"is a file, and spec.data.train.format is images: name the folder that has"):
        prepared(one)
