"""How the columns of a table become numbers and codes; fitted on the training rows (encoder.py), kept as JSON.

graph.py has the same arithmetic as an ONNX graph.

- A number keeps its value for trees. For a network it is standardised, with the median for a missing value and a column
  more that says where one was missing. A long tail is first made short by a logarithm.
- A boolean is the number 0 or 1.
- A datetime is a number of seconds, and has its month, weekday and hour (UTC) as codes where they vary. Its year is in
  the seconds.
- A category is a code: 0 where it is missing, 1 for a value that is rare or unknown, then the values of the training
  rows, the most frequent first. A text is treated as a category if most of its values occur often, and is left out if
  they don't.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tradewind_workload.tasks.tabular.columns import booleans_of, day_parts, numbers_of, strings_of
from tradewind_workload.tasks.tabular.derivation import KINDS, as_column

if TYPE_CHECKING:
    from tradewind_workload.data.schema import Kind
    from tradewind_workload.tasks.tabular.columns import Part
    from tradewind_workload.tasks.tabular.derivation import Derivation

MISSING, OTHER, FIRST = 0, 1, 2  # codes
LIMIT = 1e6  # largest standardised value


@dataclass(frozen=True)
class Number:
    """A column that is encoded as a number.

    `origin` is subtracted first. What a network gets: `fill` for a missing value; with a `tail`, (x - centre) / scale
    and then sign(x) log(1 + |x|); less the mean, divided by the deviation.
    """

    name: str
    kind: Kind
    precise: bool  # double precision: neighbouring values would be one in single precision
    origin: float
    fill: float
    missing: bool  # whether a training row had none
    tail: tuple[float, float] | None  # centre, scale
    mean: float
    deviation: float
    format: str | None = None  # that a datetime is written in; see tradewind_processors.times


@dataclass(frozen=True)
class Codes:
    """A column, or a part of the moments in it, that is encoded as codes."""

    name: str
    kind: Kind
    part: Part | None
    values: tuple[str, ...] | tuple[int, ...]  # those with the codes 2, 3, ...
    format: str | None = None  # as a Number's

    @property
    def size(self) -> int:
        """How many codes there are."""
        return FIRST + len(self.values)


@dataclass(frozen=True)
class Source:
    """A column of the data that steps compute from."""

    name: str
    kind: Kind
    precise: bool  # as a Number's
    format: str | None = None  # as a Number's


@dataclass(frozen=True)
class Encoding:
    """What was fitted. `standard` is for networks, `raw` for trees, to which a missing number is NaN.

    The steps come first; numbers and codes are of the columns as the steps leave them.
    """

    names: tuple[str, ...]  # the columns of the data that are used, in their order
    numbers: tuple[Number, ...]
    codes: tuple[Codes, ...]
    notes: tuple[str, ...] = ()  # for people: which columns were left out, and why
    scale: Literal["standard", "raw"] = "standard"
    steps: tuple[Derivation, ...] = ()
    sources: tuple[Source, ...] = ()  # what the steps compute from

    @property
    def indicators(self) -> tuple[int, ...]:
        """Positions of the numbers with a further column that is 1 where they are missing."""
        return () if self.scale == "raw" else tuple(i for i, column in enumerate(self.numbers) if column.missing)

    @property
    def width(self) -> int:
        """Columns of numbers that a model sees."""
        return len(self.numbers) + len(self.indicators)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many codes each column of codes has."""
        return tuple(column.size for column in self.codes)

    def raw(self) -> Encoding:
        """The same for trees."""
        return replace(self, scale="raw")

    @property
    def inputs(self) -> tuple[Source, ...]:
        """The columns of the data that are used, in their order."""
        known = {
            codes.name: Source(codes.name, codes.kind, codes.part is not None, codes.format) for codes in self.codes
        }
        known |= {
            number.name: Source(number.name, number.kind, number.precise, number.format) for number in self.numbers
        }
        known |= {source.name: source for source in self.sources}
        return tuple(known[name] for name in self.names)

    def feeds(self, batch: pa.RecordBatch | pa.Table) -> dict[str, np.ndarray]:
        """The rows as the inputs of the graph: float32 or float64 [n], or strings [n], by the name of the column."""
        return {source.name: fed(batch.column(source.name), source) for source in self.inputs}

    def derived(self, batch: pa.RecordBatch | pa.Table) -> pa.RecordBatch | pa.Table:
        """The columns as the steps leave them."""
        if not self.steps:
            return batch
        values = {source.name: computed(batch.column(source.name), source) for source in self.sources}
        for step in self.steps:
            values[step.result] = step.apply(*(values[name] for name in step.sources))
        table = pa.table(batch) if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
        for name in dict.fromkeys(step.result for step in self.steps):
            column = as_column(values[name])
            at = table.schema.get_field_index(name)
            table = table.append_column(name, column) if at < 0 else table.set_column(at, name, column)
        return table

    def apply(self, batch: pa.RecordBatch | pa.Table) -> tuple[np.ndarray, np.ndarray]:
        """The rows as a model sees them: numbers, float32 [n, width], and codes, int64 [n, columns of codes]."""
        batch = self.derived(batch)
        values = np.empty((batch.num_rows, len(self.numbers)))
        for i, number in enumerate(self.numbers):
            found = numbers_of(batch.column(number.name), number.kind)
            with np.errstate(over="ignore"):
                values[:, i] = found if number.precise else found.astype(np.float32)
        codes = np.empty((batch.num_rows, len(self.codes)), np.int64)
        for i, column in enumerate(self.codes):
            codes[:, i] = _codes(column, batch.column(column.name))
        return self._scaled(values), codes

    def rows(self, batch: pa.RecordBatch | pa.Table) -> np.ndarray:
        """Both as one matrix, float32 [n, width + columns of codes]; a code is far below what float32 has exactly."""
        numbers, codes = self.apply(batch)
        return np.concatenate([numbers, codes.astype(np.float32)], axis=1)

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        vectors = self.vectors()
        values = values - vectors["origin"]
        with np.errstate(over="ignore"):
            missing = ~np.isfinite(values.astype(np.float32))
        if self.scale == "raw":
            return np.where(missing, np.nan, values).astype(np.float32)
        return self.standardised(values, missing)

    def standardised(self, values: np.ndarray, missing: np.ndarray) -> np.ndarray:
        """Numbers as a network gets them, float32 [n, width], of values less their origin, float64 [n, numbers]."""
        vectors = self.vectors()
        values = np.where(missing, vectors["fill"], values)
        spread = (values - vectors["centre"]) / vectors["scale"]
        values = np.where(vectors["tailed"], np.sign(spread) * np.log(np.abs(spread) + 1), values)
        values = np.clip((values - vectors["mean"]) / vectors["deviation"], -LIMIT, LIMIT)
        return np.concatenate([values, missing[:, list(self.indicators)]], axis=1).astype(np.float32)

    def vectors(self) -> dict[str, np.ndarray]:
        """What was fitted of the numbers, by field: float64 (tailed: bool) [numbers]."""
        columns = self.numbers
        return {
            "origin": np.array([column.origin for column in columns], np.float64),
            "fill": np.array([column.fill for column in columns], np.float64),
            "tailed": np.array([column.tail is not None for column in columns], np.bool_),
            "centre": np.array([column.tail[0] if column.tail else 0 for column in columns], np.float64),
            "scale": np.array([column.tail[1] if column.tail else 1 for column in columns], np.float64),
            "mean": np.array([column.mean for column in columns], np.float64),
            "deviation": np.array([column.deviation for column in columns], np.float64),
        }

    def written(self) -> str:
        """As JSON."""
        steps = [{"step": type(step).__name__, **asdict(step)} for step in self.steps]  # type: ignore[call-overload]
        content = asdict(self) | {"steps": steps}
        for column in (*content["numbers"], *content["codes"], *content["sources"]):
            if column["format"] is None:
                del column["format"]  # a version that knows no formats reads the others
        return json.dumps(content, ensure_ascii=False, sort_keys=True)

    @classmethod
    def read(cls, text: str) -> Encoding:
        """From what `written` gave. Raises ValueError, KeyError or TypeError for anything else."""
        found = json.loads(text)

        def number(column: dict[str, object]) -> Number:
            tail = column["tail"]
            return Number(**(column | {"tail": tuple(tail) if tail else None}))  # type: ignore[arg-type]

        return cls(
            names=tuple(found["names"]),
            numbers=tuple(number(column) for column in found["numbers"]),
            codes=tuple(Codes(**(column | {"values": tuple(column["values"])})) for column in found["codes"]),
            notes=tuple(found["notes"]),
            scale=found["scale"],
            steps=tuple(_step(**step) for step in found.get("steps", ())),
            sources=tuple(Source(**source) for source in found.get("sources", ())),
        )


def _step(step: str, **fields: Any) -> Derivation:
    if "edges" in fields:
        fields["edges"] = tuple(fields["edges"])
    made: Derivation = KINDS[step](**fields)
    return made


def fed(column: pa.Array | pa.ChunkedArray, source: Source) -> np.ndarray:
    """A column as the input of the graph: float32 or float64 [n], or strings [n]."""
    if source.kind == "boolean":
        return np.asarray(booleans_of(column).to_numpy(zero_copy_only=False))
    if source.kind in ("category", "text"):
        return np.asarray(strings_of(column).to_numpy(zero_copy_only=False))
    with np.errstate(over="ignore"):  # what is too large for single precision is infinite, and so missing
        return numbers_of(column, source.kind).astype(np.float64 if source.precise else np.float32)


def computed(column: pa.Array | pa.ChunkedArray, source: Source) -> np.ndarray:
    """A column as steps compute with it: float64 [n] of what the input carries, or strings [n]."""
    if source.kind == "boolean":
        return numbers_of(column, "boolean")
    values = fed(column, source)
    return values if values.dtype == object else values.astype(np.float64)


def _codes(column: Codes, of: pa.Array | pa.ChunkedArray) -> np.ndarray:
    if column.part is None:
        known = pa.array(["", *column.values], pa.string())
        found = pc.index_in(strings_of(of).cast(pa.string()), value_set=known)
        # 0 is the empty string, which is missing; the values follow after the code for others.
        place = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        return np.where(place < 0, OTHER, np.where(place == 0, MISSING, place + FIRST - 1))
    seconds = numbers_of(of, "datetime")
    missing = ~np.isfinite(seconds)
    part = day_parts(np.where(missing, 0, seconds))[column.part]
    values = np.array(column.values, np.int64)
    place = np.searchsorted(values, part).clip(max=len(values) - 1)
    return np.where(missing, MISSING, np.where(values[place] == part, place + FIRST, OTHER))
