"""A replica that takes texts and pictures, as a process of its own."""

from __future__ import annotations

import asyncio
import json
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from PIL import Image
from process import Process, running
from processed import HEIGHT, LENGTH, PHOTO, PICTURE, PRICE, TEXT, TOKENIZER, WIDTH, b64, photos, png, stored, together

from tradewind_processors import Picturing
from tradewind_server import v1
from tradewind_server.processing import EXAMPLE
from tradewind_server.refusal import Failed


def test_a_picture_for_which_memory_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = photos(tmp_path)

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


def test_kserves_own_client(served: Process) -> None:
    async def ask(binary: bool) -> Any:
        text = InferInput("text", [1], "BYTES")
        text.set_data_from_numpy(np.array(["good"], dtype=object), binary_data=binary)
        photo = InferInput("photo", [1], "BYTES")
        photo.set_data_from_numpy(np.array([png()], dtype=object), binary_data=True)
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        return await client.infer(served.url, InferRequest("m", [text, photo]), model_name="m")

    for binary in (True, False):
        found = {output.name: output.as_numpy() for output in asyncio.run(ask(binary)).outputs}
        assert found["got_input_ids"].tolist() == [[10, 0, 0, 0]]
        assert found["got_photo"].tolist() == [[[[255, 0, 0]] * WIDTH] * HEIGHT]


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
