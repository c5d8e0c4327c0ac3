"""The bytes of a protobuf message before they are parsed: large values are taken out as they stand, and what would take
far more memory than its bytes is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from tradewind_server.refusal import BadRequest, raise_limit

# Memory that a message within the message takes, or a value that is taken out, in that of a value.
_MESSAGE = 16
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_FIXED = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}
_TEXTS = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
_SIZES = {FieldDescriptor.TYPE_FLOAT: 4, FieldDescriptor.TYPE_DOUBLE: 8}


class Malformed(BadRequest):
    """The bytes are no protobuf."""

    def __init__(self) -> None:
        super().__init__("the message can't be read: it is not protobuf, or it is cut off")


class Field(NamedTuple):
    """Where a field stands: it begins at a byte, and its value is from one byte to another."""

    number: int
    wire_type: int
    begin: int
    start: int
    end: int


def fields(message: memoryview) -> Iterator[Field]:
    """Those of a message, one after the other. Raises Malformed."""
    at = 0
    while at < len(message):
        tag, start = _varint(message, at)
        wire_type = tag & 7
        if wire_type == _LENGTH:
            size, start = _varint(message, start)
            end = start + size
        elif wire_type == _VARINT:
            end = _varint(message, start)[1]
        elif wire_type in _FIXED:
            end = start + _FIXED[wire_type]
        else:  # the protocol has no groups
            raise Malformed
        if end > len(message):
            raise Malformed
        yield Field(tag >> 3, wire_type, at, start, end)
        at = end


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number that begins there, and where it ends."""
    value = shift = 0
    for end in range(at, min(at + 10, len(message))):
        byte = message[end]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, end + 1
        shift += 7
    raise Malformed


def split(message: memoryview, number: int, most: int) -> tuple[bytes, list[memoryview]]:
    """The message without the fields of that number, and the values of these, in their order and without a copy.

    It may have as much else as `most` values take.
    """
    kept: list[memoryview] = []
    taken: list[memoryview] = []
    begun = found = 0
    for field in fields(message):
        found += 1
        if field.number == number and field.wire_type == _LENGTH:
            found += _MESSAGE
            if field.begin > begun:
                kept.append(message[begun : field.begin])
            taken.append(message[field.start : field.end])
            begun = field.end
        if found > most:
            raise _too_many(most)
    return b"".join([*kept, message[begun:]]), taken


def check(message: memoryview, kind: Descriptor, most: int) -> None:
    """Refuses a message of that kind with more values than that: of two bytes parsing can make a hundred."""
    if _values(message, kind, most) > most:
        raise _too_many(most)


def _values(message: memoryview, kind: Descriptor, most: int) -> int:
    found = 0
    for field in fields(message):
        known = kind.fields_by_number.get(field.number)
        value = message[field.start : field.end]
        if known is None or field.wire_type != _LENGTH or known.type in _TEXTS:
            found += 1
        elif known.message_type:
            found += _MESSAGE + _values(value, known.message_type, most)
        elif known.type in _SIZES:
            found += len(value) // _SIZES[known.type]
        else:
            found += int(np.count_nonzero(np.frombuffer(value, dtype=np.uint8) < 0x80))
        if found > most:
            break
    return found


def _too_many(most: int) -> BadRequest:
    return BadRequest(
        f"more than {most} values outside of raw_input_contents: send tensors there, or fewer rows in each request"
        f"{raise_limit('maxBodyBytes')}"
    )
