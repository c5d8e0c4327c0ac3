"""Large JSON a piece at a time, so that other threads get their turn: orjson and NumPy let none run during a call, and
probes would wait a tenth of a second for 20 MB of numbers.

A text is cut at commas. Each piece gets the brackets that are open where it begins and closed where it ends, is parsed
as a document of its own, and what it has is put behind what was there before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

Array = NDArray[Any]

_BYTES = 1 << 16
_VALUES = 1 << 13
_OPEN, _CLOSE = b"[{", b"]}"


class Malformed(ValueError):
    """The text is not JSON."""


class Container(NamedTuple):
    """A list or an object that is open: its bracket, and its key as the text has it where it stands in an object."""

    bracket: bytes
    key: bytes

    @property
    def opening(self) -> bytes:
        """The text that opens it."""
        return self.key + b":" + self.bracket if self.key else self.bracket

    @property
    def closing(self) -> bytes:
        """The text that closes it."""
        return b"]" if self.bracket == b"[" else b"}"


def loads(text: memoryview) -> Any:
    """As `orjson.loads`. Raises Malformed."""
    document: Any = None
    stack: list[Container] = []
    start = 0
    while True:
        cut = _cut(text, start)
        opening = b"".join(container.opening for container in stack)
        if cut is None:
            last = _parsed(opening, text[start:], b"", start)
            return _joined(document, last, stack) if start else last
        inner = _follow(stack, bytes(text[start:cut]), start)
        closing = b"".join(container.closing for container in reversed(inner))
        piece = _parsed(opening, text[start:cut], closing, start)
        document = _joined(document, piece, stack) if start else piece
        stack, start = inner, cut + 1


def _parsed(opening: bytes, text: memoryview, closing: bytes, start: int) -> Any:
    try:
        return orjson.loads(b"".join([opening, text, closing]) if opening or closing else text)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"{error.msg} (in what begins at byte {start})" if start else str(error)) from None


class _Marks(NamedTuple):
    """Of a text that begins outside of strings: where quotes stand, and what is outside of strings."""

    characters: NDArray[np.uint8]
    quotes: NDArray[np.intp]
    outside: NDArray[np.bool_]


def _marks(text: bytes) -> _Marks:
    characters = np.frombuffer(text, dtype=np.uint8)
    quote = characters == ord('"')
    if (backslash := characters == ord("\\")).any():
        # Of a run of backslashes each second one is escaped; the quote behind an odd number of them is.
        at = np.arange(len(characters))
        begin = np.maximum.accumulate(np.where(backslash, -1, at))  # the last character that is none
        odd = (at - begin) % 2 == 1
        quote[1:] &= ~odd[:-1]
    return _Marks(characters, np.flatnonzero(quote), np.cumsum(quote) % 2 == 0)


def _cut(text: memoryview, start: int) -> int | None:
    """The last comma between values within a piece from there; None where the rest is a piece."""
    size = _BYTES
    while len(text) - start > size:
        last = _last_comma(bytes(text[start : start + size]))
        if last >= 0:
            return start + last
        size *= 4  # a long string, such as a picture
    return None


def _last_comma(text: bytes) -> int:
    if b'"' not in text:
        return text.rfind(b",")
    characters, _, outside = _marks(text)
    commas = np.flatnonzero((characters == ord(",")) & outside)
    return int(commas[-1]) if len(commas) else -1


def _follow(stack: list[Container], text: bytes, start: int) -> list[Container]:
    """What is open behind a piece that began with this open and ends before a comma."""
    closed, opened = _of_strings(text) if b'"' in text else _of_numbers(text)
    found = stack[: max(0, len(stack) - closed)] + opened
    if not found or text.rstrip()[-1:] in (b"[", b"{", b""):
        raise Malformed(f"unexpected comma at byte {start + len(text)}")
    return found


_NO_BRACKETS = bytes(set(range(256)) - set(_OPEN + _CLOSE))


def _of_numbers(text: bytes) -> tuple[int, list[Container]]:
    """How many containers a text without strings closes that it did not open, and those that it leaves open."""
    brackets, before = text.translate(None, _NO_BRACKETS), b" "
    while len(brackets) != len(before):
        brackets, before = brackets.replace(b"[]", b"").replace(b"{}", b""), brackets
    closing = brackets.rstrip(_OPEN)
    return len(closing), [Container(brackets[at : at + 1], b"") for at in range(len(closing), len(brackets))]


def _of_strings(text: bytes) -> tuple[int, list[Container]]:
    """The same of one with strings."""
    characters, quotes, outside = _marks(text)
    opens = _any_of(characters, _OPEN) & outside
    depth = np.cumsum(opens.astype(np.int32) - (_any_of(characters, _CLOSE) & outside))
    stay = np.minimum.accumulate(depth[::-1])[::-1]  # the least depth from there to the end
    still = np.flatnonzero(opens & (stay == depth)).tolist()
    return -min(0, int(depth.min())), [Container(text[at : at + 1], _key(text, quotes, at)) for at in still]


def _any_of(characters: NDArray[np.uint8], which: bytes) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (characters == which[0]) | (characters == which[1])
    return found


def _key(text: bytes, quotes: NDArray[np.intp], at: int) -> bytes:
    """The key, in quotes, of the value that begins there; empty where there is none."""
    before = text[max(0, at - 64) : at].rstrip()
    if not before.endswith(b":"):
        return b""
    last = int(np.searchsorted(quotes, at)) - 1
    return text[quotes[last - 1] : quotes[last] + 1] if last >= 1 else b""


def _joined(document: Any, piece: Any, stack: Sequence[Container]) -> Any:
    """The document, with what the piece has that began with these containers open."""
    one, other = document, piece
    levels = []
    try:
        for container in stack[1:]:
            key: Any = orjson.loads(container.key) if container.key else None
            levels.append((one, other, key))
            one = one[-1] if key is None else one[key]
            other = other[0] if key is None else other.pop(key)
        if not other:
            raise Malformed("a comma stands before a closing bracket")
        _extend(one, other)
        for one, other, key in reversed(levels):
            _extend(one, other[1:] if key is None else other)
    except (AttributeError, LookupError, TypeError):
        raise Malformed("an object has a key twice") from None
    return document


def _extend(one: Any, other: Any) -> None:
    if isinstance(one, list):
        one.extend(other)
    else:
        one.update(other)


def array(data: Any, dtype: np.dtype[Any]) -> Array:
    """As `numpy.array`. Raises its errors."""
    count = _values(data)
    if count <= _VALUES:
        return np.array(data, dtype=dtype)
    if len(data) == 1:
        return array(data[0], dtype)[np.newaxis]
    step = max(1, len(data) * _VALUES // count)
    return np.concatenate([array(data[at : at + step], dtype) for at in range(0, len(data), step)])


def of_sequence(values: Sequence[Any], dtype: np.dtype[Any]) -> Array:
    """As `numpy.array` of a flat sequence of numbers. Raises its errors."""
    found = np.empty(len(values), dtype=dtype)
    for at in range(0, len(values), _VALUES):
        found[at : at + _VALUES] = values[at : at + _VALUES]
    return found


def _values(data: Any) -> int:
    """How many there are, if all lists are as long as the first."""
    count = 1
    while isinstance(data, list) and data:
        count *= len(data)
        data = data[0]
    return count


def types(values: list[Any]) -> set[type]:
    """Those of the values."""
    found: set[type] = set()
    for at in range(0, len(values), _VALUES):
        found.update(map(type, values[at : at + _VALUES]))
    return found


def numbers(found: Array) -> Any:
    """What orjson writes as the array's JSON, with its option for NumPy's."""
    if found.size <= _VALUES or found.ndim == 0:
        return np.ascontiguousarray(found)
    step = max(1, len(found) * _VALUES // found.size)
    texts = [
        orjson.dumps(np.ascontiguousarray(found[at : at + step]), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
        for at in range(0, len(found), step)
    ]
    return orjson.Fragment(b"".join([b"[", b",".join(texts), b"]"]))
