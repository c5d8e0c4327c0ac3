"""Makes the variants: each method takes the model as the one before left it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tradewind_workload.compress.methods.pruning import Pruning
from tradewind_workload.compress.methods.quantisation import Quantisation
from tradewind_workload.compress.model import Model

if TYPE_CHECKING:
    from tradewind.api import compressionjob as api
    from tradewind_workload.compress.model import Context, Method


class NotApplicable(Exception):
    """A method can do nothing for the model; the message says why, and what to do."""


def method(step: api.Method) -> Method:
    """What does a step of a candidate."""
    if step.prune is not None:
        return Pruning(float(step.prune.sparsity), step.prune.fine_tune_epochs)
    assert step.quantize is not None
    return Quantisation(step.quantize.scheme, step.quantize.calibration_rows)


def told(steps: tuple[api.Method, ...], context: Context) -> tuple[str, ...]:
    """The methods in words, with every setting that the result depends on."""
    return tuple(method(step).told(context) for step in steps)


@dataclass
class Workshop:
    """Makes candidates of one source. What several candidates begin with is made once."""

    context: Context
    _made: dict[str, Model] = field(default_factory=dict)

    def make(self, candidate: api.Candidate) -> Model:
        """The variant. Raises NotApplicable where the model has nothing for a method, and Fault."""
        made = Model.of(self.context.source)
        for i, step in enumerate(candidate.methods):
            key = json.dumps([step.dump() for step in candidate.methods[: i + 1]])
            if key not in self._made:
                doing = method(step)
                if (why := doing.refuses(made)) is not None:
                    raise NotApplicable(why)
                self._made[key] = doing.apply(made, self.context)
            made = self._made[key]
        return made
