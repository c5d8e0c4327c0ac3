"""Tables as companies have them: each is read right, or refused in a sentence that says what to do. Without Ray."""

from __future__ import annotations

import bz2
import gzip
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from tradewind.api.data import Data
from tradewind_workload.data import delimited, dialect, files
from tradewind_workload.data.comparison import keys
from tradewind_workload.data.dataset import described, infer, look, require_numbers, typed_batches
from tradewind_workload.data.headers import read_headers
from tradewind_workload.data.inference import finish, fit, merge, merged
from tradewind_workload.data.names import fractions, in_order, renaming
from tradewind_workload.data.table import Batch, batches
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from pathlib import Path

Content = bytes | str | Callable[["Path"], None]
Expected = dict[str, list[Any]]


@dataclass(frozen=True)
class Table:
    """Files of a data set, and what is to come out: columns with their values (inputs, label last), or a refusal."""

    name: str
    content: Content | dict[str, Content]  # one file, or the files of a folder
    expected: Expected | str
    file: str = "t.csv"
    train: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    log: str = ""  # must be in the log


def parquet(**columns: Any) -> Callable[[Path], None]:
    return lambda path: pyarrow.parquet.write_table(pa.table(columns), path)


def zstd(text: str) -> bytes:
    packed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(packed, "zstd") as stream:
        stream.write(text.encode())
    return packed.getvalue().to_pybytes()


def said_to_be_times(name: str, time_format: str) -> dict[str, Any]:
    return {"columns": [{"name": name, "type": "datetime", "format": time_format}]}


PLAIN = "x,y,label\n1,2.5,a\n3,4.5,b\n"
READ: Expected = {"x": [1, 3], "y": [2.5, 4.5], "label": ["a", "b"]}
GERMAN = "x;y;label\n1;2,5;a\n3;4,5;b\n"
READ_BUT_X: Expected = {"y": [2.5, 4.5], "label": ["a", "b"]}
ONE_COLUMN: Expected = {"x": [1, 2], "label": ["a", "b"]}

TABLES = [
    # How a csv file is written.
    Table("plain", PLAIN, READ, log="t.csv: separated by ',', UTF-8"),
    Table("semicolons and decimal commas", GERMAN, READ, log="t.csv: separated by ';', decimal ',', UTF-8"),
    Table("tabs", PLAIN.replace(",", "\t"), READ, file="t.tsv", log="separated by tabs"),
    Table("bars", PLAIN.replace(",", "|"), READ, log="separated by '|'"),
    Table("colons, said", PLAIN.replace(",", ":"), READ, train={"csv": {"delimiter": ":"}}),
    Table("colons, not said", PLAIN.replace(",", ":"), "has no column 'label' for the label; it has x:y:label"),
    Table(
        "two delimiters",
        "a,b;label,c\n1,2;x,3\n3,4;y,4\n",
        "t.csv can be read as separated by ',' or by ';': set spec.data.train.csv.delimiter.",
    ),
    Table(
        "two delimiters, said",
        "a,b;label\n1,2;x\n3,4;y\n",
        {"a,b": [1.2, 3.4], "label": ["x", "y"]},
        train={"csv": {"delimiter": ";"}},
    ),
    Table(
        "the delimiter in quotes",
        'x,"y;z, w",label\n1,2,a\n3,4,b\n',
        {"x": [1, 3], "y;z, w": [2, 4], "label": ["a", "b"]},
    ),
    Table("what Excel tells itself", "sep=;\n" + GERMAN, READ),
    Table("line ends of Windows", PLAIN.replace("\n", "\r\n"), READ),
    Table("line ends of old Macs", PLAIN.replace("\n", "\r"), READ),
    Table("empty lines before, between and after", "\n\n" + PLAIN.replace("a\n", "a\n\n") + "\n\r\n\n", READ),
    Table("no line end at the end", PLAIN.rstrip(), READ),
    Table("spaces in the header", "x, y , label\n1,2.5,a\n3,4.5,b\n", READ),
    Table(
        "line breaks and quotes in cells",
        'x,label\n1,"one\ntwo"\n2,"say ""no"""\n',
        {"x": [1, 2], "label": ["one\ntwo", 'say "no"']},
    ),
    Table(
        "single quotes",
        "x,label\n1,'a,b'\n2,'c'\n",
        {"x": [1, 2], "label": ["a,b", "c"]},
        train={"csv": {"quote": "'"}},
    ),
    Table(
        "a space before quotes",
        'x, label\n1, "a"\n2, "b"\n',
        """row 1 of t.csv has a space before a quote, ', "a"', which makes the quotes a part of the value""",
    ),
    Table("a space before a quoted delimiter", 'x,y,label\n1,2,a\n1, "2,3",b\n', "row 2 of t.csv has a space before a"),
    Table("a space before quotes of the header", 'x, "label"\n1,a\n', "the header of t.csv has a space before a quote"),
    Table(
        "quotes within a cell after a space",
        'x,label\n1,"he said, ""a"" "\n2," ""c"""\n3, "d" or e\n',
        {"x": [1, 2, 3], "label": ['he said, "a" ', ' "c"', ' "d" or e']},
    ),
    Table("a quote that is not closed", 'x,label\n1,a\n2,"b\n3,c\n', "a quote is opened at 'b\\n3,c"),
    Table("too few cells", "x,y,label\n1,2,a\n1,b\n", "row 2 of t.csv has 2 cells, and the header 3: '1,b'"),
    Table("too few cells after what is no row", "\n\nsep=;\nx;y;label\n\n1;2;a\n\n1;b\n", "row 2 of t.csv has 2 cells"),
    Table("too many cells", 'x,y,label\n"1",2,a\n\n1,2,3,b\n', "row 2 of t.csv has 4 cells, and the header 3"),
    Table("too few cells after a cell of two lines", 'x,y,label\n1,"2\n",a\n1,b\n', "row 2 of t.csv has 2 cells"),
    *(
        Table(
            f"a year that no calendar has, {kind}",
            parquet(x=pa.array([0, value], kind), label=["a", "b"]),
            "t.parquet can't be read as parquet: the column 'x' has a time outside of the years 1 to 9999. Correct the",
            file="t.parquet",
        )
        for kind, value in (
            (pa.timestamp("ms"), 2**60),
            (pa.timestamp("us", "Europe/Berlin"), -(2**60)),
            (pa.date32(), 2**30),
        )
    ),
    Table("a form feed before the header", "\x0c\n" + PLAIN, READ),
    Table("a form feed and empty lines", "\n\x0c\r\n\x1d\n" + PLAIN, READ),
    Table("a line separator in a name", "\n" + PLAIN.replace("x,", "x\u2028x,"), {"x\u2028x": [1, 3]} | READ_BUT_X),
    Table("UTF-32", PLAIN.encode("utf-32"), READ, log="UTF-32 with a byte order mark"),
    Table("packed, and not said", gzip.compress(PLAIN.encode()), "t.csv is packed by gzip, and no csv: give it the en"),
    Table("a workbook", b"PK\x03\x04" + bytes(40), "t.csv is a ZIP archive or a workbook, and no csv: unpack it"),
    Table(
        "Parquet in csv", parquet(x=[1, 3], label=["a", "b"]), "t.csv is Parquet, and no csv: give it the ending .pa"
    ),
    Table("a name like Parquet's mark", PLAIN.replace("x,", "PAR1,"), {"PAR1": [1, 3]} | READ_BUT_X),
    Table("a name like bzip2's mark", PLAIN.replace("x,", "BZh,"), {"BZh": [1, 3]} | READ_BUT_X),
    Table(
        "packed lines",
        bz2.compress(b'{"x": 1, "label": "a"}\n'),
        "t.jsonl is packed by bzip2, and no jsonl: give it the ending .bz2",
        file="t.jsonl",
    ),
    Table(
        "quotes after a backslash",
        'x,t,label\n1,"he said \\"so\\", twice",a\n2,"no",b\n',
        't.csv writes a quote within a cell as \\": write it doubled, ""',
    ),
    Table(
        "quotes after a backslash, without a delimiter behind them",
        'x,t,label\n1,"he said \\"so\\"",a\n2,"no",b\n',
        't.csv writes a quote within a cell as \\": write it doubled, ""',
    ),
    Table(
        "a backslash before the quote that ends a cell",
        'x,label\n1,"C:\\dir\\"\n2,"say ""\\"" so"\n',
        {"x": [1, 2], "label": ["C:\\dir\\", 'say "\\" so']},
    ),
    Table(
        "a label's name in another form of Unicode",
        "x,e\u0301tat\n1,a\n2,b\n",
        "('e\\u0301tat' looks the same, and is not '\\xe9tat': copy the name from the data). Set spec.data.label",
        data={"label": "\u00e9tat"},
    ),
    Table(
        "columns of two files in two forms of Unicode",
        {"1.csv": "e\u0301,label\n1,a\n", "2.csv": "\u00e9,label\n2,b\n"},
        "lacks e\u0301 ('\\xe9' looks the same, and is not 'e\\u0301'",
    ),
    Table("a name twice", "x,x,label\n1,2,a\n", "t.csv has the column 'x' twice"),
    Table("the index of pandas", ",x,label\n0,1,a\n", "column 1 of t.csv has no name in the header"),
    Table("nothing at all", "", "t.csv is empty"),
    Table("only a header", "x,label\n", {"x": [], "label": []}),
    Table("only a header without a line end", "x,label", {"x": [], "label": []}),
    # Encodings.
    Table("UTF-8 with a byte order mark", b"\xef\xbb\xbf" + PLAIN.encode(), READ, log="UTF-8 with a byte order mark"),
    Table(
        "UTF-16", PLAIN.replace("b\n", "ß\n").encode("utf-16"), READ | {"label": ["a", "ß"]}, log="UTF-16 with a byte"
    ),
    Table("UTF-16 without a mark", PLAIN.encode("utf-16-le"), "it has zero bytes): set spec.data.train.csv.encoding"),
    Table(
        "UTF-16 without a mark, said",
        PLAIN.encode("utf-16-le"),
        READ,
        train={"csv": {"encoding": "utf-16-le"}},
    ),
    Table(
        "cp1252",
        "größe,label\n1,groß\n2,klein\n".encode("cp1252"),
        {"größe": [1, 2], "label": ["groß", "klein"]},
        log="cp1252",
    ),
    Table(
        "cp1252 far down",
        b"x,label\n" + b"1,a\n" * 3_000 + "2,ü\n".encode("cp1252"),
        {"x": [1] * 3_000 + [2], "label": ["a"] * 3_000 + ["ü"]},
        log="cp1252",
    ),
    Table(
        "Cyrillic",
        ("x,label\n" + "1,большой\n2,малый\n" * 20).encode("cp1251"),
        "its encoding is not clear; it may be cp1251 ('большой малый'): set spec.data.train.csv.encoding",
    ),
    Table("Chinese", "x,label\n1,大\n2,小\n".encode("big5"), "its encoding is not clear"),
    Table(
        "Latin letters of an old code page", "x,label\n1,José\n2,Müller\n".encode("cp850"), "its encoding is not clear"
    ),
    Table("Polish", ("x,label\n" + "1,Łódź\n2,małe\n" * 9).encode("cp1250"), "set spec.data.train.csv.encoding"),
    Table(
        "Polish, said",
        "x,label\n1,Łódź\n2,małe\n".encode("cp1250"),
        {"x": [1, 2], "label": ["Łódź", "małe"]},
        train={"csv": {"encoding": "cp1250"}},
    ),
    Table(
        "said wrongly", "x,label\n1,groß\n".encode("cp1252"), "t.csv is not UTF-8", train={"csv": {"encoding": "utf8"}}
    ),
    Table("no encoding", PLAIN, "'base64' is not known", train={"csv": {"encoding": "base64"}}),
    # Numbers.
    Table("thousands", 'x,label\n"1,234.5",a\n"12,345,678",b\n', {"x": [1234.5, 12345678], "label": ["a", "b"]}),
    Table("German thousands", "x;label\n1.234,5;a\n12.345.678;b\n", {"x": [1234.5, 12345678], "label": ["a", "b"]}),
    Table("French thousands", "x;label\n1\u202f234,5;a\n12 345;b\n", {"x": [1234.5, 12345], "label": ["a", "b"]}),
    Table(
        "a thousand or a decimal number",
        "x;label\n1,234;a\n2,345;b\n",
        "t.csv: '1,234' in 'x' can be a thousand or a decimal number: set spec.data.train.csv.decimal to '.' or ','.",
    ),
    Table("a German thousand or a decimal number", "x;label\n1.234;a\n", "can be a thousand or a decimal number"),
    Table(
        "a thousand, said",
        "x;label\n1,234;a\n2,345;b\n",
        {"x": [1234, 2345], "label": ["a", "b"]},
        train={"csv": {"decimal": "."}},
    ),
    Table("three decimals", "x,label\n1.234,a\n2.345,b\n", {"x": [1.234, 2.345], "label": ["a", "b"]}),
    Table("three decimals elsewhere", "x;y;label\n0,125;1.234;a\n", {"x": [0.125], "y": [1234], "label": ["a"]}),
    Table(
        "both decimal marks",
        "x;y;label\n1.5;1,5;a\n",
        "has numbers with both decimal marks, '1.5' in 'x' and '1,5' in 'y': set spec.data.train.csv.decimal",
    ),
    Table("signs and exponents", "x,label\n+1,a\n-.5e3,b\n", {"x": [1, -500], "label": ["a", "b"]}),
    Table("spaces around numbers", "x,label\n 1 ,a\n2  ,b\n", ONE_COLUMN),
    Table("infinite", "x,label\n1,a\ninf,b\n", {"x": [1, math.inf], "label": ["a", "b"]}),
    # Missing values.
    Table(
        "markers",
        "x,label\n1,NA\n?,b\n NA ,n/a\n,c\nNaN,\n",
        {"x": [1, None, None, None, None], "label": [None, "b", None, "c", None]},
        log="column 'x': number, all 1 values are numbers, 4 missing",
    ),
    Table("values of their own", "x,label\n1,None\n2,-\n", {"x": [1, 2], "label": ["None", "-"]}),
    Table(
        "markers, said",
        "x,label\n1,NA\n-,b\n2,\n",
        {"x": [1, None, 2], "label": ["NA", "b", None]},
        data={"missing": ["-"]},
    ),
    Table(
        "another text",
        "x,label\n1,a\n2,b\n-,c\n",
        "'-' in row 3 of t.csv is no number, and the column 'x' is a number: 2 of 3 values are numbers. If it stands "
        'for a missing value, set spec.data.missing to ["NA", "N/A",',
    ),
    Table(
        "money",
        'x,label\n"$1,200.50",a\n$7,b\n8.5,b\n',
        "'$1,200.50' in row 1 of t.csv is no number, and the column 'x' is a number: 3 of 3 values are numbers, 2 of "
        "them with a sign such as $ or %, which is to be left out",
    ),
    Table("money behind the number", "x;label\n-1.200,50 €;a\n7 €;b\n", "'-1.200,50 €' in row 1 of t.csv is no number"),
    Table("per cent", "x,label\n12%,a\n7.5 %,b\n", "'12%' in row 1 of t.csv is no number"),
    Table(
        "per cent, said",
        "x,label\n12%,a\n7%,b\n",
        "is a category, not a number (as spec.data.columns says)",
        data={"columns": [{"name": "x", "type": "category"}]},
    ),
    Table("numbers in names", "x,label\n2Story,a\n$MSFT,b\n", "the column 'x' is a category, not a number"),
    Table("no value at all", "x,e,label\n1,,a\n2,,b\n", ONE_COLUMN | {"e": [None, None]}),
    Table("a decimal comma later", "x,label\n" + "1,a\n" * 3_000 + '"2,5",b\n', "(a decimal comma is said with csv"),
    # What columns are.
    Table("true and false", "x,label\ntrue,a\nFALSE,b\n", {"x": [True, False], "label": ["a", "b"]}),
    Table("a category", "x,label\nred,a\nblue,b\n", "the column 'x' is a category, not a number (2 different texts"),
    Table("codes", "x,label\n01067,a\n20095,b\n", "is a category, not a number (1 of 2 values are digits after a zero"),
    Table("codes, said", "x,label\n001,a\n2,b\n", ONE_COLUMN, data={"columns": [{"name": "x", "type": "number"}]}),
    Table("days", "x,label\n2026-11-25,a\n2026-11-26,b\n", "is a datetime, not a number (all 2 values are times)"),
    Table("German days", "x,label\n25.11.2026,a\n1.2.2026 10:30,b\n", "is a datetime, not a number"),
    Table("the day first", "x,label\n11/12/2026,a\n25/12/2026,b\n", "(all 2 values are times, written as %d/%m/%Y)"),
    Table("the month first", "x,label\n11/12/2026,a\n12/25/2026,b\n", "(all 2 values are times, written as %m/%d/%Y)"),
    Table("a time of the day", "x,label\n12/25/2026 3:04 PM,a\n", "written as %m/%d/%Y %I:%M %p)"),
    Table("seconds", "x,label\n25-12-2026 13:00:01,a\n1-2-2026 00:00:00,b\n", "written as %d-%m-%Y %H:%M:%S)"),
    Table("dots, the month first", "x,label\n12.25.2026,a\n1.2.2026,b\n", "written as %m.%d.%Y)"),
    Table(
        "dots that both read", "x,label\n11.12.2026,a\n1.2.2026,b\n", "is a datetime, not a number (all 2 values are"
    ),
    Table(
        "days that can't be told from months",
        "x,label\n11/12/2026,a\n01/02/2026,b\n",
        "is a text, not a number (all 2 values are times of which day and month can't be told apart: name the column "
        "in spec.data.columns, with type datetime and the format that its values are written in (%d/%m/%Y or %m/%d/%Y)",
    ),
    Table(
        "day and month changed within a column",
        "x,label\n25/12/2026,a\n12/25/2026,b\n01/02/2026,a\n",
        "is a text, not a number (2 of 3 values are times of which day and month can't be told apart",
    ),
    Table(
        "one day that is written otherwise",
        "x,label\n25/12/2026,a\n26/12/2026,b\n12/27/2026,a\n",
        "'12/27/2026' in row 3 of t.csv is no time written as %d/%m/%Y, and the column 'x' is a datetime: 2 of 3",
    ),
    Table(
        "a day that is none",
        "x,label\n2026-02-28,a\n2026-02-29,b\n2026-03-01,a\n",
        "'2026-02-29' in row 2 of t.csv is no time such as 2026-11-25T12:00:00Z, and the column 'x' is a datetime: 2",
    ),
    Table(
        "the names of months",
        "x,label\n25 Nov 2026,a\n1 May 2026,b\n",
        "is a datetime, not a number (all 2 values are times, written as %d %b %Y)",
    ),
    Table(
        "months by their whole names, one of which is short",
        'x,label\n"November 25, 2026",a\n"May 1, 2026",b\n"June 1, 2026",b\n',
        "is a datetime, not a number (2 of 3 values are times, written as %B %d, %Y)",
    ),
    Table("months by names, years of two digits", "x,label\n25-NOV-26,a\n", "times with years of two digits"),
    Table(
        "times of a database",
        "x,label\n2026-11-25 12:00:00+01,a\n2026-11-25 12:00:00.123+00,b\n",
        "is a datetime, not a number (all 2 values are times)",
    ),
    Table("years of two digits", "x,label\n31.12.50,a\n", "all 1 values are times with years of two digits"),
    Table("codes of two digits", "x,label\n40-50-60,a\n01-02-03,b\n", "is a category, not a number (2 different"),
    Table(
        "days, said",
        "x,label\n11/12/2026,a\n25/12/2026,b\n",
        "'25/12/2026' in row 2 of t.csv is no time written as %m/%d/%Y",
        data={"columns": [{"name": "x", "type": "datetime", "format": "%m/%d/%Y"}]},
    ),
    Table(
        "days that are said to be days",
        "x,label\n11/12/2026,a\n",
        "the column 'x' is a datetime: as spec.data.columns says; all 1 values are times of which day and month can't",
        data={"columns": [{"name": "x", "type": "datetime"}]},
    ),
    Table(
        "days that are said to be names",
        "x,label\n11/12/2026,a\n",
        "is a category, not a number (as spec.data.columns says)",
        data={"columns": [{"name": "x", "type": "category"}]},
    ),
    Table(
        "a format that reads nothing",
        "x,label\n11/12/2026,a\n",
        "the format '%d/%d', which spec.data.columns gives 'x', is not right: no time can be read by it",
        data={"columns": [{"name": "x", "type": "datetime", "format": "%d/%d"}]},
    ),
    *(
        # Python's strptime reads all of these, and as another time than is meant.
        Table(f"a format with {what}", f"x,label\n{value},a\n", why, data=said_to_be_times("x", time_format))
        for what, value, time_format, why in (
            ("hours to 23 and PM", "11/12/2026 3:04 PM", "%d/%m/%Y %H:%M %p", "for example %I:%M %p"),
            ("hours to 12 alone", "11/12/2026 3:04", "%d/%m/%Y %I:%M", "for example %I:%M %p"),
            ("minutes for the month", "2026-12-11", "%Y-%M-%d", "the month is %m"),
            ("no month", "11 2026", "%d %Y", "it has a day and a year, and no month"),
        )
    ),
    Table(
        "times for a format",
        parquet(x=pa.array([0], pa.timestamp("s")), label=["a"]),
        "the column 'x' has times and no texts in t.parquet (row 1: 1970-01-01T00:00:00), so nothing is written as "
        "%d/%m/%Y: remove format from spec.data.columns.",
        file="t.parquet",
        data={"columns": [{"name": "x", "type": "datetime", "format": "%d/%m/%Y"}]},
    ),
    Table(
        "free text",
        "x,label\n" + "".join(f"text {i},a\n" for i in range(60)),
        "is a text, not a number (60 different texts in 60 rows)",
    ),
    Table(
        "a column ignored",
        "x,z,label\n1,red,a\n2,blue,b\n",
        ONE_COLUMN,
        data={"columns": [{"name": "z", "type": "ignore"}]},
    ),
    Table(
        "a choice for no column",
        PLAIN,
        "has no column 'z', which spec.data.columns names",
        data={"columns": [{"name": "z", "type": "text"}]},
    ),
    Table("the label ignored", PLAIN, "ignores the label", data={"columns": [{"name": "label", "type": "ignore"}]}),
    Table(
        "the label a number",
        PLAIN,
        "a classification has classes",
        data={"columns": [{"name": "label", "type": "number"}]},
    ),
    # Labels as they stand.
    Table("zeros", "x,label\n1,001\n2,010\n", {"x": [1, 2], "label": ["001", "010"]}),
    Table("truth values", "x,label\n1,true\n2,False\n", {"x": [1, 2], "label": ["true", "False"]}),
    Table(
        "late",
        "x,label\n" + "1,001\n" * 3_000 + "2,A7\n",
        {"x": [1] * 3_000 + [2], "label": ["001"] * 3_000 + ["A7"]},
    ),
    Table(
        "over parts",
        {"a.csv": "x,label\n1,001\n", "b.csv": "label,x\nA7,2\n"},
        {"x": [1, 2], "label": ["001", "A7"]},
        log="2 files of pvc://claim/t.csv: separated by ','",
    ),
    Table(
        "of parquet",
        parquet(x=[1, 2, 3], label=[1.0, None, 2.0]),
        {"x": [1, 2, 3], "label": ["1", None, "2"]},
        file="t.parquet",
    ),
    Table(
        "over files of several types",
        {"a.parquet": parquet(x=[1], label=[1]), "b.parquet": parquet(x=[2.5], label=["1"])},
        {"x": [1, 2.5], "label": ["1", "1"]},
    ),
    Table(
        "truth values of parquet",
        parquet(x=[1, 2], label=[True, False]),
        {"x": [1, 2], "label": ["true", "false"]},
        file="t.parquet",
    ),
    Table("bytes", parquet(x=[1, 2], label=[b"a", "ß".encode()]), {"x": [1, 2], "label": ["a", "ß"]}, file="t.parquet"),
    Table(
        "bytes that are no text",
        parquet(x=[b"\xff\xfe"], label=["a"]),
        "the column 'x' has bytes in row 1 of t.parquet, b'\\xff\\xfe', that are neither a picture nor UTF-8",
        file="t.parquet",
    ),
    Table(
        "a dictionary",
        parquet(x=[1, 2], label=pa.array(["a", "NA"]).dictionary_encode()),
        {"x": [1, 2], "label": ["a", None]},
        file="t.parquet",
    ),
    # JSON lines and Parquet.
    Table(
        "JSON lines",
        '{"x": 1, "label": "001"}\n\n{"label": "NA", "x": null}\n{"label": 7}\n',
        {"x": [1, None, None], "label": ["001", None, "7"]},
        file="t.jsonl",
    ),
    Table(
        "JSON lines of several types",
        '{"x": 1, "label": 1.0}\n{"x": "2.5", "label": "1"}\n',
        {"x": [1, 2.5], "label": ["1", "1"]},
        file="t.ndjson",
    ),
    Table(
        "JSON lines, packed",
        gzip.compress(b'{"x": 1, "label": true}\n'),
        {"x": [1], "label": ["true"]},
        file="t.jsonl.gz",
    ),
    Table(
        "days in JSON lines", '{"x": 1, "label": "2026-11-25"}\n', {"x": [1], "label": ["2026-11-25"]}, file="t.jsonl"
    ),
    Table("no JSON", '{"x": 1, "label": 2}\n{"x": 1,\n', "row 2 of t.jsonl is not JSON", file="t.jsonl"),
    Table("no objects", "[1, 2]\n", "row 1 of t.jsonl is no object", file="t.jsonl"),
    Table("nested", '{"x": [1], "label": 2}\n', "the column 'x' is a list or an object, not a number", file="t.jsonl"),
    Table(
        "times of parquet", parquet(x=[date(2026, 1, 2)], label=["a"]), "is a datetime, not a number", file="t.parquet"
    ),
    Table(
        "a nested label", '{"x": 1, "label": {"a": 1}}\n', "the label 'label' is a list or an object", file="t.jsonl"
    ),
    Table(
        "JSON in another encoding", '{"x": 1, "label": "ü"}\n'.encode("cp1252"), "t.jsonl can't be read", file="t.jsonl"
    ),
    Table(
        "cp1252 that it is not",
        "x,label\n1,groß\n".encode("cp1252") + b"1,a\n" * 3000 + b"2,\x81\n",
        "t.csv has text that is not cp1252: set spec.data.train.csv.encoding, or save it as UTF-8.",
        train={"csv": {"encoding": "cp1252"}},
    ),
    Table("lists of parquet", parquet(x=[[1]], label=["a"]), "the column 'x' is of type list", file="t.parquet"),
    Table("no parquet", PLAIN, "t.csv can't be read as parquet", train={"format": "parquet"}),
    # Files of a folder.
    Table(
        "every ending",
        {
            "1.csv": PLAIN,
            "2.CSV": PLAIN,
            "3.tsv": PLAIN.replace(",", "\t"),
            "4.csv.gz": gzip.compress(PLAIN.encode()) + gzip.compress(b"1,2.5,a\n3,4.5,b\n"),
            "5.csv.bz2": bz2.compress(PLAIN.encode()),
            "6.csv.ZST": zstd(PLAIN),
            "_SUCCESS": "",
            ".hidden": "no",
        },
        {name: values * 7 for name, values in READ.items()},
        log="passed over: _SUCCESS",
    ),
    Table("a file cut off", gzip.compress(PLAIN.encode() * 50)[:-9], "t.csv.gz can't be read as csv", file="t.csv.gz"),
    Table(
        "a file of another kind",
        {"a.csv": PLAIN, "readme.txt": ""},
        "pvc://claim/t.csv has the file readme.txt, which can't be read: data has one of the endings .csv, .tsv",
    ),
    Table(
        "several formats",
        {"a.csv": PLAIN, "b.parquet": parquet(x=[1])},
        "files of several formats, a.csv and b.parquet",
    ),
    Table(
        "a file of another format",
        {"a.csv": PLAIN, "b.parquet": parquet(x=[1])},
        "the file b.parquet, which is not csv",
        train={"format": "csv"},
    ),
    Table("no file", {"_x.csv": PLAIN}, "has no file with data"),
    Table("a folder", {"a.csv": PLAIN, "old/b.csv": PLAIN}, "has the folder old: put all files into one folder"),
    Table("Delta Lake", {"a.parquet": parquet(x=[1]), "_delta_log/0.json": ""}, "is a table of Delta Lake"),
    Table(
        "partitions",
        {"year=2024/k=a%2Fb/1.csv": "x,label\n1,a\n", "year=2025/k=__HIVE_DEFAULT_PARTITION__/1.csv": "label,x\nb,2\n"},
        {"year": [2024, 2025], "x": [1, 2], "k": ["a/b", None]},
        data={"label": "k", "inputs": ["year", "x"]},
    ),
    Table(
        "a partition that the file has too",
        {"x=1/a.csv": PLAIN},
        "the folder of x=1/a.csv names the column 'x', which the file has too",
    ),
    Table(
        "a column less and one more",
        {"a.csv": PLAIN, "b.csv": "x,z,label\n1,2,a\n"},
        "b.csv of pvc://claim/t.csv has other columns than a.csv: it lacks y and it has z besides.",
    ),
    Table(
        "parts of several dialects",
        {"a.csv": PLAIN, "b.csv": b"\xef\xbb\xbf" + GERMAN.encode()},
        {name: values * 2 for name, values in READ.items()},
        log="b.csv: separated by ';', decimal ',', UTF-8 with a byte order mark",
    ),
    Table("a name without an ending", PLAIN, "set spec.data.train.format", file="data"),
    Table("a name without an ending, said", PLAIN, READ, file="data", train={"format": "csv"}),
    Table(
        "csv said of parquet",
        parquet(x=[1]),
        "spec.data.train.csv says how a csv file",
        file="t.parquet",
        train={"csv": {"delimiter": ";"}},
    ),
]


def write(folder: Path, made: Table) -> None:
    contents = made.content if isinstance(made.content, dict) else {"": made.content}
    for name, content in contents.items():
        path = folder / made.file / name if name else folder / made.file
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)


def data_of(made: Table) -> Data:
    train = {"storageUri": f"pvc://claim/{made.file}"} | made.train
    return Data.model_validate({"train": train, "validationFraction": "0.5"} | made.data)


@pytest.mark.parametrize("made", TABLES, ids=[made.name for made in TABLES])
def test_table(made: Table, volumes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # So that tables of some thousand rows are read in several blocks, and seen only in part at first.
    monkeypatch.setattr(delimited, "BLOCK", 1 << 12)
    monkeypatch.setattr(dialect, "SAMPLE", 1 << 12)
    write(volumes / "claim", made)
    data = data_of(made)
    if isinstance(made.expected, str):
        with pytest.raises(Fault) as caught:
            read(data)
        assert caught.value.reason == "InvalidData"
        assert made.expected in caught.value.message
        return
    found, log = read(data)
    assert found == made.expected
    assert made.log in log


def read(data: Data) -> tuple[Expected, str]:
    """All values of the inputs and the label, by the way of a recipe, and its log."""
    layout = read_headers(data, "tabular-classification").train
    schema = infer(layout, data)
    require_numbers(schema, layout.uri)
    found: Expected = {column.name: [] for column in (*schema.inputs, schema.label)}
    for _, rows in typed_batches(layout, schema, data):
        for name, values in rows.to_pydict().items():
            found[name] += values
    return found, "\n".join([*layout.notes, *described(schema)])


def cells(first_row: int = 1, **columns: Any) -> Batch:
    return Batch("t.csv", first_row, pa.RecordBatch.from_pydict({k: pa.array(v) for k, v in columns.items()}))


def test_what_is_counted_does_not_depend_on_the_batches() -> None:
    texts = {
        "n": ["1", "2.5", None, "x", "7", "8"],
        "c": ["001", "7", "a", "a", None, "true"],
        "b": ["true", "False", None, "TRUE", "true", "true"],
        "d": ["2026-01-01", None, "2026-01-02T03:04:05Z", "25.11.2026", "2026-01-01", "2026-01-01"],
    }
    whole = fit(cells(**texts))
    for cut in range(7):
        head = fit(cells(**{name: pa.array(values[:cut], pa.string()) for name, values in texts.items()}))
        tail = fit(cells(**{name: pa.array(values[cut:], pa.string()) for name, values in texts.items()}))
        assert merge(head, tail) == merge(tail, head) == whole
    schema = finish(whole, ("n", "c", "b"), "d", {})
    assert [column.kind for column in (*schema.inputs, schema.label)] == ["number", "category", "boolean", "datetime"]
    assert [(column.missing, column.distinct) for column in schema.inputs] == [(1, 5), (1, 4), (1, 3)]
    assert merged([]) == {}


def test_types_of_every_kind(volumes: Path) -> None:
    made = Table(
        "kinds",
        "n,b,c,d,t,label\n1,true,red,2026-11-25,hello there,1\n,no,NA,2026-11-25T12:00:00+02:00,NA,2\n",
        {},
        data={"columns": [{"name": "t", "type": "text"}, {"name": "b", "type": "boolean"}]},
    )
    write(volumes / "claim", made)
    data = data_of(made)
    layout = files_layout(data)
    ((_, rows),) = typed_batches(layout, look(layout, data), data)
    assert rows.to_pydict() == {
        "n": [1.0, None],
        "b": [True, False],
        "c": ["red", None],
        "d": [datetime(2026, 11, 25), datetime(2026, 11, 25, 10)],  # noqa: DTZ001
        "t": ["hello there", None],
        "label": ["1", "2"],
    }
    assert [str(kind) for kind in rows.schema.types] == [
        "double",
        "bool",
        "string",
        "timestamp[us]",
        "string",
        "string",
    ]


def files_layout(data: Data) -> Any:
    from tradewind_workload.data.opening import read_layout

    return read_layout(data.train, "spec.data.train", data.missing)


def test_places_over_batches(volumes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BLOCK", 64)
    made = Table("rows", "x,label\n" + "1,a\n" * 50 + "no,b\n" + "1,a\n" * 9, {})
    write(volumes / "claim", made)
    with pytest.raises(Fault, match=r"'no' in row 51 of t.csv is no number"):
        read(data_of(made))
    write(volumes / "claim", Table("rows", "x,label\n" + "1,a\n" * 50 + "1\n", {}))
    with pytest.raises(Fault, match=r"row 51 of t.csv has 1 cells, and the header 2"):
        read(data_of(made))
    write(volumes / "claim", Table("rows", 'x,label\n1,a\n2,"' + "b" * 200 + '"\n', {}))
    with pytest.raises(Fault, match="row of more than"):
        read(data_of(made))


def test_validation_data_is_read_by_what_the_training_data_showed(volumes: Path) -> None:
    for name, text in (("t.csv", "x,label\n1,a\n"), ("v.csv", "x,label\nred,a\n")):
        (volumes / "claim").mkdir(exist_ok=True)
        (volumes / "claim" / name).write_text(text)
    data = Data.model_validate(
        {"train": {"storageUri": "pvc://claim/t.csv"}, "validation": {"storageUri": "pvc://claim/v.csv"}}
    )
    headers = read_headers(data, "tabular-classification")
    assert headers.validation is not None
    with pytest.raises(Fault, match=r"'red' in row 1 of v.csv is no number"):
        list(typed_batches(headers.validation, infer(headers.train, data), data))


def test_names_of_classes() -> None:
    whole = {"1.0", "2", "10,0"}
    assert in_order({renaming(whole)(name) for name in whole}) == ("1", "2", "10")
    codes = {"1.0", "007"}
    assert {renaming(codes)(name) for name in codes} == codes
    assert in_order({"10", "9", "-1"}) == ("-1", "9", "10")
    assert in_order({"10", "9", "010"}) == ("010", "10", "9")
    assert fractions({"1", "2.5", "3.0"}) == {"2.5"}
    assert fractions({"1", "2.5", "beta"}) == set()


def test_equal_rows_are_equal_in_texts_and_numbers() -> None:
    texts = pa.array(["1", "1.50", "-0.0", "007", "a", None, str(2**60 + 1)])
    found = keys([texts], len(texts))
    assert len(set(found)) == len(texts)
    assert found[:3] == keys([pa.array([1.0, 1.5, 0.0])], 3)
    assert found[6:] == keys([pa.array([2**60 + 1])], 1)


def test_texts_of_npz_files_have_no_b(volumes: Path) -> None:
    (volumes / "claim").mkdir()
    path = volumes / "claim" / "t.npz"
    np.savez(path, x=np.zeros((2, 3)), label=np.array(["groß".encode(), b"klein"]))
    data = Data.model_validate({"train": {"storageUri": "pvc://claim/t.npz"}, "validationFraction": "0.5"})
    layout = read_headers(data, "tabular-classification").train
    (batch,) = batches(layout.sources[0], data.missing)
    assert batch.cells["label"].to_pylist() == ["groß", "klein"]
    np.savez(path, x=np.zeros((2, 3)), label=np.array(["groß".encode("cp1252"), b"klein"]))
    with pytest.raises(Fault, match="the array 'label' has bytes that are not UTF-8"):
        list(batches(layout.sources[0], data.missing))


def test_data_that_is_not_there(volumes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PATIENCE", 0.0)
    with pytest.raises(Fault, match="does not exist on the volume"):
        read(Data.model_validate({"train": {"storageUri": "pvc://claim/no.csv"}, "validationFraction": "0.5"}))
