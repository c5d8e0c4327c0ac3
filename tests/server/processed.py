"""Small models of texts and pictures that show what reached them, and what users send for these."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import Any

import graphs
import numpy as np
from loaded import Loaded
from onnx import ModelProto, TensorProto, helper
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

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


def strings(*values: bytes) -> Any:
    """As the binary extension has them."""
    return np.frombuffer(b"".join(len(value).to_bytes(4, "little") + value for value in values), dtype=np.uint8)
