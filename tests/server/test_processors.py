"""Texts and pictures as users send them, in both protocols: small models that show what reached them."""

from __future__ import annotations

import asyncio
import json
import struct
import zlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import graphs
import numpy as np
import pytest
from loaded import Loaded
from onnx import ModelProto, TensorProto, helper
from PIL import Image
from process import Process, running
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from tradewind_processors import Picturing
from tradewind_server import openapi, v1, v2
from tradewind_server.folder import Unservable
from tradewind_server.processing import EXAMPLE
from tradewind_server.refusal import Failed

LENGTH, HEIGHT, WIDTH = 4, 2, 3
# A word's id is its score.
VOCABULARY = {"[PAD]": 0, "[UNK]": 1, "good": 10, "bad": 20, "food": 30}
TEXT = {"name": "text", "datatype": "BYTES", "shape": [-1], "kind": "text"}
TOKENIZER = {"tokenizer": {"file": "tokenizer.json", "length": LENGTH}}
PHOTO = {"name": "photo", "datatype": "BYTES", "shape": [-1], "kind": "image"}
PICTURE = {"picture": {"height": HEIGHT, "width": WIDTH, "channels": 3, "resize": "Stretch"}}
TOKENS: list[graphs.Info] = [
    ("input_ids", graphs.INT64, ["rows", LENGTH]),
    ("attention_mask", graphs.INT64, ["rows", LENGTH]),
]
PIXELS: graphs.Info = ("photo", TensorProto.UINT8, ["rows", HEIGHT, WIDTH, 3])
RED = (255, 0, 0)


def png(colour: tuple[int, ...] = RED, size: tuple[int, int] = (30, 20), form: str = "PNG") -> bytes:
    file = BytesIO()
    Image.new("RGB", size, colour).save(file, form)
    return file.getvalue()


def b64(content: bytes) -> str:
    return b64encode(content).decode()


def bag() -> ModelProto:
    """`score` is the sum of the ids of the tokens, the padding's apart; `tokens` is their number."""
    nodes = [
        helper.make_node("Mul", ["input_ids", "attention_mask"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "last"], ["score"], keepdims=0),
        helper.make_node("ReduceSum", ["attention_mask", "last"], ["tokens"], keepdims=0),
    ]
    outputs: list[graphs.Info] = [("score", graphs.INT64, ["rows"]), ("tokens", graphs.INT64, ["rows"])]
    return graphs.model(nodes, TOKENS, outputs, {"last": np.array([1])})


def mean_pixel() -> ModelProto:
    """`mean` is that of each of the three colours."""
    nodes = [
        helper.make_node("Cast", ["photo"], ["floats"], to=graphs.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["mean"], axes=[1, 2], keepdims=0),
    ]
    return graphs.model(nodes, [PIXELS], [("mean", graphs.FLOAT, ["rows", 3])])


def together() -> ModelProto:
    """A text, a picture and a number: gives back what reached it."""
    return graphs.echo(*TOKENS, ("price", graphs.FLOAT, ["rows"]), PIXELS)


def tokenizer() -> bytes:
    made = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))  # noqa: S106 -- a piece of a text
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return str(made.to_str()).encode()


def stored(folder: Path, model: ModelProto, inputs: list[dict[str, Any]], *more: str, **manifest: Any) -> Path:
    """The folder of a model; `more` are files that are there already."""
    graphs.save(model, folder / "model.onnx")
    (folder / "tokenizer.json").write_bytes(tokenizer())
    files = graphs.listed(folder, "model.onnx", "tokenizer.json", *more)
    graphs.manifest(folder, **({"task": "t", "labels": [], "inputs": inputs, "outputs": [], "files": files} | manifest))
    return folder


def texts(folder: Path, **tensor: Any) -> Loaded:
    return Loaded(stored(folder, bag(), [TEXT | {"processor": TOKENIZER} | tensor]))


def photos(folder: Path, **tensor: Any) -> Loaded:
    return Loaded(stored(folder, mean_pixel(), [PHOTO | {"processor": PICTURE} | tensor]))


PRICE = {"name": "price", "datatype": "FP32", "shape": [-1], "kind": "number", "nullable": True}


def mixed(folder: Path, **tensor: Any) -> Loaded:
    """In the order in which the columns are."""
    inputs = [PHOTO | {"processor": PICTURE} | tensor, PRICE, TEXT | {"processor": TOKENIZER} | tensor]
    return Loaded(stored(folder, together(), inputs))


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


def strings(*values: bytes) -> Any:
    """As the binary extension has them."""
    return np.frombuffer(b"".join(len(value).to_bytes(4, "little") + value for value in values), dtype=np.uint8)


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
    ({"photo": {"b64": "?"}}, "input 'photo' in row 1: expected base64, got '?': give what `base64 FILE` prints"),
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
    assert asked.instances({"text": None}, {}, {"text": "good"})[:2] == [{"score": 0, "tokens": 0}] * 2
    seen = photos(tmp_path / "p", nullable=True)
    assert seen.instances({"photo": None}, {}, {"photo": {"b64": b64(png())}}) == [[0, 0, 0], [0, 0, 0], [255, 0, 0]]


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


def test_a_picture_for_which_memory_is_short(seen: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Picturing, "one", short)
    with pytest.raises(Failed, match="input 'photo' in row 0: the replica has too little memory for this picture"):
        asyncio.run(v1.answer(seen.model, {}, json.dumps({"instances": [{"b64": EXAMPLE}]}).encode(), 100))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A text, a price and a photo in a process of their own."""
    root = tmp_path_factory.mktemp("photos")
    inputs = [PHOTO | {"processor": PICTURE}, PRICE, TEXT | {"processor": TOKENIZER}]
    folder = stored(root, together(), inputs)
    with running(folder, root / "log", env={"TRADEWIND_MAX_PIXELS": "1000", "TRADEWIND_MAX_ROWS": "1000"}) as process:
        yield process


ROW = {"text": "good", "photo": {"b64": EXAMPLE}}


def test_a_process_answers(served: Process) -> None:
    assert served.metrics()['tradewind_model_tried{by="zeros",model="m"}'] == 1
    (found,) = served.predict(instances=[ROW]).json()["predictions"]
    assert found["got_input_ids"] == [10, 0, 0, 0]
    assert found["got_photo"] == [[[128, 128, 128]] * WIDTH] * HEIGHT


def test_the_limits_of_a_replica(served: Process) -> None:
    many = served.predict(instances=[ROW] * 167)
    assert many.status_code == 400
    assert "have 1002 pixels together, as the model takes them; the limit is 1000" in many.json()["error"]
    assert "spec.limits.maxPixels of the ModelDeployment" in many.json()["error"]
    assert served.predict(instances=[ROW] * 166).status_code == 200
    large = served.predict(instances=[ROW | {"photo": {"b64": b64(png(size=(40, 26)))}}])
    assert "40 x 26 pixels, the limit is 1000 pixels" in large.json()["error"]


def test_the_parts_of_the_time_are_measured(served: Process) -> None:
    def counts() -> dict[str, float]:
        parts = ("read", "parse", "queue", "process", "model", "answer")
        name = 'tradewind_request_part_seconds_{}{{model="m",part="{}"}}'
        found = served.metrics()
        assert all(found[name.format("sum", part)] >= 0 for part in parts)
        return {part: found[name.format("count", part)] for part in parts}

    before = counts()
    assert served.predict(instances=[ROW]).status_code == 200
    assert counts() == {part: count + 1 for part, count in before.items()}


def test_hostile_inputs_are_answered_and_the_replica_lives(served: Process) -> None:
    """A small file that says it has 3.6 thousand million pixels, and ten megabytes of one word."""
    header = struct.pack(">II", 60_000, 60_000)
    bomb = bytearray(png())
    bomb[16:24] = header
    bomb[29:33] = struct.pack(">I", zlib.crc32(bytes(bomb[12:29])))
    odd = BytesIO()
    Image.new("RGB", (9, 9)).save(odd, "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert served.predict(instances=[ROW | {"photo": {"b64": b64(odd.getvalue())}}]).status_code == 200
    assert "Warning" not in served.log
    found = served.predict(instances=[ROW | {"photo": {"b64": b64(bytes(bomb))}}])
    assert found.status_code == 400 and "input 'photo' in row 0: the picture has more pixels" in found.json()["error"]
    before = served.memory()
    for text in ("good " * 2_000_000, "g" * 10_000_000):
        (answer,) = served.predict(instances=[ROW | {"text": text}]).json()["predictions"]
        assert sum(answer["got_attention_mask"]) == (LENGTH if " " in text else 1)
    assert served.memory() - before < 200 << 20
    assert served.predict(instances=[ROW]).status_code == 200
