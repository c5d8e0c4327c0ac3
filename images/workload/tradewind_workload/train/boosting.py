"""Boosted trees by a recipe: grown by one worker, exported, and reported round by round.

There are no checkpoints: an attempt that was interrupted starts over, and comes to the same trees.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind.api.report import JobDocument
from tradewind.api.trainingjob import Trees
from tradewind_workload.data.dealing import Dealt
from tradewind_workload.data.rows import Rows
from tradewind_workload.heads.answer import Answer, Value
from tradewind_workload.heads.classification import Classification
from tradewind_workload.io.document import training_spec
from tradewind_workload.io.places import local_path
from tradewind_workload.tasks.tabular import linear, trees
from tradewind_workload.train.cluster import memory
from tradewind_workload.train.history import History, curve
from tradewind_workload.train.judging import answer_of, head_of, judging_part, metric_of
from tradewind_workload.train.voice import Voice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tradewind.api.trainingjob import Recipe, TrainingJobSpec
    from tradewind_workload.data.dealing import Pile
    from tradewind_workload.data.preparation import Prepared
    from tradewind_workload.tasks.tabular.encoding import Encoding
    from tradewind_workload.tasks.tabular.linear import Linear
    from tradewind_workload.train.streaming import Stream


PART = 4  # of the memory of a worker, that is for what XGBoost holds of rows in files


@dataclass
class Rounds:
    """How far the trees are; early stopping makes it fewer than `steps`."""

    steps: int
    step: int = 0


@dataclass(frozen=True)
class Grown:
    """Trees, and what they started from."""

    start: Linear | None
    booster: Any
    history: History

    @property
    def loss(self) -> float:
        """The least on the validation rows."""
        return min(lap.validation_loss for lap in self.history.laps if lap.validation_loss is not None)


def grow(config: dict[str, Any]) -> None:
    """What the worker runs for trees."""
    from tradewind_workload.tasks.tabular.model import from_trees
    from tradewind_workload.train.reporting import Course, told_of
    from tradewind_workload.train.result import Trained, store

    started = time.time() - config["asked"]
    job = JobDocument.read(config["job"])
    spec = training_spec(job)
    recipe, prepared = spec.recipe, config["prepared"]
    assert recipe is not None
    settings = settings_of(recipe)
    rounds = Rounds(settings.rounds)
    # XGBoost splits nothing that gains less than 1e-6, so values are brought to one scale, as for networks.
    answer = answer_of(prepared)
    unit = answer.deviation if isinstance(answer, Value) else 1.0
    alone = config.get("alone")
    voice = Voice(job, rounds, told=alone.told if alone is not None else None)

    print("starting", flush=True)
    head = head_of(prepared)
    balanced = recipe.class_weights == "Balanced" and isinstance(head, Classification)
    classes, weights = len(prepared.labels) or None, tuple(head.balanced_weights().tolist()) if balanced else ()
    encoding = config["fitted"].encoding
    stream, notes = _limited(config["stream"], trees.held(classes if classes is not None and classes > 2 else 1), spec)
    training, validation = _examples(prepared, stream, answer)
    line = None
    # A linear model of each label would be one more each; a table larger than memory has rows enough for trees.
    if isinstance(training, trees.Examples) and isinstance(validation, trees.Examples) and not prepared.several:
        line = linear.fit(encoding, training, validation, classes=classes, class_weights=weights)
    starts = (None,) if line is None else (None, line)
    rounds.steps = len(starts) * settings.rounds

    def grown(start: Linear | None) -> Grown:
        history, before = History(), rounds.step

        def told(number: int, loss: float, learnt: float) -> None:
            rounds.step = before + number
            loss, learnt = loss * unit, learnt * unit
            history.ended(number, learnt, validation_loss=loss)
            voice.heard(loss=metric_of(loss), round=str(number))
            if number % 50 == 0:
                print(f"round {number}/{settings.rounds}: loss {loss:.4f}", flush=True)
            voice.speak()

        if start is not None:
            print("once more, from a linear model of the columns", flush=True)
        booster = trees.train(
            *(_started(start, encoding, examples) for examples in (training, validation)),
            classes=classes,
            settings=settings,
            class_weights=weights,
            threads=config["threads"],
            seed=recipe.seed,
            on_round=told,
        )
        return Grown(start, booster, history)

    tried = [grown(start) for start in starts]
    chosen = min(tried, key=lambda one: one.loss)  # of equals the one without a linear model
    said = _told_of_starts(tried, chosen)
    if said:
        print(said, flush=True)
    start, booster, history = chosen.start, chosen.booster, chosen.history
    print(f"the model is that of round {booster.num_boosted_rounds()}", flush=True)
    _, judging = judging_part(prepared)
    if isinstance(answer, Value):  # for whoever reads the trees' own file
        booster.set_attr(label_mean=repr(answer.mean), label_deviation=repr(answer.deviation))
    model = from_trees(encoding, booster, answer, start)
    became, more = told_of(config["fitted"], prepared)
    course = Course(
        curve(
            history.laps,
            unit="round",
            loss="log_loss" if prepared.labels else "rmse",
            best=booster.num_boosted_rounds(),
        ),
        became,
        (*more, *notes, *([said] if said else [])),
        seconds=config["seconds"] | {"start the worker": started, "train": sum(one.history.seconds for one in tried)},
    )
    expected = np.concatenate(
        [
            trees.predict(booster, asked, None if start is None else start(encoding, asked))
            for asked in (some.load() for some in judging.by_block())
        ]
    )
    if isinstance(answer, Value):
        expected = answer.decoded(expected[:, np.newaxis])
    store(job, spec, prepared, Trained(model, expected, course), local_path(spec.output.storage_uri))
    voice.close()


def settings_of(recipe: Recipe) -> trees.Settings:
    """How a recipe's trees are grown."""
    asked = recipe.model.trees or Trees()
    patience = recipe.early_stopping.patience if recipe.early_stopping is not None else trees.Settings.patience
    return trees.Settings(
        rounds=asked.rounds, patience=patience, learning_rate=float(asked.learning_rate), max_depth=asked.max_depth
    )


def _told_of_starts(tried: list[Grown], chosen: Grown) -> str:
    """Why the trees start as they do; empty where there was no choice."""
    if len(tried) == 1:
        return ""
    plain, line = (one.loss for one in tried)
    losses = f"its least loss on the validation rows is {line:.4f}, and {plain:.4f} without"
    if chosen.start is None:
        return f"the trees start from one answer for all, and not from a linear model of the columns: {losses}"
    return f"the trees start from a linear model of the columns, and learn what it leaves: {losses}"


def _limited(stream: Stream | None, held: int, spec: TrainingJobSpec) -> tuple[Stream | None, list[str]]:
    """The stream with no more training rows than XGBoost can hold so many bytes of; a sentence where they are fewer.

    A chunk has rows by chance, so some of the chunks are a sample of all.
    """
    if stream is None:
        return None, []
    (chunks,) = stream.dealt.workers
    most = memory(spec.resources) // PART // held
    fit = max(1, int(np.searchsorted(np.cumsum([len(chunk) for chunk in chunks]), most, side="right")))
    if fit == len(chunks):
        return stream, []
    note = (
        f"the trees grow from {sum(map(len, chunks[:fit]))} of {sum(map(len, chunks))} training rows, drawn by chance: "
        f"XGBoost holds {held} bytes of each, and 1/{PART} of spec.resources.memory is for that"
    )
    print(note, flush=True)
    return replace(stream, dealt=Dealt((chunks[:fit],))), [note]


def _started(
    start: Linear | None, encoding: Encoding, examples: trees.Examples | trees.Batches
) -> trees.Examples | trees.Batches:
    return (
        examples
        if start is None or isinstance(examples, trees.Batches)
        else replace(examples, start=start(encoding, examples.rows))
    )


def _examples(
    prepared: Prepared, stream: Stream | None, answer: Answer
) -> tuple[trees.Examples | trees.Batches, trees.Examples | trees.Batches]:
    """The training and the validation rows, with what the trees learn of them."""

    def learnt(targets: np.ndarray) -> np.ndarray:
        return answer.standardised(targets) if isinstance(answer, Value) else targets

    if stream is None:
        train, validation = prepared.train, prepared.validation
        assert isinstance(train, Rows)
        return trees.Examples(train.load(), learnt(train.targets)), trees.Examples(
            validation.load(), learnt(validation.targets)
        )

    def batches(piles: Sequence[Pile], name: str, sample: Callable[[], np.ndarray] | None = None) -> trees.Batches:
        def read() -> Iterator[trees.Examples]:
            for pile in piles:
                for records in pile.pieces():
                    yield trees.Examples(np.ascontiguousarray(records["inputs"]), learnt(records["target"]))

        return trees.Batches(read, stream.folder / name, sample)

    (chunks,) = stream.dealt.workers
    training = batches(chunks, "trees", lambda: np.ascontiguousarray(chunks[0].load()["inputs"]))
    return training, batches([stream.validation], "trees-validation")
