"""What a text in a table says: a missing value, a number, a truth value, a time. Each reader gives null where the text
is no such thing."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from tradewind_processors import times

if TYPE_CHECKING:
    from tradewind_workload.data.dialect import Decimal

TIMESTAMP = pa.timestamp("us")

_SPECIAL = r"(?i)[+-]?(?:inf|infinity|nan)"
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_GROUPS = r"[1-9]\d{0,2}(?:[%s '\x{00a0}\x{202f}]\d{3})+"
# By the decimal mark of the file. Where it is not known, a point is one and a comma is nothing.
_NUMBERS = {
    None: rf"^(?:[+-]?(?:(?:\d+|{_GROUPS % ''})(?:\.\d*)?|\.\d+){_EXPONENT}|{_SPECIAL})$",
    ".": rf"^(?:[+-]?(?:(?:\d+|{_GROUPS % ','})(?:\.\d*)?|\.\d+){_EXPONENT}|{_SPECIAL})$",
    ",": rf"^(?:[+-]?(?:(?:\d+|{_GROUPS % '.'})(?:,\d*)?|,\d+){_EXPONENT}|{_SPECIAL})$",
}
_MONEY, _DIGITS, _UNIT = "[$€£¥][ \\x{00a0}]?", r"[+-]?\d[\d.,' \x{00a0}\x{202f}]*", "[%‰$€£¥]"
# Words with space between them, or a few signs of a script that has none there.
_WORDS = r"\pL\S*\s+\S*\pL|[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]{4}"
# Programs write whole numbers with a point as soon as one is missing in a column.
_TRUE, _FALSE = ("true", "yes", "t", "y", "1", "1.0"), ("false", "no", "f", "n", "0", "0.0")


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type is text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_bytes(kind: pa.DataType) -> bool:
    """Whether an Arrow type is bytes."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def without_missing(column: pa.Array, missing: tuple[str, ...], *, empty: bool = True) -> pa.Array:
    """Texts, null where one of those of `missing` stands between spaces, or nothing where `empty` is missing too."""
    gone = pa.array([*([""] if empty else []), *(text.strip() for text in missing)], column.type)
    return pc.if_else(pc.is_in(pc.utf8_trim_whitespace(column), value_set=gone), pa.scalar(None, column.type), column)


def numbers(column: pa.Array, decimal: Decimal | None) -> pa.Array:
    """Texts as float64; `nan` and `inf` are numbers too."""
    text = pc.utf8_trim_whitespace(column)
    if decimal != ",":
        try:
            return text.cast(pa.float64())  # nearly every column of numbers, and much faster than to look at each
        except pa.ArrowInvalid:
            pass
    text = pc.if_else(pc.match_substring_regex(text, _NUMBERS[decimal]), text, pa.scalar(None, text.type))
    between = {".": r"[, '\x{00a0}\x{202f}]", ",": r"[. '\x{00a0}\x{202f}]", None: r"[ '\x{00a0}\x{202f}]"}
    text = pc.replace_substring_regex(text, between[decimal], "")
    return (pc.replace_substring(text, ",", ".") if decimal == "," else text).cast(pa.float64())


_A_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FIRST, _LAST = (day.toordinal() - date(1970, 1, 1).toordinal() for day in (date.min, date.max))  # days since 1970


def within_years(column: pa.Array) -> bool:
    """Whether times or days are of the years 1 to 9999, which Python and ISO 8601 can write; other types are."""
    if pa.types.is_timestamp(column.type):
        a_day = 86_400 * _A_SECOND[column.type.unit]
    elif pa.types.is_date(column.type):
        a_day = 1 if pa.types.is_date32(column.type) else 86_400_000
    else:
        return True
    found = pc.min_max(column.cast(pa.int32()) if pa.types.is_date32(column.type) else column.cast(pa.int64())).as_py()
    return found["min"] is None or (found["min"] >= _FIRST * a_day and found["max"] < (_LAST + 1) * a_day)


def leading_zeros(column: pa.Array) -> pa.Array:
    """bool: whether a text is a row of digits that starts with a zero, as codes do (007) and numbers don't."""
    return pc.match_substring_regex(pc.utf8_trim_whitespace(column), r"^[+-]?0\d+$")


def marked(column: pa.Array) -> pa.Array:
    """bool: whether a text is a number with a sign of money or per cent: $1,200.50 or 12 %."""
    return pc.match_substring_regex(pc.utf8_trim_whitespace(column), rf"^[+-]?(?:{_MONEY}{_DIGITS}|{_DIGITS}{_UNIT})$")


def several_words(column: pa.Array) -> pa.Array:
    """bool: whether a text has two words or more, as texts that people write have, and codes and addresses don't."""
    return pc.match_substring_regex(column, _WORDS)


def truths(column: pa.Array) -> pa.Array:
    """Texts as bool: true and false, yes and no, t and f, y and n, 1 and 0, in whatever case."""
    text = pc.utf8_lower(pc.utf8_trim_whitespace(column))
    yes = pc.is_in(text, value_set=pa.array(_TRUE, text.type))
    no = pc.is_in(text, value_set=pa.array(_FALSE, text.type))
    return pc.if_else(pc.or_(yes, no), yes, pa.scalar(None, pa.bool_()))


def true_or_false(column: pa.Array) -> pa.Array:
    """bool: whether a text is one of the two words that mean nothing else."""
    return pc.match_substring_regex(pc.utf8_trim_whitespace(column), "^(?i:true|false)$")


def datetimes(column: pa.Array, time_format: str | None = None) -> pa.Array:
    """Texts as timestamp[us] in UTC; see tradewind_processors.times, also for the `time_format`."""
    encoded = column.dictionary_encode()
    read = [None if text is None else times.moment(text, time_format) for text in encoded.dictionary.to_pylist()]
    return pa.array(read, TIMESTAMP).take(encoded.indices)
