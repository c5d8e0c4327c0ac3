"""Small copies of pictures, for a page that needs no other file."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image, ImageOps

from tradewind_workload.report.record import Picture

LARGEST = 96  # pixels of the longer side
BYTES = 24_000  # of a PNG; a larger one is made smaller


def of_array(pixels: np.ndarray) -> Picture:
    """Of uint8 [height, width, channels], with one channel (grey), three (RGB) or four (with alpha)."""
    shown = pixels[:, :, 0] if pixels.shape[2] not in (3, 4) else pixels
    return _small(Image.fromarray(shown))


def of_file(content: bytes) -> Picture | None:
    """Of the content of a picture's file; None where it can't be read."""
    try:
        with Image.open(io.BytesIO(content)) as found:
            found.draft("RGB", (LARGEST, LARGEST))
            turned = ImageOps.exif_transpose(found)
            if turned.mode[0] in "IF":  # 16 bits and more
                return of_array(_to_bytes(np.asarray(turned, np.float64))[:, :, np.newaxis])
            return _small(turned.convert("RGBA" if "transparency" in turned.info or turned.mode == "RGBA" else "RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # as Pillow's formats say it
        return None


def _to_bytes(values: np.ndarray) -> np.ndarray:
    """Numbers of any range as uint8, from the least to the largest."""
    low, high = float(values.min()), float(values.max())
    return ((values - low) * (255 / ((high - low) or 1.0))).astype(np.uint8)


def _small(image: Image.Image) -> Picture:
    side = LARGEST
    while True:
        small = image.copy()
        small.thumbnail((side, side))
        out = io.BytesIO()
        small.save(out, format="PNG", optimize=True)
        if out.tell() <= BYTES or side <= LARGEST // 4:
            return Picture(png=base64.b64encode(out.getvalue()).decode(), width=small.width, height=small.height)
        side = side * 3 // 4
