"""Bodies that are compressed: what is read, what is refused while it is read, and when an answer is compressed."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import graphs
import httpx
import numpy as np
import pytest
from process import PATIENCE
from prometheus_client import REGISTRY

from tradewind_server import encoding
from tradewind_server.bodies import Bodies
from tradewind_server.http import Application
from tradewind_server.model import LARGE, Limits, OnnxModel
from tradewind_server.refusal import BadRequest

LIMIT = 4_000_000
PATH = "/v2/models/m/infer"
ROW = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
BODY = json.dumps({"inputs": [ROW]}).encode()
CODERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "x-gzip": gzip.compress}


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Application:
    folder = tmp_path_factory.mktemp("model")
    graphs.save(graphs.identity(graphs.FLOAT, ["rows", 2]), folder / "model.onnx")
    model = OnnxModel("m", folder, None, threads=1, limits=Limits(rows=100_000, batch=1))
    model.load()
    return Application(model, Bodies(LIMIT, PATIENCE))


def post(application: Application, content: Any, path: str = PATH, **headers: str) -> httpx.Response:
    """The reply as it is on the wire: `content` is not decompressed."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(application)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with httpx.AsyncClient(transport=transport, base_url="http://m", timeout=PATIENCE) as client:
            asked = client.build_request("POST", path, content=content, headers={"accept-encoding": "", **named})
            reply = await client.send(asked, stream=True)
            raw = b"".join([chunk async for chunk in reply.aiter_raw()])
            kept = [(key, value) for key, value in reply.headers.items() if key != "content-encoding"]
            found = httpx.Response(reply.status_code, headers=kept, content=raw)
            found.extensions["encoding"] = reply.headers.get("content-encoding")
            return found

    return asyncio.run(ask())


@pytest.mark.parametrize("name", CODERS)
@pytest.mark.parametrize("parts", [1, 7])
def test_a_compressed_body_is_read(application: Application, name: str, parts: int) -> None:
    body = CODERS[name](BODY)

    async def chunks() -> Any:
        for at in range(0, len(body), -(-len(body) // parts)):
            yield body[at : at + -(-len(body) // parts)]

    reply = post(application, body if parts == 1 else chunks(), content_encoding=name)
    assert reply.json()["outputs"][0]["data"] == [1, 2]
    rows = post(application, CODERS[name](b'{"instances": [[1, 2]]}'), "/v1/models/m:predict", content_encoding=name)
    assert rows.json() == {"predictions": [[1, 2]]}


def test_tensors_behind_compressed_json(application: Application) -> None:
    raw = np.array([[1, 2]], "<f4").tobytes()
    tensor = {name: value for name, value in ROW.items() if name != "data"} | {"parameters": {"binary_data_size": 8}}
    text = json.dumps({"inputs": [tensor]}).encode()
    length = {"inference_header_content_length": str(len(text))}
    assert post(application, gzip.compress(text + raw), content_encoding="gzip", **length).status_code == 200


@pytest.mark.parametrize(
    ("name", "content", "code", "sentence"),
    [
        ("br", BODY, 415, "Content-Encoding 'br' is not supported: send gzip, deflate, or no encoding"),
        ("gzip, gzip", BODY, 415, "'gzip, gzip' is not supported"),
        ("gzip", BODY, 400, "the body is not gzip, though Content-Encoding says so"),
        ("gzip", zlib.compress(BODY), 400, "the body is not gzip"),
        ("deflate", gzip.compress(BODY), 400, "the body is not deflate"),
        ("gzip", gzip.compress(BODY)[:-1], 400, "the body is cut off"),
        ("gzip", b"", 400, "the body is cut off"),
        ("gzip", gzip.compress(BODY) + b"more", 400, "goes on behind its end"),
        ("gzip", gzip.compress(BODY)[:-8] + bytes(8), 400, "the body is not gzip"),  # a wrong checksum
        ("gzip", gzip.compress(bytes(LIMIT + 1)), 413, f"above the limit of {LIMIT} bytes"),
        ("deflate", zlib.compress(bytes(LIMIT + 1)), 413, f"above the limit of {LIMIT} bytes"),
    ],
)
def test_what_is_refused(application: Application, name: str, content: bytes, code: int, sentence: str) -> None:
    reply = post(application, content, content_encoding=name)
    assert reply.status_code == code, reply.text
    assert sentence in reply.json()["error"]
    assert reply.headers.get("accept-encoding") == ("gzip, deflate" if code == 415 else None)
    assert application.bodies._held == 0


def test_a_bomb_is_refused_while_it_is_read_and_holds_up_nobody(application: Application) -> None:
    """A gigabyte in a megabyte: no more of it is made than fits, and the event loop has its turn between two pieces."""
    bomb, turns = gzip.compress(bytes(1 << 30), 9), 0

    async def run() -> int:
        nonlocal turns

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": bomb, "more_body": False}

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        counting = asyncio.create_task(count())
        headers = [(b"content-encoding", b"gzip")]
        await application({"method": "POST", "path": PATH, "headers": headers}, receive, send)
        counting.cancel()
        code: int = sent[0]["status"]
        return code

    tracemalloc.start()
    assert asyncio.run(run()) == 413
    assert tracemalloc.get_traced_memory()[1] < 3 * LIMIT
    tracemalloc.stop()
    assert turns >= LIMIT // encoding._PIECE


def test_a_body_of_nothing_has_a_limit_too(application: Application) -> None:
    """Empty blocks of deflate become nothing, however many there are."""
    empty = zlib.compressobj(wbits=zlib.MAX_WBITS)
    blocks = empty.compress(b"") + empty.flush(zlib.Z_FULL_FLUSH) + b"\x00\x00\x00\xff\xff" * (LIMIT // 5)

    async def chunks() -> Any:
        for at in range(0, len(blocks), 1 << 16):
            yield blocks[at : at + (1 << 16)]

    assert post(application, chunks(), content_encoding="deflate").status_code == 413


def rows(count: int, values: Any) -> bytes:
    return json.dumps({"inputs": [ROW | {"shape": [count, 2], "data": values}]}).encode()


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate, br", "gzip"),
        ("deflate", "deflate"),
        ("br, deflate;q=0.5", "deflate"),
        ("gzip;q=0, deflate", "deflate"),
        ("br", None),
        ("gzip;q=0.0", None),
        ("", None),
    ],
)
def test_a_large_answer_is_compressed_for_who_accepts_it(
    application: Application, accept: str, name: str | None
) -> None:
    body = rows(40_000, [0.1234567, 7.654321] * 40_000)
    reply = post(application, body, accept_encoding=accept)
    assert reply.extensions["encoding"] == name
    content = zlib.decompress(reply.content, 47) if name else reply.content
    assert len(content) > LARGE and len(json.loads(content)["outputs"][0]["data"]) == 80_000
    if name:
        assert len(reply.content) < len(content) / 2
    assert int(reply.headers["content-length"]) == len(reply.content)


def test_a_small_answer_and_one_that_does_not_get_smaller_stay_as_they_are(application: Application) -> None:
    assert post(application, BODY, accept_encoding="gzip").extensions["encoding"] is None
    noise = np.random.default_rng(0).random((50_000, 2), np.float32)
    tensor = {"name": "x", "datatype": "FP32", "shape": [50_000, 2], "parameters": {"binary_data_size": noise.nbytes}}
    text = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    length = {"inference_header_content_length": str(len(text))}
    reply = post(application, text + noise.tobytes(), accept_encoding="gzip", **length)
    assert reply.extensions["encoding"] is None
    assert reply.content.endswith(noise.tobytes()) and noise.nbytes > LARGE


def test_a_decoder_takes_any_cut() -> None:
    content = np.random.default_rng(0).integers(0, 4, 1_000_000, dtype=np.uint8).tobytes()
    for name, coder in CODERS.items():
        body = coder(content)
        for step in (1_000, 77_777, len(body)):
            decoder = encoding.Decoder(name.encode())
            found = [piece for at in range(0, len(body), step) for piece in decoder.pieces(body[at : at + step])]
            decoder.end()
            assert b"".join(found) == content and max(map(len, found)) <= encoding._PIECE
        cut = encoding.Decoder(name.encode())
        list(cut.pieces(body[:-10]))
        with pytest.raises(BadRequest, match="cut off"):
            cut.end()


def test_metrics_say_what_compressing_took(application: Application) -> None:
    def count() -> float:
        labels = {"model": application.model.name, "part": "compress"}
        return REGISTRY.get_sample_value("tradewind_request_part_seconds_count", labels) or 0.0

    before = count()
    post(application, rows(40_000, [0.5, 0.25] * 40_000), accept_encoding="gzip")
    post(application, BODY, accept_encoding="gzip")
    assert count() == before + 1
