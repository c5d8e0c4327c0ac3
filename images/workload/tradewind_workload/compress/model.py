"""A model on its way through the methods, and what they work with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tradewind_workload.data.division import hashes
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import ONNX, REPORT, REPORT_PAGE, SAMPLES, TREES, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tradewind_workload.compress.source import Source
    from tradewind_workload.measure.processor import Processor

_ITS_OWN = (ONNX, SAMPLES, REPORT, REPORT_PAGE)  # files that say what this very model is


@dataclass(frozen=True)
class Model:
    """A graph, with the files beside it that a server or a further compression needs."""

    source: Source
    onnx: bytes
    files: Mapping[str, bytes]  # by name; those of the processors among them
    network: Any = None  # torch.nn.Module that the graph was exported from, where there is one in memory

    @classmethod
    def of(cls, source: Source) -> Model:
        """The source itself."""
        names = [name for name in source.manifest.files if name not in _ITS_OWN]
        files = {name: (source.folder / name).read_bytes() for name in names}
        return cls(source, (source.folder / ONNX).read_bytes(), files)

    @property
    def carried(self) -> dict[str, bytes]:
        """The files that are the same however the graph computes: all but those of weights."""
        return {name: content for name, content in self.files.items() if name not in (WEIGHTS, TREES)}


class Method(Protocol):
    """One step of a candidate."""

    def told(self, context: Context) -> str:
        """In words, with every setting that the result depends on."""

    def refuses(self, model: Model) -> str | None:
        """Why there is nothing that it can do for such a model, and what to do instead; None where it works."""

    def apply(self, model: Model, context: Context) -> Model:
        """The smaller model. Raises Fault where the rows or the files do not allow it."""


@dataclass(frozen=True)
class Context:
    """The rows, and where it runs."""

    source: Source
    processor: Processor
    threads: int

    @cached_property
    def rows(self) -> np.ndarray:
        """The training rows as the network takes them, [n, *shape]."""
        return self.source.prepared.train.load()

    def calibration(self, count: int) -> dict[str, np.ndarray]:
        """At most so many training rows by the recipe's seed, as the graph takes them; none of them judges."""
        prepared = self.source.prepared
        judging = [rows for rows in (prepared.validation, prepared.test) if rows is not None]
        seen = np.isin(hashes(prepared.train), np.concatenate([hashes(rows) for rows in judging]))
        order = np.random.default_rng([self.source.seed, 3]).permutation(len(prepared.train))
        chosen = order[~seen[order]][:count]
        if not len(chosen):
            raise Fault(
                "InvalidData",
                "every training row is also in the validation or test data: there is nothing to calibrate on.",
            )
        return self.source.fitted.feeds(prepared.train.take(np.sort(chosen)).table())
