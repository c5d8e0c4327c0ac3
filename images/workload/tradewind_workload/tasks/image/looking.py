"""What is seen of the pictures of a data set before they are learnt from: their sizes, and which can't be opened."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image

from tradewind_processors import Picturing, Unprocessable
from tradewind_workload.data.blocks import block_columns
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from tradewind_workload.data.rows import Rows
    from tradewind_workload.data.streamed import Streamed

NAMED = 5  # pictures that a refusal names
_GREY = ("1", "L", "LA", "I;16", "I;16B", "I;16L", "I;16N", "I", "F")
_TURNED = (5, 6, 7, 8)  # notes of cameras by which height and width change places
# Pictures are decoded whole for this, but hardly resized: a JPEG in an eighth of its size.
_OPENED = Picturing(8, 8)


@dataclass(frozen=True)
class Look:
    """What was seen of some pictures."""

    sizes: np.ndarray  # int32 [n, 2]: height and width of those that can be opened, as they are held upright
    grey: bool  # whether none of them has colours
    broken: tuple[tuple[int, str], ...]  # offset in the block, and why


def look_at(pictures: pa.Array | pa.ChunkedArray, offsets: np.ndarray) -> Look:
    """Open the pictures, large_binary [n], which stand at these offsets of a block."""
    sizes, grey, broken = list[tuple[int, int]](), True, list[tuple[int, str]]()
    for offset, value in zip(offsets.tolist(), pictures, strict=True):
        if not value.is_valid:
            broken.append((offset, "it is missing"))
            continue
        content = value.as_py()
        try:
            _OPENED.one(content)
        except Unprocessable as error:
            broken.append((offset, str(error)))
            continue
        height, width, colours = _header(content)
        sizes.append((height, width))
        grey = grey and not colours
    return Look(np.array(sizes, np.int32).reshape(-1, 2), grey, tuple(broken))


def _header(content: bytes) -> tuple[int, int, bool]:
    """Height and width as the picture is held, and whether it has colours."""
    with Image.open(BytesIO(content)) as image:
        height, width, colours = image.height, image.width, image.mode not in _GREY
        try:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) in _TURNED
        except Exception:  # noqa: BLE001 -- a note that can't be read is none, as for Picturing
            turned = False
    return (width, height, colours) if turned else (height, width, colours)


def _looked(block: pa.Table, offsets: np.ndarray, column: str) -> Look:
    return look_at(block_columns(block).take(offsets)[column], offsets)


def look(rows: Rows | Streamed, column: str, part: str) -> Look:
    """All pictures of a part of the data. Raises Fault(InvalidData) that names those that can't be opened."""
    found = list(rows.each(_looked, column))
    broken = [
        (rows.place(int(rows.starts[number]) + offset), why)
        for number, seen in zip(rows.numbers(), found, strict=True)
        for offset, why in seen.broken
    ]
    if broken:
        raise _refusal(broken, len(rows), part)
    return Look(np.concatenate([seen.sizes for seen in found]), all(seen.grey for seen in found), ())


def _refusal(broken: list[tuple[str, str]], rows: int, part: str) -> Fault:
    missing = all(why == "it is missing" for _, why in broken)
    named = "; ".join(f"{place}: {why}" for place, why in broken[:NAMED])
    more = f"; and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
    remedy = (
        "add dropNulls to spec.data.prepare, or fill them in"
        if missing
        else "replace them, or take them out of the data"
    )
    return Fault(
        "InvalidData", f"{len(broken)} of {rows} pictures of the {part} data can't be used ({named}{more}): {remedy}."
    )


def median(look: Look) -> tuple[int, int]:
    """Height and width that half of the pictures have at most."""
    height, width = np.median(look.sizes, axis=0)
    return int(height), int(width)


def sums(rows: Rows | Streamed, column: str, picturing: Picturing) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of the pixels by channel, float64 [channels] each, of pictures that can be opened."""
    parts = list(rows.each(_sums, column, picturing))
    nothing = np.zeros(picturing.shape[2])
    count = sum(part[0] for part in parts)
    total, squares = sum((part[1] for part in parts), nothing), sum((part[2] for part in parts), nothing)
    mean = total / count
    return mean, np.sqrt(np.maximum(squares / count - mean**2, 0))


def _sums(
    block: pa.Table, offsets: np.ndarray, column: str, picturing: Picturing
) -> tuple[int, np.ndarray, np.ndarray]:
    count, total, squares = 0, np.zeros(picturing.shape[2]), np.zeros(picturing.shape[2])
    for some in _some(block_columns(block).take(offsets)[column]):
        pixels = picturing(some).reshape(-1, picturing.shape[2]).astype(np.float64)
        count, total, squares = count + len(pixels), total + pixels.sum(0), squares + (pixels**2).sum(0)
    return count, total, squares


def _some(pictures: pa.Array | pa.ChunkedArray, together: int = 32) -> Iterator[list[bytes | None]]:
    for start in range(0, len(pictures), together):
        yield pictures[start : start + together].to_pylist()
