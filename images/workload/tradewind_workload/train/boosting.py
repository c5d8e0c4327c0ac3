"""Boosted trees by a recipe: grown by one worker, exported, and reported round by round.

What trees start from, and how deep they are where the recipe leaves that open, the validation rows choose. There are no
checkpoints: an attempt that was interrupted starts over, and comes to the same choice and the same trees.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from statistics import mean
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


# Tried where the recipe names none: on few rows a split more below the others is often one too many.
DEPTHS = (1, 2, 3, 4)
FEW = 20_000  # rows of a training, at most: of more the deepest one is hardly too deep, and the time counts
LINE = "a linear model of the columns"
PART = 4  # of the memory of a worker, that is for what XGBoost holds of rows in files


@dataclass
class Rounds:
    """How far the trees are; early stopping makes it fewer than `steps`."""

    steps: int
    step: int = 0


@dataclass(frozen=True)
class Trial:
    """A way to grow trees."""

    depth: int
    start: Linear | None  # None: one answer for all

    def __str__(self) -> str:
        return f"trees of depth {self.depth} from {'one answer for all' if self.start is None else LINE}"


@dataclass(frozen=True)
class Grown:
    """Trees, and how they were grown."""

    trial: Trial
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
    classes = len(prepared.labels) or None
    weights: tuple[float, ...] = ()
    if recipe.class_weights == "Balanced" and isinstance(head, Classification):
        weights = tuple(head.balanced_weights().tolist())
    encoding = config["fitted"].encoding
    outputs = classes if classes is not None and (classes > 2 or prepared.several) else 1
    stream, notes = _limited(config["stream"], trees.held(outputs), spec)
    training, validation = _examples(prepared, stream, answer)
    starts: tuple[Linear | None, ...] = (None,)
    depths: tuple[int, ...] = (settings.max_depth,)
    # A table larger than memory has rows enough for trees.
    if isinstance(training, trees.Examples) and isinstance(validation, trees.Examples):
        if not prepared.several:  # a linear model of each label would be one more each
            line = linear.fit(encoding, training, validation, classes=classes, class_weights=weights)
            starts = (None,) if line is None else (None, line)
        depths = depths_of(recipe, len(training.rows))
    trials = [Trial(depth, start) for depth in depths for start in starts]
    rounds.steps = len(trials) * settings.rounds

    def grown(trial: Trial) -> Grown:
        history, before = History(), rounds.step

        def told(number: int, loss: float, learnt: float) -> None:
            rounds.step = before + number
            loss, learnt = loss * unit, learnt * unit
            history.ended(number, learnt, validation_loss=loss)
            voice.heard(loss=metric_of(loss), round=str(number))
            if number % 50 == 0 and len(depths) == 1:  # few rows take seconds, and each trial has its line
                print(f"round {number}/{settings.rounds}: loss {loss:.4f}", flush=True)
            voice.speak()

        booster = trees.train(
            *(_started(trial.start, encoding, examples) for examples in (training, validation)),
            classes=classes,
            several=prepared.several,
            settings=replace(settings, max_depth=trial.depth),
            class_weights=weights,
            threads=config["threads"],
            seed=recipe.seed,
            on_round=told,
        )
        made = Grown(trial, booster, history)
        print(f"{trial}: least loss {made.loss:.4f}, after round {booster.num_boosted_rounds()}", flush=True)
        return made

    tried = [grown(trial) for trial in trials]
    chosen, said = chosen_of(tried)
    for sentence in said:
        print(sentence, flush=True)
    start, booster, history = chosen.trial.start, chosen.booster, chosen.history
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
        (*more, *notes, *said),
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
        rounds=asked.rounds,
        patience=patience,
        learning_rate=float(asked.learning_rate),
        max_depth=asked.max_depth or trees.Settings.max_depth,
    )


def depths_of(recipe: Recipe, rows: int) -> tuple[int, ...]:
    """The depths that are tried on so many training rows, the least first."""
    asked = recipe.model.trees or Trees()
    if asked.max_depth is not None:
        return (asked.max_depth,)
    return DEPTHS if rows <= FEW else (trees.Settings.max_depth,)


def chosen_of(tried: list[Grown]) -> tuple[Grown, tuple[str, ...]]:
    """Of start and depth, each by its mean loss over the other, and why; of equals the simplest.

    The losses are on a few hundred rows at times, and the least of eight is as often the luckiest one as the best.
    Means of trials that differ in one thing alone say more of that thing.
    """
    starts = _means(tried, lambda trial: trial.start is not None)
    depths = _means(tried, lambda trial: trial.depth)
    line, depth = min(starts, key=lambda key: starts[key]), min(depths, key=lambda key: depths[key])
    (chosen,) = (one for one in tried if (one.trial.start is not None, one.trial.depth) == (line, depth))
    said = []
    if len(starts) > 1:
        over = ", on average over the depths" if len(depths) > 1 else ""
        losses = f"its least loss on the validation rows is {starts[True]:.4f}, and {starts[False]:.4f} without{over}"
        said.append(
            f"the trees start from {LINE}, and learn what it leaves: {losses}"
            if line
            else f"the trees start from one answer for all, and not from {LINE}: {losses}"
        )
    if len(depths) > 1:
        over = ", on average over both starts" if len(starts) > 1 else ""
        losses = ", ".join(f"{loss:.4f} with {each}" for each, loss in depths.items())
        said.append(f"the trees have a depth of {depth}: the least loss on the validation rows is {losses}{over}")
    if len(starts) > 1 and len(depths) > 1:
        said.append(
            f"averages decide, since on few validation rows the least of {len(tried)} single losses is often luck"
        )
    return chosen, tuple(said)


def _means(tried: list[Grown], of: Callable[[Trial], int]) -> dict[int, float]:
    """Of each that the trials have, in their order."""
    losses: dict[int, list[float]] = {}
    for one in tried:
        losses.setdefault(of(one.trial), []).append(one.loss)
    return {key: mean(found) for key, found in losses.items()}


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
