"""Golden samples: what a model was asked when it was stored is asked again, and must be answered alike.

A wrong kernel, another version of a runtime, a processor without the instructions that a quantised model needs: each
would answer wrongly, and fast, with a green status.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from pydantic import ValidationError
from pydantic_core import from_json

from tradewind.api.artefact import SAMPLES, Samples
from tradewind_server import columns
from tradewind_server.folder import Unservable
from tradewind_server.refusal import BadRequest, shown
from tradewind_server.tensors import Array, TensorSpec

log = logging.getLogger(__name__)

Run = Callable[[Mapping[str, Array]], dict[str, Array]]


def read(content: bytes, listed: bool) -> Samples | None:
    """The samples. A file of that name which no manifest lists may be anything: None if it has no instances.

    Raises Unservable.
    """
    try:
        document = from_json(content)
        found = Samples.read(document)
    except (ValueError, ValidationError):
        if listed:
            raise Unservable(
                f"{SAMPLES} is listed in model.json, but has no instances: store the model again"
            ) from None
        log.warning("%s is passed over: it has no list of instances", SAMPLES)
        return None
    return found if found.instances else None


def replay(samples: Samples, inputs: Mapping[str, TensorSpec], run: Run) -> dict[str, Array]:
    """Asks the model, and compares. Returns its outputs. Raises Unservable with the first difference."""
    rows = len(samples.instances)
    fixed = [spec.axes[0] for spec in inputs.values() if spec.axes and isinstance(spec.axes[0], int)]
    size = fixed[0] if fixed and isinstance(fixed[0], int) else rows
    parts: list[dict[str, Array]] = []
    for start in range(0, rows, size):
        some = list(samples.instances[start : start + size])
        try:
            parts.append(run(columns.of_rows(inputs, some, rows)))
        except BadRequest as refusal:
            raise Unservable(f"{SAMPLES} is not for this model: {refusal}") from None
    for part in parts[1:]:
        if part.keys() != parts[0].keys():
            raise Unservable(f"{SAMPLES}: the model gives other outputs for other rows")
    found = {name: np.concatenate([np.atleast_1d(part[name]) for part in parts]) for name in parts[0]}
    for name, expected in samples.outputs.items():
        if name not in found:
            raise Unservable(f"{SAMPLES} expects the output {shown(name)}, and the model has only {', '.join(found)}")
        _compare(name, expected, found[name], samples.tolerance)
    return found


def _compare(name: str, expected: Any, found: Array, tolerance: float) -> None:
    try:
        wanted = np.array(expected, dtype=found.dtype)
    except (TypeError, ValueError, OverflowError):
        raise Unservable(f"{SAMPLES}: what is expected of {shown(name)} is not {found.dtype}") from None
    if wanted.shape != found.shape:
        raise Unservable(f"{SAMPLES} expects {shown(name)} of shape {wanted.shape}, and the model gives {found.shape}")
    if found.dtype.kind == "f":
        same = np.isclose(found, wanted, rtol=tolerance, atol=tolerance, equal_nan=True)
    else:
        same = np.equal(found, wanted).astype(bool)
    if same.all():
        return
    row = int(np.argwhere(~same)[0][0]) if same.ndim else 0
    raise Unservable(
        f"the model does not answer its golden samples as it did when it was stored: row {row} of {SAMPLES} gives"
        f" {shown(name)} {shown(found[row].tolist())}, and gave {shown(wanted[row].tolist())} then (floats may be"
        f" off by {tolerance:g}). Make the model again for this kind of processor, or serve it where it was made"
    )
