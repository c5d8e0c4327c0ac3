"""Whether a model is better than always giving the same answer: the condition BetterThanGuessing."""

from __future__ import annotations

from tradewind.api.evaluation import Evaluation, short
from tradewind.core.conditions import Reason, Verdict

KIND = "BetterThanGuessing"
# A model that is better than guessing by these, whatever it answers, ranks rows or tells how likely an answer is.
OF_PROBABILITIES = ("auroc", "average_precision", "log_loss")


def better_than_guessing(evaluation: Evaluation | None, remedy: str) -> tuple[Verdict, ...]:
    """The condition, with both numbers; none where the model was not compared with guessing.

    `remedy` says what to do about a model that is no better.
    """
    if evaluation is None:
        return ()
    numbers = (
        f"{evaluation.metric} is {evaluation.value} ({evaluation.certainty()}) on {evaluation.rows} "
        f"{evaluation.part.lower()} rows, and {evaluation.guessing} for {evaluation.guess()}"
    )
    if evaluation.better_than_guessing:
        words = f"The model is better than guessing: {numbers}."
        if missed := evaluation.misses():
            rows = f"none of the {evaluation.missed_rows} rows" if evaluation.missed_rows else "no row"
            words += f" But {rows} of {missed} was answered so"
            if evaluation.metric in OF_PROBABILITIES:
                words += (
                    ": its probabilities tell rows apart, its answers don't. Compare its probability with a limit of "
                    "your own, or train again"
                )
            words += f". {remedy}"
        return (Verdict(KIND, "True", Reason.BETTER_THAN_GUESSING, words),)
    words = f"The model is no better than guessing: {numbers}. {remedy}"
    return (Verdict(KIND, "False", Reason.NO_BETTER_THAN_GUESSING, words),)


def more_rows(evaluation: Evaluation) -> str:
    """The advice to give more data, in words."""
    if evaluation.better_than_guessing and (missed := evaluation.misses()):
        return f"more rows of {missed}"
    return "more rows" if evaluation.rarest is None else f"more rows of class {short(evaluation.rarest)}"
