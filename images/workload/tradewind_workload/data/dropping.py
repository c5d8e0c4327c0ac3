"""What the steps that drop rows leave of a data set, and the sentence where that is nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from tradewind.api.data import Step
    from tradewind_workload.data.layout import Layout


@dataclass(frozen=True)
class Dropped:
    """What a step left of the rows of a data set."""

    where: str  # its address
    step: str
    before: int  # rows
    after: int

    @property
    def note(self) -> str:
        """In a sentence, for the log."""
        dropped = self.before - self.after
        return f"{self.where}: {dropped} {'row' if dropped == 1 else 'rows'} dropped by {self.step}"


def nothing_left(uri: str, step: Step, i: int) -> Fault:
    """The refusal of a step, spec.data.prepare[i], that leaves no row."""
    return Fault(
        "InvalidData",
        f"{uri} has no row left after {step.chosen()[0]} (spec.data.prepare[{i}]): correct the data or the step.",
    )


def nothing_apart(judging: Layout) -> Fault:
    """The refusal of training rows that all stand in a data set that judges."""
    return Fault(
        "InvalidData", f"every training row is also in the {judging.part} data: give two data sets that differ."
    )


def step_apart(judging: Layout) -> str:
    """What drops the training rows that stand in it too."""
    return f"dropDuplicates, since they are also in the {judging.part} data"
