"""Large JSON in pieces is read and written as in one, and holds up nobody."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import orjson
import pytest

from tradewind_server import pieces


@pytest.fixture(params=[1, 7, 64, 1 << 16])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(pieces, "_BYTES", request.param)
    monkeypatch.setattr(pieces, "_VALUES", request.param)
    found: int = request.param
    return found


def loads(text: str | bytes) -> Any:
    return pieces.loads(memoryview(text.encode() if isinstance(text, str) else text))


DOCUMENTS: list[Any] = [
    {
        "inputs": [{"name": "x", "shape": [2, 3], "data": [1, 2.5, -3e-7, 4, 5, 6], "parameters": {"a": True}}],
        "id": "1",
    },
    {"instances": [[[1, 2], [3, 4]], [[5, 6], [7, 8]], []]},
    {"instances": [{"age": 40, "town": "K,öl]n"}, {"age": None, "town": 'say "hello", {you}'}, {}]},
    {"inputs": {"a": [1, 2, 3], "b": ["\\", '\\"', "\\\\,", ""], "c": {"d": [[], [1], [1, 2]], "e": 5}}},
    {"k,1": {"k:2": {'"': [1, 2], "\\": {"": [3, {"deep": [4, 5]}, 6]}}}},
    [1, [2, [3, [4, [5, 6], 7], 8], 9]],
    "one string, with a comma",
    7,
]


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("indent", [None, 2])
def test_what_is_read_is_what_orjson_reads(document: Any, indent: int | None, size: int) -> None:
    text = json.dumps(document, indent=indent)
    assert loads(text) == document
    assert loads(json.dumps(document, ensure_ascii=False, separators=(",", ":"))) == document


def random_value(rng: random.Random, depth: int) -> Any:
    kind = rng.choice(["list", "object", "number", "text", "null"] if depth < 5 else ["number", "text"])
    if kind == "list":
        return [random_value(rng, depth + 1) for _ in range(rng.randrange(5))]
    if kind == "object":
        return {random_text(rng): random_value(rng, depth + 1) for _ in range(rng.randrange(5))}
    return {"number": rng.randrange(1000) / 8, "text": random_text(rng), "null": None}[kind]


def random_text(rng: random.Random) -> str:
    return "".join(rng.choice('",[]{}:\\ aé') for _ in range(rng.randrange(9)))


@pytest.mark.parametrize("seed", range(100))
def test_anything_is_read_as_in_one_and_what_is_no_json_is_refused(seed: int, size: int) -> None:
    rng = random.Random(seed)
    text = json.dumps(random_value(rng, 0), ensure_ascii=bool(seed % 2)).encode()
    assert loads(text) == orjson.loads(text)
    for _ in range(20):  # a character is lost, doubled or another
        at = rng.randrange(len(text))
        wrong = (
            text[:at] + rng.choice([b"", text[at : at + 1] * 2, b",", b"]", b"}", b'"', b"[", b"{"]) + text[at + 1 :]
        )
        try:
            expected = orjson.loads(wrong)
        except orjson.JSONDecodeError:
            with pytest.raises(pieces.Malformed):
                loads(wrong)
        else:
            assert loads(wrong) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1,2,]",
        "[,1]",
        "[1,,2]",
        '{"a":1,}',
        '{"a":1}, {"b":2}',
        '{"a",1}',
        "[1,2}",
        '{"a":[1,2],"b":[3,4]',
        "[1],2]",
    ],
)
def test_what_orjson_refuses_is_refused(text: str, size: int) -> None:
    with pytest.raises(pieces.Malformed):
        loads(text)


@pytest.mark.parametrize(
    "data", [[[1, 2], [3, 4], [5, 6]], [[[1.5] * 30] * 2], list(range(50)), 7, [], [[]], ["a", "b"]]
)
def test_arrays_are_what_numpy_makes(data: Any, size: int) -> None:
    dtype = np.dtype(object if data == ["a", "b"] else np.float32)
    expected = np.array(data, dtype=dtype)
    found = pieces.array(data, dtype)
    assert found.shape == expected.shape and (found == expected).all()
    if isinstance(data, list):
        assert pieces.types(data) == set(map(type, data))
        if dtype.kind == "f":
            text = orjson.dumps({"y": pieces.numbers(found)}, option=orjson.OPT_SERIALIZE_NUMPY)
            assert orjson.loads(text)["y"] == expected.tolist()


@pytest.mark.parametrize("data", [[[1, 2], [3]], [[1], [2, 3], [4, 5]]])
def test_lists_of_different_lengths_are_refused(data: Any, size: int) -> None:
    with pytest.raises(ValueError, match=r".+"):
        pieces.array(data, np.dtype(np.float32))


def test_no_call_has_more_than_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads take turns between calls, so this is what holds up a probe."""
    seen: list[int] = []

    def counted(text: Any) -> Any:
        seen.append(len(text))
        return loads_at_once(text)

    loads_at_once = orjson.loads
    monkeypatch.setattr(orjson, "loads", counted)
    rows = [{"name": f"row {number}", "values": [number] * 20, "text": "a, [b]"} for number in range(5000)]
    text = loads_at_once(orjson.dumps({"instances": rows}))
    assert loads(json.dumps({"instances": rows})) == text
    assert len(seen) > 5
    assert max(seen) < 1.1 * (1 << 16)
