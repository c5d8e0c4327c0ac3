"""Work on the Ray cluster of the job: a task a call, and blocks in Ray's object store."""

from __future__ import annotations

import ctypes
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import ray

from tradewind_workload.io.fault import fault_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tradewind_workload.data.work import Block

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class OnRay:
    """See data.work.Work; a block is an ObjectRef."""

    def keep(self, function: Callable[[_Item], Iterator[pa.Table]], items: Iterable[_Item]) -> list[Block]:
        """See Work."""
        with _faults():
            running: list[ray.ObjectRefGenerator] = [_tables.remote(function, item) for item in items]
            made: list[Block] = []
            for task in running:
                *blocks, end = task
                ray.get(end)  # None, or what the task raised
                made += blocks
            return made

    def map(self, function: Callable[..., _Result], calls: Iterable[tuple[Any, ...]]) -> list[_Result]:
        """See Work."""
        with _faults():
            found: list[_Result] = ray.get([_called.remote(function, *call) for call in calls])
            return found

    def each(self, function: Callable[..., _Result], calls: Iterable[tuple[Any, ...]]) -> Iterator[_Result]:
        """See Work; one more is begun for each CPU of the cluster than can run."""
        ahead = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        running: deque[ray.ObjectRef[_Result]] = deque()
        with _faults():
            for call in calls:
                running.append(_called.remote(function, *call))
                if len(running) >= ahead:
                    yield ray.get(running.popleft())
            while running:
                yield ray.get(running.popleft())

    def fetch(self, block: Block) -> pa.Table:
        """See Work."""
        assert isinstance(block, ray.ObjectRef)
        return ray.get(block)


@ray.remote(num_cpus=1, num_returns="streaming")
def _tables(function: Callable[[Any], Iterator[pa.Table]], item: Any) -> Iterator[pa.Table | None]:
    yield from function(item)
    yield None  # an error would stand here, of which the caller hears only when it looks at what it was given


@ray.remote(num_cpus=1)
def _called(function: Callable[..., _Result], *arguments: Any) -> _Result:
    try:
        return function(*arguments)
    finally:
        _give_back()


def _give_back() -> None:
    """Leave the memory of what was let go to others: this process may stay, idle, beside one that trains."""
    pa.default_memory_pool().release_unused()
    # Looked up here: what stands in the module goes along where functions are sent with their code.
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:  # of glibc
        trim(0)


@contextmanager
def _faults() -> Iterator[None]:
    """A Fault that a task raised, as itself; other errors, as of a lost worker, are not the data's."""
    try:
        yield
    except Exception as error:
        if (fault := fault_in(error)) is not None:
            raise fault from None
        raise
