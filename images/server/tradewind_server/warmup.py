"""Zeros for a model that brings no samples (for texts empty ones, for pictures one pixel): the sizes of its open axes
are guessed, and a wrong guess is no fault.

Inputs want sizes that no declaration says: a sound of 400 samples at least, an image of 224 pixels, a state as long as
the text. Each guess is tried until the model answers one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice, product

import numpy as np

from tradewind_server.processing import EXAMPLE
from tradewind_server.tensors import Array, TensorSpec

# A scalar, words, a small and a usual image, a long text, a second of sound.
_SIZES = (1, 16, 64, 224, 1024, 16_000)
_MOST_GUESSES = 200
_MOST_VALUES = 1 << 22  # of one input


def guesses(inputs: Sequence[TensorSpec], rows: int = 1) -> Iterator[dict[str, Array]]:
    """Zeros for all inputs, with so many rows: first all open axes of one size, then each name of a size of its own."""
    open_axes = dict.fromkeys(name for spec in inputs for name in _names(spec))
    first = {_names(spec)[0] for spec in inputs if spec.axes and not isinstance(spec.axes[0], int)}
    free = [name for name in open_axes if name not in first]
    fixed = dict.fromkeys(first, rows)
    together = (dict.fromkeys(free, size) for size in _SIZES[: len(_SIZES) if free else 1])
    apart = (dict(zip(free, sizes, strict=True)) for sizes in product(_SIZES, repeat=len(free)) if len(set(sizes)) > 1)
    for sizes in islice(chain(together, apart), _MOST_GUESSES):
        shapes = {spec.name: _shape(spec, fixed | sizes) for spec in inputs}
        if all(math.prod(shape) <= _MOST_VALUES for shape in shapes.values()):
            yield {spec.name: _zeros(spec, shapes[spec.name]) for spec in inputs}


def _names(spec: TensorSpec) -> list[str]:
    """Names of the open axes; one without a name is like no other."""
    return [axis or f"{spec.name}[{at}]" for at, axis in enumerate(spec.axes) if isinstance(axis, str)]


def _shape(spec: TensorSpec, sizes: Mapping[str, int]) -> list[int]:
    return [axis if isinstance(axis, int) else sizes[axis or f"{spec.name}[{at}]"] for at, axis in enumerate(spec.axes)]


def _zeros(spec: TensorSpec, shape: list[int]) -> Array:
    if spec.is_picture:
        return np.full(shape, EXAMPLE, dtype=object)
    return np.full(shape, "", dtype=object) if spec.datatype == "BYTES" else np.zeros(shape, dtype=spec.dtype)
