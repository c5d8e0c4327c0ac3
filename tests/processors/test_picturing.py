"""Pictures as cameras, programs and the web leave them: the right pixels, or a sentence."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from typing import Any

import numpy as np
import pictures
import pytest
from pictures import BLUE, RED, WHITE, halves, saved
from PIL import Image

from tradewind_processors import Picturing, Unprocessable

PINK = (255, 128, 128)


def colours(content: bytes, **options: Any) -> list[tuple[int, ...]]:
    """At both ends; neighbours melt where two colours meet."""
    pixels = Picturing(1, 8, **options)([content])
    assert pixels.shape == (1, 1, 8, 3) and pixels.dtype == np.uint8
    return [tuple(map(int, pixel)) for pixel in pixels[0, 0, ::7]]


def near(found: list[tuple[int, ...]], expected: list[tuple[int, ...]], off: int = 0) -> bool:
    return bool(np.abs(np.array(found) - np.array(expected)).max() <= off)


# Each: the file, what its left and its right half are, and how far these may be off.
GOOD: dict[str, tuple[bytes, list[tuple[int, ...]], int]] = {
    "png": (saved(halves()), [RED, WHITE], 0),
    "bmp": (saved(halves(), "BMP"), [RED, WHITE], 0),
    "tiff": (saved(halves(), "TIFF"), [RED, WHITE], 0),
    "tiff, packed": (saved(halves(), "TIFF", compression="tiff_lzw"), [RED, WHITE], 0),
    "gif": (saved(halves(), "GIF"), [RED, WHITE], 0),
    "webp": (saved(halves(), "WEBP", lossless=True), [RED, WHITE], 0),
    "webp, lossy": (saved(halves(), "WEBP"), [RED, WHITE], 6),
    "jpeg": (saved(halves(), "JPEG"), [RED, WHITE], 6),
    "progressive jpeg": (saved(halves(), "JPEG", progressive=True), [RED, WHITE], 6),
    "large jpeg, read in an eighth": (saved(halves(size=(1600, 800)), "JPEG"), [RED, WHITE], 6),
    "grey jpeg": (saved(halves("L", 100, 200), "JPEG"), [(100,) * 3, (200,) * 3], 2),
    "CMYK jpeg": (saved(halves("CMYK", (0, 255, 255, 0), (0, 0, 0, 0)), "JPEG"), [RED, WHITE], 8),
    "CMYK tiff": (saved(halves("CMYK", (0, 255, 255, 0), (0, 0, 0, 0)), "TIFF"), [RED, WHITE], 0),
    "interlaced png": (pictures.interlaced(), [RED, RED], 0),
    "palette": (pictures.palette(transparent=False), [RED, BLUE], 0),
    "palette with transparency": (pictures.palette(transparent=True), [RED, WHITE], 0),
    "transparent": (saved(halves("RGBA", (*RED, 255), (*BLUE, 0))), [RED, WHITE], 0),
    "half transparent": (saved(halves("RGBA", (*RED, 127), (*BLUE, 255))), [PINK, BLUE], 0),
    "grey and transparent": (saved(halves("LA", (10, 255), (10, 0))), [(10,) * 3, WHITE], 0),
    "a colour stands for nothing": (saved(halves(right=BLUE), transparency=BLUE), [RED, WHITE], 0),
    "black and white": (saved(halves("1", 0, 1)), [(0,) * 3, WHITE], 0),
    "16 bits": (pictures.grey16(), [(0x12,) * 3] * 2, 0),
    "16 bits in a tiff": (pictures.grey16("TIFF"), [(0x12,) * 3] * 2, 0),
    "one pixel": (saved(Image.new("RGB", (1, 1), RED)), [RED, RED], 0),
    "a line": (saved(halves(size=(5000, 1))), [RED, WHITE], 0),
    "animated gif": (pictures.animated(), [RED, RED], 0),
    "with a profile": (pictures.profiled(), [RED, WHITE], 0),
    "bytes behind the end": (saved(halves()) + b"trailing", [RED, WHITE], 0),
    "a note on its turn that can't be read": (saved(halves(), exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), [RED, WHITE], 0),
}


@pytest.mark.parametrize("name", GOOD)
def test_odd_pictures_have_the_right_colours(name: str) -> None:
    content, expected, off = GOOD[name]
    found = colours(content)
    assert near(found, expected, off), found


# Where the red half is, when the picture is held as the camera was.
@pytest.mark.parametrize(
    ("orientation", "red"),
    [(1, "left"), (2, "right"), (3, "right"), (4, "left"), (5, "top"), (6, "top"), (7, "bottom"), (8, "bottom")],
)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_the_cameras_note_is_followed(orientation: int, red: str, form: str) -> None:
    (pixels,) = Picturing(2, 2)([pictures.turned(orientation, form)]).astype(int)
    halves_of = {"left": pixels[:, 0], "right": pixels[:, 1], "top": pixels[0], "bottom": pixels[1]}
    opposite = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}[red]
    assert np.abs(halves_of[red] - RED).max() <= 40
    assert np.abs(halves_of[opposite] - WHITE).max() <= 40


# Each: what is no picture that can be taken, and a part of the sentence.
BAD: dict[str, tuple[bytes, str]] = {
    "no bytes": (b"", "has no bytes: send a PNG, JPEG, WebP, GIF, BMP or TIFF file"),
    "a text that is called .png": (b"no picture, really", "got 18 bytes that begin with b'no picture"),
    "an error page": (b"<!DOCTYPE html><html>404</html>", "HTML: the answer of a web server"),
    "a drawing": (b'\xef\xbb\xbf<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG: draw it into a PNG"),
    "a document": (b"%PDF-1.7\n", "a PDF: save its page as a picture"),
    "base64": (b"iVBORw0KGgoAAAANSUhEUgAA", "a PNG in base64: decode it first"),
    "a data URL": (b"data:image/png;base64,iVBOR", "a data URL"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "fetch the file itself"),
    "an iPhone's": (b"\0\0\0\x24ftypheic\0\0\0\0mif1heic" + bytes(64), "HEIC: save it as JPEG or PNG"),
    "another format of Pillow's": (saved(halves(), "PPM"), "expected a picture (PNG, JPEG"),
    "an icon": (saved(halves(), "ICO"), "expected a picture (PNG, JPEG"),
    "a program of Postscript's": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "expected a picture (PNG"),
    "a png that is cut off": (saved(halves(size=(640, 320)))[:200], "cut off or damaged"),
    "a jpeg that is cut off": (saved(halves(size=(640, 320)), "JPEG")[:900], "cut off or damaged"),
    "a gif that is cut off": (saved(halves(), "GIF")[:-20], "cut off or damaged"),
    "a webp that is cut off": (saved(halves(), "WEBP")[:-30], "cut off or damaged"),
    "a signature alone": (b"\x89PNG\r\n\x1a\n", "got one whose header is damaged"),
    "a damaged middle": (saved(halves())[:60] + b"\0\0\0\0" + saved(halves())[64:], "cut off or damaged"),
    "no pixel": (pictures.png(0, 5, b""), "got one whose header is damaged"),
    "32 bits": (saved(Image.fromarray(np.zeros((4, 4), np.int32)), "TIFF"), "samples of 32 bits"),
    "floats": (saved(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"), "samples of 32 bits"),
    "too large": (saved(Image.new("1", (7072, 7072))), "7072 x 7072 pixels, the limit is 50000000 pixels"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_picture_is_refused_with_its_row(name: str) -> None:
    content, sentence = BAD[name]
    with pytest.raises(Unprocessable) as refusal:
        Picturing(4, 4)([saved(halves()), None, content])
    assert sentence in str(refusal.value)
    assert refusal.value.row == 2
    assert len(str(refusal.value)) < 300


def test_bombs_cost_no_memory() -> None:
    """In a process that may take little: a MemoryError would be another error."""
    program = """
import pictures, resource
from tradewind_processors import Picturing, Unprocessable
takes, bombs = Picturing(224, 224), pictures.bombs()
resource.setrlimit(resource.RLIMIT_DATA, (400 << 20, 400 << 20))
for name, content in bombs.items():
    try:
        takes([content])
    except Unprocessable as refusal:
        print(name, refusal, sep=": ")
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, env=_path())
    assert done.returncode == 0, done.stderr
    assert {line.split(": ")[0] for line in done.stdout.splitlines()} == set(pictures.bombs())


def _path() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}


def test_the_limit_can_be_another() -> None:
    content = saved(halves())
    assert Picturing(4, 4, most_pixels=64 * 32)([content]).shape == (1, 4, 4, 3)
    with pytest.raises(Unprocessable, match="64 x 32 pixels, the limit is 2047 pixels"):
        Picturing(4, 4, most_pixels=64 * 32 - 1)([content])


def test_crop_takes_the_middle_and_stretch_all() -> None:
    image = Image.new("RGB", (40, 20), BLUE)
    image.paste(RED, (5, 0, 35, 20))
    content = saved(image)
    assert (Picturing(4, 4, resize="Crop")([content]) == RED).all()
    stretched = Picturing(4, 4)([content])[0, 0].tolist()
    assert stretched[0][2] > 80 and stretched[3][2] > 80 and stretched[1] == list(RED)


def test_a_picture_of_the_right_size_is_not_changed() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    content = saved(Image.fromarray(pixels))
    for resize in ("Stretch", "Crop"):
        np.testing.assert_array_equal(Picturing(5, 7, resize=resize)([content])[0], pixels)


def test_smaller_is_the_average_of_what_falls_together() -> None:
    """A pattern of single pixels turns grey, rather than black or white."""
    pattern = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    found = Picturing(8, 8, 1)([saved(Image.fromarray(pattern))])
    assert found.shape == (1, 8, 8, 1)
    assert np.abs(found.astype(int) - 127).max() <= 2


def test_transparency_before_and_after_resizing_is_the_same() -> None:
    """What is transparent has a colour too, which must not leak into the edge."""
    image = halves("RGBA", (*RED, 255), (0, 0, 0, 0), (10, 4))
    found = Picturing(4, 4)([saved(image)])[0].astype(int)
    on_white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    expected = np.asarray(on_white.resize((4, 4), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(found - expected).max() <= 1


def test_grey_of_colours_and_missing_pictures() -> None:
    found = Picturing(1, 8, 1)([None, saved(halves()), saved(halves("1", 1, 0))])
    assert found[:, 0, ::7, 0].tolist() == [[0, 0], [76, 255], [255, 0]]
    assert Picturing(1, 2)([]).shape == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [((4, 4, 4), "1 channel"), ((0, 4, 3), "at least one pixel"), ((4, 4, 3, "Fit"), "Stretch or Crop, got 'Fit'")],
)
def test_what_is_no_size_of_a_picture(shape: Any, sentence: str) -> None:
    with pytest.raises(Unprocessable, match=sentence):
        Picturing(*shape)


def test_a_large_jpeg_is_read_small() -> None:
    """Pillow reads the eighth of it; the whole would be 48 MB."""
    content = saved(Image.new("RGB", (4000, 4000), RED), "JPEG")
    with Image.open(BytesIO(content)) as image:
        image.draft(None, (64, 64))
        assert image.size == (500, 500)
    assert np.abs(Picturing(32, 32)([content])[0].astype(int) - RED).max() <= 2
