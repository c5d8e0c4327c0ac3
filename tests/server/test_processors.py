"""Processors of a model: what its pages tell of them, and what has to go together before it is served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import graphs
import numpy as np
import pytest
from loaded import Loaded
from onnx import ModelProto, helper
from processed import (
    HEIGHT,
    LENGTH,
    PHOTO,
    PICTURE,
    PRICE,
    TEXT,
    TOKENIZER,
    TOKENS,
    WIDTH,
    b64,
    bag,
    mean_pixel,
    mixed,
    photos,
    png,
    stored,
    texts,
    together,
    tokenizer,
)

from tradewind_server import openapi, v2
from tradewind_server.folder import Unservable
from tradewind_server.processing import EXAMPLE


def test_metadata_has_what_users_send(tmp_path: Path) -> None:
    document = v2.metadata(mixed(tmp_path).model)
    assert document["parameters"]["columns"] == ("photo", "price", "text")
    told = {one["name"]: (one["datatype"], one["shape"], one.get("parameters")) for one in document["inputs"]}
    assert told == {
        "photo": ("BYTES", [-1], {"kind": "image", "content_type": "base64"}),
        "price": ("FP32", [-1], {"kind": "number", "nullable": True}),
        "text": ("BYTES", [-1], {"kind": "text"}),
    }


def pasted(model: Loaded) -> dict[str, Any]:
    """What the examples of the model's page are answered, by protocol."""
    one, two = (path["post"]["requestBody"]["content"]["application/json"] for path in page(model).values())
    return {"v1": model.v1(**one["example"]), "v2": model.v2(*two["example"]["inputs"])}


def page(model: Loaded) -> dict[str, Any]:
    paths: dict[str, Any] = json.loads(json.dumps(openapi.page(model.model)))["paths"]
    return paths


def test_the_page_has_examples_that_work(tmp_path: Path) -> None:
    assert pasted(texts(tmp_path / "t")) == {
        "v1": {"predictions": [{"score": 2, "tokens": 2}]},
        "v2": {"score": [2], "tokens": [2]},
    }
    seen = photos(tmp_path / "p", nullable=True)
    assert {**pasted(seen)["v1"], **pasted(seen)["v2"]}.keys() == {"predictions", "mean"}
    (by_rows, _) = page(seen).values()
    row = by_rows["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]["instances"]["items"]
    assert row["minProperties"] == 1  # of a row without any, the server says that it is empty
    assert row["required"] == [] and row["properties"]["photo"]["type"] == ["object", "null"]
    assert row["properties"]["photo"]["properties"]["b64"]["contentEncoding"] == "base64"


def with_samples(folder: Path, **changes: Any) -> Loaded:
    """Samples of a text and a picture, and what they are answered."""
    folder.mkdir()
    rows = [
        {"text": "good", "price": 1.5, "photo": {"b64": b64(png())}},
        {"text": "food", "price": None, "photo": {"b64": b64(png((0, 0, 255)))}},
    ]
    outputs = {"got_input_ids": [[10, 0, 0, 0], [30, 0, 0, 0]], "got_price": [1.5, None]}
    outputs |= {"got_photo": [[[[255, 0, 0]] * WIDTH] * HEIGHT, [[[0, 0, 255]] * WIDTH] * HEIGHT]}
    (folder / "samples.json").write_text(json.dumps({"instances": rows, "outputs": outputs | changes}))
    inputs = [PHOTO | {"processor": PICTURE}, PRICE, TEXT | {"processor": TOKENIZER}]
    return Loaded(stored(folder, together(), inputs, "samples.json"))


def test_golden_samples_go_through_the_processors(tmp_path: Path) -> None:
    asked = with_samples(tmp_path / "right")
    answers = pasted(asked)
    assert answers["v1"]["predictions"][0]["got_input_ids"] == [10, 0, 0, 0]
    assert answers["v2"]["got_price"] == [1.5]
    assert EXAMPLE in json.dumps(page(asked)), "a picture of an example is small"
    with pytest.raises(Unservable, match=r"row 1 of samples\.json gives 'got_input_ids'"):
        with_samples(tmp_path / "text", got_input_ids=[[10, 0, 0, 0], [20, 0, 0, 0]])
    with pytest.raises(Unservable, match=r"row 0 of samples\.json gives 'got_photo'"):
        with_samples(tmp_path / "photo", got_photo=np.full((2, HEIGHT, WIDTH, 3), 9).tolist())


def test_a_tokenizer_that_was_changed_is_found(tmp_path: Path) -> None:
    stored(tmp_path, bag(), [TEXT | {"processor": TOKENIZER}])
    (tmp_path / "tokenizer.json").write_bytes(tokenizer().replace(b'"good":10', b'"good":11'))
    with pytest.raises(Unservable, match=r"tokenizer.json has the sha256 .* it was changed or cut off"):
        Loaded(tmp_path)


Tensors = list[dict[str, Any]]
UNSERVABLE: dict[str, tuple[ModelProto, Tensors, str]] = {
    "a processor of a later version": (
        bag(),
        [TEXT | {"processor": {"resample": {"hertz": 16000}}}],
        "names a processor of 'text' that this server does not know",
    ),
    "a way of resizing of a later version": (
        mean_pixel(),
        [PHOTO | {"processor": {"picture": PICTURE["picture"] | {"resize": "Pad"}}}],
        "describes 'photo' so: a picture is made smaller by Stretch or Crop, got 'Pad'",
    ),
    "four channels": (
        mean_pixel(),
        [PHOTO | {"processor": {"picture": PICTURE["picture"] | {"channels": 4}}}],
        "a picture has 1 channel",
    ),
    "another size": (
        mean_pixel(),
        [PHOTO | {"processor": {"picture": PICTURE["picture"] | {"height": 5}}}],
        "a processor of model.json makes 'photo' as UINT8 [-1, 5, 3, 3], but the model has UINT8 [-1, 2, 3, 3]",
    ),
    "another name": (
        mean_pixel(),
        [PHOTO | {"name": "image", "processor": PICTURE}],
        "makes 'image' as UINT8 [-1, 2, 3, 3], but the model has only photo",
    ),
    "another length": (
        bag(),
        [TEXT | {"processor": {"tokenizer": {"file": "tokenizer.json", "length": 9}}}],
        "makes 'input_ids' as INT64 [-1, 9], but the model has INT64 [-1, 4]",
    ),
    "a tokenizer that is not listed": (
        bag(),
        [TEXT | {"processor": {"tokenizer": {"file": "other.json", "length": 4}}}],
        "names 'other.json' for a processor, but does not list it",
    ),
    "what is no tokenizer": (
        bag(),
        [TEXT | {"processor": {"tokenizer": {"file": "model.onnx", "length": 4}}}],
        "model.onnx of 'text': the tokenizer is not JSON",
    ),
}


@pytest.mark.parametrize("name", UNSERVABLE)
def test_processors_that_do_not_go_with_the_model(tmp_path: Path, name: str) -> None:
    model, inputs, sentence = UNSERVABLE[name]
    stored(tmp_path, model, inputs)
    with pytest.raises(Unservable) as refusal:
        Loaded(tmp_path)
    assert sentence in str(refusal.value)


def test_a_huge_tokenizer_is_not_read(tmp_path: Path) -> None:
    stored(tmp_path, bag(), [TEXT | {"processor": TOKENIZER}])
    with (tmp_path / "tokenizer.json").open("r+b") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    with pytest.raises(Unservable, match=r"tokenizer.json has 1099511627776 bytes, the limit is"):
        Loaded(tmp_path)


def test_a_graph_that_needs_no_mask(tmp_path: Path) -> None:
    nodes = [helper.make_node("Identity", ["input_ids"], ["ids"])]
    model = graphs.model(nodes, TOKENS[:1], [("ids", graphs.INT64, ["rows", LENGTH])])
    asked = Loaded(stored(tmp_path, model, [TEXT | {"processor": TOKENIZER}]))
    assert asked.instances("good bad") == [[10, 20, 0, 0]]
