"""The one error of this package."""

from __future__ import annotations


class Unprocessable(ValueError):
    """A text or a picture that can't be taken, or a processor that can't be made.

    The text is a sentence that reads on after what it is about ("row 3, column 'photo': ..."): what is wrong, and what
    to do. `row` counts from 0 in what was given; it is None for a processor. `too_large` says that a limit refused it
    which the caller may have set.
    """

    def __init__(self, sentence: str, row: int | None = None, too_large: bool = False) -> None:
        super().__init__(sentence)
        self.row = row
        self.too_large = too_large
