"""A model on its way through the methods, and what they work with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tradewind_workload.data.dealing import deal
from tradewind_workload.data.division import hashes
from tradewind_workload.data.streamed import Streamed
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import ONNX, REPORT, REPORT_PAGE, SAMPLES, TREES, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tradewind_workload.compress.source import Source
    from tradewind_workload.measure.processor import Processor
    from tradewind_workload.train.training import Source as Rows

SAMPLE, SAMPLE_BYTES = 1 << 16, 1 << 26  # rows of a table that is larger than memory
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
    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """Training rows as the network takes them, [n, *shape], and what the loss compares with.

        They are all of them, or, where these are more than memory holds, some that are evenly spaced.
        """
        train = self.source.prepared.train
        if isinstance(train, Streamed):
            train = train.evenly(max(1, min(SAMPLE, SAMPLE_BYTES // (4 * math.prod(train.shape)))))
        return train.load(), self.learnt(train.targets)

    @cached_property
    def training(self) -> Rows:
        """All training rows, for epochs."""
        from tradewind_workload.train.streaming import Chunks
        from tradewind_workload.train.training import Share

        train = self.source.prepared.train
        if not isinstance(train, Streamed):
            inputs, targets = self.sample
            return Share(inputs, targets, (len(inputs),))
        dealt = deal(train, 1, self.source.seed, self.source.room.folder / "dealt")
        return Chunks(dealt.workers[0], dealt.sizes, 0, self.learnt)

    def learnt(self, targets: np.ndarray) -> np.ndarray:
        """What the loss compares the outputs with."""
        from tradewind_workload.train.learning import learnt

        return learnt(self.source.answer, targets)

    def calibration(self, count: int) -> dict[str, np.ndarray]:
        """At most so many training rows by the recipe's seed, as the graph takes them; none of them judges."""
        prepared, random = self.source.prepared, np.random.default_rng([self.source.seed, 3])
        train, every = prepared.train, len(prepared.train)
        if isinstance(train, Streamed):  # a few more than are needed, since some may be left out
            train = train.take(np.sort(random.choice(every, min(every, 2 * count), replace=False)))
        judging = [rows for rows in (prepared.validation, prepared.test) if rows is not None]
        seen = np.isin(hashes(train), np.concatenate([hashes(rows) for rows in judging]))
        order = random.permutation(len(train))
        chosen = order[~seen[order]][:count]
        if not len(chosen):
            of = "every training row" if len(train) == every else f"each of {len(train)} training rows drawn by chance"
            raise Fault(
                "InvalidData", f"{of} is also in the validation or test data: there is nothing to calibrate on."
            )
        return self.source.fitted.feeds(train.take(np.sort(chosen)).table())
