"""Odd pictures, made for the tests: each a file's bytes."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageCms

RED, WHITE, BLUE = (255, 0, 0), (255, 255, 255), (0, 0, 255)


def saved(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """The file of a picture."""
    file = BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def halves(mode: str = "RGB", left: Any = RED, right: Any = WHITE, size: tuple[int, int] = (64, 32)) -> Image.Image:
    """A picture of two colours side by side."""
    image = Image.new(mode, size, right)
    image.paste(left, (0, 0, size[0] // 2, size[1]))
    return image


def turned(orientation: int, form: str = "JPEG") -> bytes:
    """A picture with the camera's note on which side is up. As it lies, the left half is red."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(halves(), form, exif=exif)


def grey16(form: str = "PNG") -> bytes:
    """Samples of 16 bits: 0x1234 everywhere."""
    return saved(Image.fromarray(np.full((8, 8), 0x1234, dtype=np.uint16)), form)


def palette(transparent: bool) -> bytes:
    """Red on the left; what is right is the palette's second colour, or nothing."""
    image = Image.new("P", (64, 32), 1)
    image.putpalette([*RED, *BLUE])
    image.paste(0, (0, 0, 32, 32))
    return saved(image, "PNG", **({"transparency": 1} if transparent else {}))


def animated() -> bytes:
    """A GIF whose first frame is red, and the others blue."""
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE, BLUE)]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:])


def profiled() -> bytes:
    """With a profile of its colours."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return saved(halves(), "PNG", icc_profile=profile)


def interlaced() -> bytes:
    """A PNG in seven passes, 8 x 8, red: Pillow reads such files, but writes none."""
    rows = b""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    for left, top, across, down in passes:
        width, height = len(range(left, 8, across)), len(range(top, 8, down))
        rows += (b"\0" + bytes(RED) * width) * height
    return png(8, 8, zlib.compress(rows), interlace=1)


def png(width: int, height: int, data: bytes, interlace: int = 0, extra: bytes = b"") -> bytes:
    """A PNG of RGB whose header says so, whatever is in it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + extra + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bombs() -> dict[str, bytes]:
    """Files of a few kilobytes that would take gigabytes."""
    small = saved(Image.new("RGB", (8, 8)), "JPEG")
    frame = small.index(b"\xff\xc0") + 5
    webp = bytearray(saved(Image.new("RGBA", (8, 8)), "WEBP", lossless=True))
    at = webp.index(b"VP8L") + 9
    webp[at : at + 4] = struct.pack("<I", 16383 | 16383 << 14)
    gif = bytearray(saved(Image.new("P", (8, 8)), "GIF"))
    gif[6:10] = struct.pack("<HH", 65535, 65535)
    bmp = bytearray(saved(Image.new("RGB", (8, 8)), "BMP"))
    bmp[18:26] = struct.pack("<ii", 60000, 60000)
    return {
        "png of zeros": png(60000, 60000, bytes(1 << 10)),
        "png just below what Pillow refuses": png(13000, 13000, bytes(1 << 10)),
        "png with a text that unpacks to 20 megabytes": png(
            8, 8, b"", extra=_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(20 << 20)))
        ),
        "jpeg": small[:frame] + struct.pack(">HH", 65500, 65500) + small[frame + 4 :],
        "webp": bytes(webp),
        "gif": bytes(gif),
        "bmp": bytes(bmp),
        "tiff": _tiff(60000, 60000),
    }


def _tiff(width: int, height: int) -> bytes:
    entries = [(256, width), (257, height), (258, 8), (259, 8), (262, 1), (273, 8), (277, 1), (278, height), (279, 100)]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + directory + bytes(4 + 100)
