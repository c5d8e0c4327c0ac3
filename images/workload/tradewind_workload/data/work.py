"""Where the pieces of a job are worked on: in this process, or wherever an implementation of `Work` sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Block(Protocol):
    """A table that stays where it was made; only the Work that gave it out can look into it."""


class Work(Protocol):
    """Runs functions on tables that stay where they are. It can be pickled, and its blocks with it.

    A Fault that a function raises is raised as itself.
    """

    def keep(self, function: Callable[[_Item], Iterator[pa.Table]], items: Iterable[_Item]) -> list[Block]:
        """The tables that the function gives for the items, in order, each as a block."""

    def map(self, function: Callable[..., _Result], calls: Iterable[tuple[Any, ...]]) -> list[_Result]:
        """What the function gives for the arguments of each call, in order. It gets a block as its table."""

    def each(self, function: Callable[..., _Result], calls: Iterable[tuple[Any, ...]]) -> Iterator[_Result]:
        """The same one after the other: no more results are held than a few that are not yet asked for."""

    def fetch(self, block: Block) -> pa.Table:
        """The table of a block."""


class Here:
    """A plain loop in this process, which holds the tables."""

    def keep(self, function: Callable[[_Item], Iterator[pa.Table]], items: Iterable[_Item]) -> list[Block]:
        """See Work."""
        return [table for item in items for table in function(item)]

    def map(self, function: Callable[..., _Result], calls: Iterable[tuple[Any, ...]]) -> list[_Result]:
        """See Work."""
        return list(self.each(function, calls))

    def each(self, function: Callable[..., _Result], calls: Iterable[tuple[Any, ...]]) -> Iterator[_Result]:
        """See Work."""
        return (function(*call) for call in calls)

    def fetch(self, block: Block) -> pa.Table:
        """See Work."""
        return block
