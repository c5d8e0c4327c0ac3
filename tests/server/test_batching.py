"""Requests that wait are computed together, each answered as if it had been alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from process import PATIENCE

from tradewind_server.batching import Queue
from tradewind_server.metrics import Parts
from tradewind_server.pace import Pace
from tradewind_server.refusal import BadRequest


class Model:
    """`y` is `x`. It notes what it is asked together, and answers the first time only when it is let."""

    def __init__(self) -> None:
        self.asked: list[list[float]] = []
        self.begun, self.let = threading.Event(), threading.Event()

    def __call__(self, tensors: Any, wanted: Sequence[str], rows: int) -> list[Any]:
        x = tensors["x"]
        self.asked.append(x[:, 0].tolist())
        assert len(x) == rows
        self.begun.set()
        assert self.let.wait(PATIENCE)
        if (x < 0).any():
            raise BadRequest("a value is negative")
        return [{"y": x, "twice": 2 * x}[name] for name in wanted]


def prepared(feeds: Any) -> Any:
    if (feeds["x"] == 13).any():
        raise BadRequest("no picture")
    return feeds


def asked(
    model: Model, size: int, *requests: Any, then: Callable[[Queue, list[Any]], Awaitable[None]] | None = None
) -> list[Any]:
    """What becomes of the requests, which gather behind a first one of a single 0 and are numbers of the rows of `x`,
    or arrays."""

    async def run() -> list[Any]:
        with ThreadPoolExecutor(1) as pool:
            queue = Queue(pool, 1, prepared, model, Parts("m"), size)
            first = asyncio.create_task(queue.answer({"x": np.zeros((1, 1))}, ["y"]))
            await asyncio.to_thread(model.begun.wait, PATIENCE)
            tasks = []
            for request in requests:
                x = request if isinstance(request, np.ndarray) else np.array(request, dtype=float)[:, None]
                tasks.append(asyncio.create_task(queue.answer({"x": x}, ["y"])))
                await asyncio.sleep(0)
            assert queue.waiting == len(requests)
            if then:
                await then(queue, tasks)
            model.let.set()
            answers = await asyncio.gather(first, *tasks, return_exceptions=True)
        assert answers[0][0].tolist() == [[0]]
        return [one if isinstance(one, BaseException) else one[0][:, 0].tolist() for one in answers[1:]]

    return asyncio.run(run())


def test_what_waits_is_computed_together() -> None:
    model = Model()
    assert asked(model, 8, [1], [2, 3], [4]) == [[1], [2, 3], [4]]
    assert model.asked == [[0], [1, 2, 3, 4]]


def test_a_batch_has_no_more_rows_than_pay_and_no_request_is_split() -> None:
    model = Model()
    assert asked(model, 4, [1, 2, 3], [4, 5], [6], [7, 8, 9, 10, 11], [12]) == [
        [1, 2, 3],
        [4, 5],
        [6],
        [7, 8, 9, 10, 11],
        [12],
    ]
    assert model.asked == [[0], [1, 2, 3, 6], [4, 5, 12], [7, 8, 9, 10, 11]]


def test_what_a_thread_is_about_to_take_does_not_wait() -> None:
    class Slow(ThreadPoolExecutor):
        """Its threads have not come to anything yet."""

        def submit(self, *_: Any, **__: Any) -> Any:
            """Later."""

    async def run() -> list[int]:
        queue = Queue(Slow(), 2, prepared, Model(), Parts("m"))
        seen, tasks = [], []
        for _ in range(4):
            tasks.append(asyncio.create_task(queue.answer({"x": np.zeros((1, 1))}, ["y"])))
            await asyncio.sleep(0)
            seen.append(queue.waiting)
        for task in tasks:
            task.cancel()
        return seen

    assert asyncio.run(run()) == [0, 0, 1, 2]


def test_a_size_of_one_asks_each_alone() -> None:
    model = Model()
    assert asked(model, 1, [1], [2]) == [[1], [2]]
    assert model.asked == [[0], [1], [2]]


def test_rows_of_another_form_are_a_batch_of_their_own() -> None:
    model = Model()
    wide = np.array([[5.0, 6.0]])
    assert asked(model, 8, [1], wide, [2], wide) == [[1], [5], [2], [5]]
    assert model.asked == [[0], [1, 2], [5, 5]]


def test_an_error_is_that_of_its_request_alone() -> None:
    model = Model()
    good, failing, picture, other = asked(model, 8, [1], [-2], [13], [3])
    assert (good, other) == ([1], [3])
    assert str(failing) == "a value is negative"
    assert str(picture) == "no picture"
    assert model.asked == [[0], [1, -2, 3], [1], [-2], [3]]


def test_each_gets_the_outputs_that_it_wants() -> None:
    model = Model()
    twice: list[Any] = []

    async def then(queue: Queue, _: list[Any]) -> None:
        twice.append(asyncio.create_task(queue.answer({"x": np.array([[2.0]])}, ["twice", "y"])))
        await asyncio.sleep(0)

    assert asked(model, 8, [1], then=then) == [[1]]
    assert [array.tolist() for array in twice[0].result()] == [[[4.0]], [[2.0]]]
    assert model.asked == [[0], [1, 2]]


def test_who_has_gone_is_not_computed() -> None:
    model = Model()

    async def then(queue: Queue, tasks: list[Any]) -> None:
        tasks[1].cancel()
        await asyncio.sleep(0)
        assert queue.waiting == 2

    one, gone, two = asked(model, 8, [1], [2], [3], then=then)
    assert (one, two) == ([1], [3])
    assert isinstance(gone, asyncio.CancelledError)
    assert model.asked == [[0], [1, 3]]


def test_a_model_that_gives_no_row_for_each_is_asked_one_by_one_from_then_on() -> None:
    class Odd(Model):
        def __call__(self, tensors: Any, wanted: Sequence[str], rows: int) -> list[Any]:
            return [array[:1] for array in super().__call__(tensors, wanted, rows)]

    model = Odd()
    assert asked(model, 8, [1], [2]) == [[1], [2]]
    assert model.asked == [[0], [1, 2], [1], [2]]


def test_a_run_that_is_interrupted_by_no_error_of_ours_answers_everybody() -> None:
    class Broken(Model):
        def __call__(self, tensors: Any, wanted: Sequence[str], rows: int) -> list[Any]:
            outputs = super().__call__(tensors, wanted, rows)
            if tensors["x"].any():
                raise MemoryError
            return outputs

    assert [type(one) for one in asked(Broken(), 8, [1], [2])] == [MemoryError, MemoryError]


def test_the_wait_is_that_of_the_work_ahead_by_batch() -> None:
    model, now = Model(), [100.0]
    curve = Pace({1: 1.0, 2: 1.2, 4: 2.0})

    async def run() -> None:
        with ThreadPoolExecutor(1) as pool:
            queue = Queue(pool, 1, prepared, model, Parts("m"), 4, curve, clock=lambda: now[0])
            assert queue.wait() == 0  # a worker is free
            tasks = [asyncio.create_task(queue.answer({"x": np.zeros((1, 1))}, ["y"]))]
            await asyncio.to_thread(model.begun.wait, PATIENCE)
            assert queue.wait() == 1
            now[0] += 0.25
            assert queue.wait() == 0.75
            eight = [queue.answer({"x": np.zeros((1, 1))}, ["y"]) for _ in range(8)]  # two full batches of 2 s
            tasks += map(asyncio.create_task, eight)
            await asyncio.sleep(0)
            assert queue.wait() == pytest.approx(4.75)
            now[0] += 10  # it takes longer than it did: nobody knows how much
            assert queue.wait() == pytest.approx(4)
            tasks.pop().cancel()
            await asyncio.sleep(0)
            assert queue.wait() == pytest.approx(3.5)
            model.let.set()
            await asyncio.gather(*tasks)

    asyncio.run(run())


def test_the_pace_follows_what_runs_take() -> None:
    pace = Pace({1: 1.0, 4: 2.0})
    assert [pace.units(rows) for rows in (1, 2, 4, 8)] == pytest.approx([1, 4 / 3, 2, 4])
    for _ in range(100):
        pace.add(pace.units(4), 4.0)
    assert pace.seconds(pace.units(1)) == pytest.approx(2, rel=1e-3)
    pace.add(pace.units(4), 1000.0)  # the machine was busy with something else
    assert pace.seconds(pace.units(1)) < 3
    unknown = Pace({})
    assert unknown.seconds(unknown.units(7)) == 0  # nothing is refused before the first run
    unknown.add(unknown.units(7), 3.0)
    assert unknown.seconds(unknown.units(1)) == 3


class Where:
    """`y` is `x`. It notes how many rows it is asked together, and in which thread."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, bool]] = []

    def __call__(self, tensors: Any, wanted: Sequence[str], rows: int) -> list[Any]:
        self.asked.append((rows, threading.current_thread() is threading.main_thread()))
        if (tensors["x"] < 0).any():
            raise BadRequest("a value is negative")
        return [tensors["x"]]


@pytest.mark.parametrize(
    ("curve", "alone", "expected"),
    [
        # One that comes alone is computed at once; those that come together, together, as many as pay.
        ({1: 1e-5}, True, [(1, True)] * 5),
        ({1: 1e-5}, False, [(4, True), (1, True)]),
        # A longer run, or one of which nothing is known, would hold up the loop.
        ({1: 1e-2}, True, [(1, False), (4, False)]),
        ({}, True, [(1, False), (4, False)]),
    ],
)
def test_a_run_that_is_shorter_than_handing_it_over_is_computed_in_the_loop(
    curve: dict[int, float], alone: bool, expected: list[tuple[int, bool]]
) -> None:
    model = Where()

    class Later(ThreadPoolExecutor):
        """Its thread begins when all have asked."""

        def submit(self, work: Any, *_: Any) -> Any:
            return asyncio.get_running_loop().call_later(0.05, super().submit, work)

    async def run() -> list[Any]:
        with Later(1) as pool:
            queue = Queue(pool, 1, prepared, model, Parts("m"), 4, Pace(curve))

            async def ask(value: int) -> Any:
                return await queue.answer({"x": np.full((1, 1), value)}, ["y"], at_once=1e-4, alone=alone)

            found = await asyncio.gather(*map(ask, range(5)))
            with pytest.raises(BadRequest):
                await ask(-1)
            found += await asyncio.gather(ask(5))
        assert queue.wait() == 0, "the worker is free"
        return [answer[0].item() for answer in found]

    assert asyncio.run(run()) == list(range(6))
    if expected[0][1]:
        assert model.asked[: len(expected)] == expected
    else:
        assert all(not here for _, here in model.asked)
