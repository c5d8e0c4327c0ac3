"""A model before any client asks it: it answers its samples as it did when it was stored, or zeros; and what was learnt
of batches."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from tradewind.api.artefact import SAMPLES, Samples
from tradewind_server import columns, learning, samples, session, warmup
from tradewind_server.folder import Unservable
from tradewind_server.learning import Clock, Learned, Room
from tradewind_server.processing import Processing
from tradewind_server.refusal import BadRequest
from tradewind_server.session import Model
from tradewind_server.tensors import Array, TensorSpec

log = logging.getLogger(__name__)

LONGEST = 10.0  # seconds of a run that is only to learn from

Tensors = Mapping[str, Array]


@dataclass(frozen=True)
class Trial:
    """The model that is tried; `inputs` and `outputs` are as users know them."""

    name: str
    model: Model
    processing: Processing
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    labels: tuple[str, ...]

    def tried(self, golden: Samples | None) -> tuple[str, Tensors | None]:
        """What the model has answered (samples, zeros or nothing), and rows to learn from, if it takes any number.

        Raises Unservable where it answers its samples otherwise than when it was stored.
        """
        if golden is not None:
            self._check_labels(samples.replay(golden, self.inputs, self._answer))
            return "samples", self._rows(golden)
        error: Exception | None = None
        for feeds in warmup.guesses(list(self.inputs.values())):
            try:
                outputs = self._answer(feeds)
                break
            except BadRequest as failure:
                error = failure
        else:
            log.warning(
                "%s could not be tried before its first request, and is served as it is: %s. To have it tried, put %s"
                ' beside it, {"instances": [...]} with rows as a request has them, and give the folder in storageUri',
                self.name,
                error or "zeros of any size would be too large",
                SAMPLES,
            )
            return "nothing", None
        self._check_labels(outputs)
        if not self._takes_any_rows():
            return "zeros", None
        self._try_two_rows(feeds)
        return "zeros", learning.made_up(feeds)

    def learned(self, feeds: Tensors, most: int, room: Room, clock: Clock, obstacle: str | None) -> Learned:
        """Whether rows of several requests may be computed together, and how many of them pay; what a row takes in any
        case. `obstacle` is why they may not, where that is known."""
        started = clock.now()
        rows = self.processing(feeds)
        apart = (clock.now() - started) / len(next(iter(feeds.values())))
        # Made-up rows can lead a model into a loop that no row of its own does; a start must not wait for that.
        run = partial(session.tried, self.model, wanted=list(self.outputs), longest=LONGEST)
        if obstacle:
            return learning.alone(run, rows, obstacle, clock)
        found = learning.learn(run, rows, most, room, apart, clock)
        with contextlib.suppress(BadRequest):
            few = {name: array[:1] for name, array in rows.items()}
            session.let_go(self.model, few, list(self.outputs), LONGEST)
        return found

    def _rows(self, golden: Samples) -> Tensors | None:
        if not self._takes_any_rows():
            return None
        return columns.of_rows(self.inputs, list(golden.instances), len(golden.instances))

    def _takes_any_rows(self) -> bool:
        return all(spec.axes and isinstance(spec.axes[0], str) for spec in self.inputs.values())

    def _answer(self, feeds: Tensors) -> dict[str, Array]:
        """All outputs, by name. Raises BadRequest in ONNX Runtime's words."""
        return self._run(self.processing(feeds))

    def _run(self, tensors: Tensors) -> dict[str, Array]:
        return session.tried(self.model, tensors, list(self.outputs))

    def _check_labels(self, outputs: Tensors) -> None:
        for name in ("probabilities", "labels"):
            found = outputs.get(name)
            if name == "labels" and found is not None and found.dtype != np.bool_:
                continue  # an output of another model, which only has the name
            if self.labels and found is not None and found.shape[-1:] != (len(self.labels),):
                raise Unservable(f"model.json names {len(self.labels)} labels, but {name} have the shape {found.shape}")

    def _try_two_rows(self, feeds: Tensors) -> None:
        """An export with a fixed number of rows may hide it."""
        try:
            self._answer({name: np.concatenate([array, array]) for name, array in feeds.items()})
        except BadRequest as failure:
            log.warning("the model answers one row, but not two, though it declares any number: %s", failure)
