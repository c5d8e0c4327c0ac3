"""Columns of the training data that the model takes nothing of: whoever sends one is told why it is no input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tradewind_server.columns import UnknownInput
from tradewind_server.refusal import BadRequest, shown


class Unused:
    """Why each column is no input, by its name."""

    def __init__(self, why: Mapping[str, str]) -> None:
        self._why = why

    @contextmanager
    def said(self) -> Iterator[None]:
        """A refusal of such a name, in the training's words."""
        try:
            yield
        except UnknownInput as error:
            why = self._why.get(error.name) if isinstance(error.name, str) else None
            if why is None:
                raise
            raise BadRequest(
                f"{error.where}{shown(error.name)} is no input of the model: {why}. Send the rows without it"
            ) from None
