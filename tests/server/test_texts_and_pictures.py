"""Texts and pictures as users send them, in both protocols, and their mistakes."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from loaded import Loaded
from processed import HEIGHT, LENGTH, TEXT, TOKENIZER, WIDTH, b64, bag, mixed, photos, png, stored, strings, texts

from tradewind_server.folder import Unservable


@pytest.fixture
def asked(tmp_path: Path) -> Loaded:
    return texts(tmp_path)


@pytest.fixture
def seen(tmp_path: Path) -> Loaded:
    return photos(tmp_path)


def test_texts_in_every_form_of_v1(asked: Loaded) -> None:
    scores = [{"score": 40, "tokens": 2}, {"score": 1, "tokens": 1}, {"score": 0, "tokens": 0}]
    words = ["Good food", "\u00e9t\u00e9", ""]
    assert asked.instances(*words) == scores
    assert asked.instances(*({"text": word} for word in words)) == scores
    assert asked.v1(inputs={"text": words}) == {"predictions": scores}
    assert asked.v1(inputs=words) == {"predictions": scores}
    assert asked.instances("bad " * 100_000) == [{"score": 80, "tokens": LENGTH}]


def test_texts_in_v2(asked: Loaded) -> None:
    tensor = {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["good", "bad bad"]}
    found = {"score": [10, 40], "tokens": [1, 2]}
    assert asked.v2(tensor) == found
    assert asked.v2(tensor | {"shape": [2, 1], "data": [["good"], ["bad bad"]]}) == found
    assert asked.v2(tensor | {"parameters": {"content_type": "str"}}) == found
    assert asked.v2(tensor | {"data": strings(b"good", b"bad bad")}) == found


def test_pictures_in_every_form_of_v1(seen: Loaded) -> None:
    red, blue = b64(png()), b64(png((0, 0, 255)))
    means = [[255, 0, 0], [0, 0, 255]]
    assert seen.instances({"photo": {"b64": red}}, {"photo": {"b64": blue}}) == means
    assert seen.instances({"b64": red}, {"b64": blue}) == means
    assert seen.instances(red, blue) == means
    assert seen.v1(inputs={"photo": [{"b64": red}, {"b64": blue}]}) == {"predictions": means}
    assert seen.v1(inputs=[{"b64": red}, {"b64": blue}]) == {"predictions": means}
    assert seen.instances({"b64": "\n".join(red[at : at + 76] for at in range(0, len(red), 76))}) == means[:1]
    for form in ("GIF", "BMP", "TIFF"):
        assert seen.instances({"b64": b64(png(form=form))}) == means[:1]


def test_pictures_in_v2(seen: Loaded) -> None:
    tensor = {"name": "photo", "datatype": "BYTES", "shape": [2]}
    files = [png(), png((0, 0, 255))]
    means = {"mean": [255, 0, 0, 0, 0, 255]}
    assert seen.v2(tensor | {"data": list(map(b64, files))}) == means
    base64 = {"parameters": {"content_type": "base64"}}
    assert seen.v2(tensor | base64 | {"data": list(map(b64, files))}) == means
    assert seen.v2(tensor | {"data": strings(*files)}) == means
    assert seen.v2(tensor | base64 | {"shape": [2, 1], "data": strings(*(b64(one).encode() for one in files))}) == means


def test_a_column_may_have_the_name_of_the_graphs(tmp_path: Path) -> None:
    asked = texts(tmp_path, name="input_ids")
    assert asked.instances({"input_ids": "good"}, {"input_ids": "bad food"})[1] == {"score": 50, "tokens": 2}
    assert list(asked.model.inputs) == ["input_ids"]


# Each: an instance of a text or a picture beside a right one, and a part of the sentence.
TEXT_MISTAKES: list[tuple[Any, str]] = [
    ({"text": None}, "input 'text' in row 1 is BYTES: null is not a value; the model was not trained for missing"),
    ({"text": 7}, "input 'text' in row 1 is BYTES: expected strings"),
    ({"text": True}, "input 'text' in row 1 is BYTES: expected strings"),
    ({"text": ["good"]}, "input 'text': lists are nested unevenly"),
    ({"text": {"b64": "Z29vZA=="}}, "input 'text' in row 1 is BYTES: expected plain values"),
    ({"txt": "good"}, "row 1: unknown input 'txt': the model takes 'text'; did you mean 'text'?"),
    ({"input_ids": [1, 2, 3, 4]}, "row 1: unknown input 'input_ids': the model takes 'text'"),
    ({}, "row 1: input 'text' is missing"),
    ("good", "row 1: expected an object with 'text'"),
]
PHOTO_MISTAKES: list[tuple[Any, str]] = [
    ({"photo": None}, "input 'photo' in row 1 is a picture: null is not a value; the model was not trained for"),
    ({"photo": [1, 2, 3]}, "input 'photo' in row 1 is a picture: expected {\"b64\": \"...\"} with its file in base64"),
    ({"photo": {"base64": "x"}}, "input 'photo' in row 1 is a picture: expected {\"b64\": \"...\"}"),
    ({"photo": {"b64": 7}}, "input 'photo' in row 1 is a picture: expected {\"b64\": \"...\"}"),
    ({"photo": {"b64": "?"}}, "input 'photo' in row 1: expected base64, got '?': give what `base64 -w0 FILE` prints"),
    ({"photo": {"b64": b64(png())[:-1]}}, "input 'photo' in row 1: expected base64, got 'iVBOR"),
    ({"photo": {"b64": "data:image/png;base64," + b64(png())}}, "leave out what stands before the comma"),
    ({"photo": {"b64": urlsafe_b64encode(b"\xff\xef\xff").decode()}}, "write + and / where it has - and _"),
    ({"photo": {"b64": "\u00e9"}}, "expected base64"),
    ({"photo": {"b64": ""}}, "input 'photo' in row 1: the picture has no bytes"),
    ({"photo": {"b64": b64(b"hello")}}, "input 'photo' in row 1: expected a picture (PNG, JPEG, WebP"),
    ({"photo": {"b64": b64(png(size=(300, 200))[:-30])}}, "input 'photo' in row 1: the picture is cut off or damaged"),
    ({"photo": {"b64": b64(png(size=(1001, 1000)))}}, "1001 x 1000 pixels, the limit is 1000000 pixels: make it small"),
    ({"photo": {"b64": b64(png(size=(1001, 1000)))}}, "or raise spec.limits.maxPixels of the ModelDeployment"),
    ({"foto": {"b64": b64(png())}}, "row 1: unknown input 'foto': the model takes 'photo'; did you mean 'photo'?"),
    ({"b64": b64(png())}, "row 1: unknown input 'b64'"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "sentence"), TEXT_MISTAKES)
def test_mistakes_in_texts_are_named(asked: Loaded, row: Any, sentence: str) -> None:
    error = asked.instances({"text": "good"}, row)
    assert sentence in error
    assert len(error) < 400


@pytest.mark.parametrize(("row", "sentence"), PHOTO_MISTAKES)
def test_mistakes_in_pictures_are_named(seen: Loaded, row: Any, sentence: str) -> None:
    error = seen.instances({"photo": {"b64": b64(png())}}, row)
    assert sentence in error
    assert len(error) < 400


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"datatype": "UINT8", "data": [0] * 18}, "input 'photo': expected datatype BYTES, got 'UINT8'"),
        ({"parameters": {"content_type": "np"}}, "content_type 'np' is not supported; send values as they are"),
        ({"data": strings(b"hello")}, "input 'photo' in row 0: expected a picture"),
        ({"data": ["hello!"]}, "input 'photo' in row 0: expected base64, got 'hello!'"),
        ({"shape": [1, HEIGHT, WIDTH, 3], "data": [0] * 18}, "expected shape [-1], got [1, 2, 3, 3]"),
        ({"name": "image"}, "unknown input 'image': the model takes 'photo'"),
    ],
)  # fmt: skip
def test_mistakes_in_tensors_of_pictures(seen: Loaded, change: dict[str, Any], sentence: str) -> None:
    tensor = {"name": "photo", "datatype": "BYTES", "shape": [1], "data": [b64(png())]} | change
    assert sentence in seen.v2(tensor)["error"]


def test_bytes_that_are_no_text(asked: Loaded) -> None:
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1]}
    assert "a string is not UTF-8" in asked.v2(tensor | {"data": strings(b"\xff\xfe")})["error"]
    base64 = {"data": ["Z29vZA=="], "parameters": {"content_type": "base64"}}
    assert "content_type 'base64' is not supported" in asked.v2(tensor | base64)["error"]


def test_what_is_missing_where_the_training_had_it(tmp_path: Path) -> None:
    asked = texts(tmp_path / "t", nullable=True)
    assert asked.instances({"text": None}, {"text": "good"})[0] == {"score": 0, "tokens": 0}
    assert asked.instances({}).startswith("row 0 is empty")
    seen = photos(tmp_path / "p", nullable=True)
    assert seen.instances({"photo": None}, {"photo": {"b64": b64(png())}}) == [[0, 0, 0], [255, 0, 0]]
    assert seen.instances({}).startswith("row 0 is empty")


def test_texts_and_pictures_beside_plain_columns(tmp_path: Path) -> None:
    asked = mixed(tmp_path)
    row = {"text": "good", "price": 1.5, "photo": {"b64": b64(png())}}
    for (found,) in (asked.instances(row), asked.instances([row["photo"], 1.5, "good"])):
        assert found["got_input_ids"] == [10, 0, 0, 0] and found["got_attention_mask"] == [1, 0, 0, 0]
        assert found["got_price"] == 1.5
        assert found["got_photo"] == [[[255, 0, 0]] * WIDTH] * HEIGHT
    columns = {name: [value, value] for name, value in row.items()}
    assert len(asked.v1(inputs=columns)["predictions"]) == 2
    assert "input 'photo' in row 0: expected base64" in asked.instances(row | {"photo": "x"})
    assert "must have the same size in the axis 'rows', got" in asked.v1(inputs=columns | {"text": ["good"]})["error"]
    tensors = [
        {"name": "photo", "datatype": "BYTES", "shape": [1], "data": [b64(png())]},
        {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["good"]},
    ]
    assert asked.v2(*tensors)["got_price"] == [None]


def test_several_texts_are_one(tmp_path: Path) -> None:
    title = TEXT | {"name": "title", "processor": TOKENIZER, "nullable": True}
    body = TEXT | {"name": "body", "processor": TOKENIZER}
    asked = Loaded(stored(tmp_path, bag(), [title, body]))
    assert asked.instances({"body": "food", "title": "bad"}, {"body": "food"}) == [
        {"score": 50, "tokens": 2},
        {"score": 30, "tokens": 1},
    ]
    other = body | {"processor": {"tokenizer": {"file": "tokenizer.json", "length": 3}}}
    with pytest.raises(Unservable, match="texts with different tokenizers"):
        Loaded(stored(tmp_path, bag(), [title, other]))
