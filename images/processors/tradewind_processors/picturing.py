"""Files of pictures to pixels, all of one size, by Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from tradewind_processors.refusal import Unprocessable

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
MOST_PIXELS = 50_000_000  # a phone's 8160 x 6120
MOST_BYTES = 256 << 20
_LISTED = "PNG, JPEG, WebP, GIF, BMP or TIFF"
# How files begin that are sent for pictures and are none that we take.
_OTHERS = (
    (b"%PDF", "a PDF: save its page as a picture"),
    (b"<?xml", "XML, an SVG perhaps: draw it into a PNG"),
    (b"<svg", "an SVG: draw it into a PNG"),
    (b"<", "HTML: the answer of a web server, perhaps its error page"),
    (b"iVBORw0KGgo", "a PNG in base64: decode it first"),
    (b"/9j/", "a JPEG in base64: decode it first"),
    (b"data:image", "a data URL: decode what stands behind its comma first"),
    (b"version https://git-lfs", "a pointer of Git LFS: fetch the file itself"),
    (b"PK\x03\x04", "a zip file: unpack it"),
    (b"8BPS", "a Photoshop file: save it as PNG"),
    (b"\xff\x0a", "JPEG XL: save it as JPEG or PNG"),
)  # fmt: skip
_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")  # of our formats
_KINDS = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC or AVIF", b"avif": "AVIF", b"avis": "AVIF"}


class Picturing:
    """A callable from the bytes of files to pixels.

    `resize` is `Stretch` (the whole picture, its sides stretched) or `Crop` (the largest part from its middle that has
    the shape that is wanted); both then average over the pixels that fall together. The camera's note on which side is
    up is followed. What is transparent stands before white. Of several pictures in a file the first is taken. Samples
    of 16 bits keep their upper 8. Colours stay as the numbers in the file are: profiles are not applied.
    """

    def __init__(
        self,
        height: int,
        width: int,
        channels: int = 3,
        resize: str = "Stretch",
        most_pixels: int = MOST_PIXELS,
    ) -> None:
        """`channels` is 1 (grey) or 3 (red, green, blue). Raises Unprocessable for what is none of these."""
        if channels not in (1, 3):
            raise Unprocessable(f"a picture has 1 channel (grey) or 3 (red, green, blue), got {channels}")
        if resize not in ("Stretch", "Crop"):
            raise Unprocessable(f"a picture is made smaller by Stretch or Crop, got {resize!r}")
        if height < 1 or width < 1:
            raise Unprocessable(f"a picture has at least one pixel, got {height} x {width}")
        self.shape = (height, width, channels)
        self.resize = resize
        self.most_pixels = most_pixels

    def __call__(self, contents: Sequence[bytes | None]) -> NDArray[np.uint8]:
        """uint8 [len(contents), height, width, channels]; black where a picture is None, which is a missing one.

        Raises Unprocessable with the row of the first that can't be taken.
        """
        pixels = np.zeros((len(contents), *self.shape), dtype=np.uint8)
        for row, content in enumerate(contents):
            if content is None:
                continue
            try:
                pixels[row] = self.one(content)
            except Unprocessable as error:
                raise Unprocessable(str(error), row, error.too_large) from None
        return pixels

    def one(self, content: bytes) -> NDArray[np.uint8]:
        """uint8 [height, width, channels] of one file. Raises Unprocessable."""
        if not content:
            raise Unprocessable(f"the picture has no bytes: send a {_LISTED} file")
        if len(content) > MOST_BYTES:
            raise Unprocessable(f"the picture has {len(content)} bytes, the limit is {MOST_BYTES}: make it smaller")
        try:
            return self._pixels(content)
        except (Unprocessable, MemoryError):
            raise
        except UnidentifiedImageError:
            raise Unprocessable(f"expected a picture ({_LISTED}), got {_told(content)}") from None
        except Image.DecompressionBombError:
            raise self._too_large("more pixels than any camera makes") from None
        except Exception as error:  # noqa: BLE001 -- decoders raise all sorts for bytes that are damaged
            reason = " ".join(str(error).split())[:100] or type(error).__name__
            raise Unprocessable(f"the picture is cut off or damaged ({reason}): save or send it again") from None

    def _pixels(self, content: bytes) -> NDArray[np.uint8]:
        height, width, channels = self.shape
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > self.most_pixels:  # from the header, before anything is decoded
                raise self._too_large(f"{image.width} x {image.height} pixels")
            # A JPEG is read in a half, a quarter or an eighth of its size, as long as that is twice what is wanted.
            image.draft(None, (2 * max(height, width),) * 2)
            image.load()
            plain = _plain(_upright(image))
        resample = Image.Resampling.BILINEAR
        # Before what is transparent is put on white: that takes less memory, and gives the same.
        if self.resize == "Crop":
            plain = ImageOps.fit(plain, (width, height), resample)
        else:
            plain = plain.resize((width, height), resample)
        return np.asarray(_opaque(plain).convert("RGB" if channels == 3 else "L")).reshape(self.shape)

    def _too_large(self, what: str) -> Unprocessable:
        sentence = f"the picture has {what}, the limit is {self.most_pixels} pixels: make it smaller"
        return Unprocessable(sentence, too_large=True)


_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _upright(image: Image.Image) -> Image.Image:
    """As the camera was held. A note that can't be read is none: viewers show such a picture as it lies."""
    try:
        turn = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 -- as above
        turn = None
    return image if turn is None else image.transpose(turn)


def _plain(image: Image.Image) -> Image.Image:
    """In L, RGB or RGBA."""
    if image.mode.startswith("I;16"):
        deep = np.asarray(image)
        grey = (deep >> 8).astype(np.uint8)
        grey[deep == image.info.get("transparency", -1)] = 255
        return Image.fromarray(grey)
    if image.mode in ("I", "F"):
        raise Unprocessable("the picture has samples of 32 bits: save it with 8 or 16 bits a sample")
    if image.mode == "RGBA" or (image.mode in ("L", "RGB") and not image.has_transparency_data):
        return image  # convert would copy it
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode == "1" else "RGB")


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def _told(content: bytes) -> str:
    """What the bytes seem to be instead."""
    start = content[:64].lstrip(b"\xef\xbb\xbf \r\n\t")
    if content[4:8] == b"ftyp":
        return f"{_KINDS.get(content[8:12], 'a film')}: save it as JPEG or PNG"
    for magic, what in _OTHERS:
        if start.lower().startswith(magic.lower()):
            return what
    if content.startswith(_STARTS):
        return "one whose header is damaged: save or send it again"
    return f"{len(content)} bytes that begin with {content[:16]!r}"
