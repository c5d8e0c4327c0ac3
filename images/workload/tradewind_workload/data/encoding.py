"""How the text of a csv file is encoded: as it was said, or as its bytes show."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.api.data import Csv
    from tradewind_workload.data.file import File

SAMPLE = 1 << 18  # bytes of a file's start that a csv file's form is seen from
ENCODED = 1 << 23  # bytes that the encoding is seen from: a first letter with an accent may stand far down
# The mark of UTF-32 starts as that of UTF-16 does.
BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
CALLED = {"utf-8": "UTF-8", "utf-16": "UTF-16", "utf-32": "UTF-32"}


def encoding_of(raw: bytes, stream: pa.NativeFile, said: Csv | None, file: File, field: str) -> tuple[str, bool]:
    """The encoding of a csv file whose first SAMPLE bytes are `raw`, and whether it has a byte order mark.

    `stream` stands behind them; `field` (spec.data.train) is for messages. Raises Fault(InvalidData) where it is not
    known or not clear.
    """
    bom = next((mark for mark in BOMS if raw.startswith(mark)), None)
    if said is not None and said.encoding is not None:
        try:
            found = codecs.lookup(said.encoding)
        except LookupError:
            found = None
        if found is None or not _encodes_text(found):
            raise Fault(
                "InvalidData",
                f"{field}.csv.encoding {said.encoding!r} is not known: write for example utf-8, utf-16, cp1252 or "
                "latin-1.",
            )
        return "utf-8" if found.name == "utf-8-sig" else found.name, bom is not None
    if bom is not None:
        return BOMS[bom], True
    if b"\0" in raw:
        raise Fault(
            "InvalidData",
            f"{file.name} is no text as it stands (it has zero bytes): set {field}.csv.encoding, for example to "
            "utf-16-le, or correct the file.",
        )
    decoder, content, read = codecs.getincrementaldecoder("utf-8")(), raw, 0
    while content:
        try:
            decoder.decode(content)
        except UnicodeDecodeError:
            return _single_bytes(content, file, field), False
        read += len(content)
        content = stream.read(SAMPLE) if read < ENCODED else b""
    return "utf-8", False


def _encodes_text(found: codecs.CodecInfo) -> bool:
    """Whether a codec reads bytes as text; Python has some that pack bytes."""
    try:
        b"a".decode(found.name)
    except LookupError:
        return False
    except UnicodeDecodeError:
        pass
    return True


def _single_bytes(content: bytes, file: File, field: str) -> str:
    """cp1252 where the bytes read well so. Raises Fault with what else it may be: a wrong guess garbles every class."""
    if _western(content):
        return "cp1252"
    from charset_normalizer import from_bytes

    # Words with something to see in them, often enough to be counted.
    words = [word for word in dict.fromkeys(re.split(rb"[\s,;|\"]+", content)) if not word.isascii()][:500]
    best = from_bytes(b" ".join(words * 20)[:SAMPLE]).best()
    sample = " ".join(str(best).split()[: min(3, len(words))]) if best is not None else ""
    likely = f"; it may be {best.encoding} ({sample!r})" if best is not None else ""
    raise Fault(
        "InvalidData",
        f"{file.name} is not UTF-8, and its encoding is not clear{likely}: set {field}.csv.encoding, or save the file "
        "as UTF-8.",
    )


# In words as Western Europe writes them: a letter with an accent, or two that stand beside plain ones.
_ACCENTED = re.compile(r"(?<![^\x00-\x7f])[\u00c0-\u00ff](?![^\x00-\x7f])")
_TWO_ACCENTED = re.compile(
    r"(?<=[A-Za-z])[\u00df-\u00ff]{2}(?![^\x00-\x7f])|(?<![^\x00-\x7f])[\u00df-\u00ff]{2}(?=[A-Za-z])"
)
# Signs as they are used beside such words; bytes of other code pages would be other signs, and within words.
_QUOTES = r"\u2018-\u201e\u00ab\u00bb\u2013\u2014"
_SIGN = re.compile(
    rf"(?<![A-Za-z])[{_QUOTES}\u00a1\u00bf\u00a9]"
    rf"|[{_QUOTES}\u20ac\u00a3\u00a7\u00a9\u00ae\u2122\u00b5\u00b2\u00b3\u00bc-\u00be\u2022\u2026\u00a0](?![A-Za-z])"
    r"|\u00b0(?![A-BD-EG-Za-z])"
)


def _western(content: bytes) -> bool:
    """Whether most of what is not ASCII reads as cp1252 in the way that the languages of Western Europe use it."""
    try:
        text = " ".join({word.decode("cp1252") for word in content.split() if not word.isascii()})
    except UnicodeDecodeError:
        return False
    signs = [character for character in text if not character.isascii() and not character.isalpha()]
    good = len(_ACCENTED.findall(text)) + len(_TWO_ACCENTED.findall(text))
    letters = re.findall(r"[^\W\d_\x00-\x7f\u00b2\u00b3\u00b9\u00bc-\u00be]+", text)
    return len(_SIGN.findall(text)) == len(signs) and 2 * good >= len(letters) + bool(letters)
