"""ONNX Runtime as the server uses it: sessions, and what they answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

BATCH = 256
MASK = "attention_mask"  # an input of 1 for each token of a text, and of 0 behind them
TOKENS = 4096  # of texts in a batch: for each, a transformer takes 50 KB and more


def open_session(model: Path | bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """A session on the CPU with so many threads. Raises Fault(InvalidModel) where the file is no model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0"
    )  # a spinning thread takes a small pod's only core
    try:
        return onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # noqa: BLE001 -- ONNX Runtime's errors have no common class
        said = " ".join(str(error).split())[:300]
        raise Fault(
            "InvalidModel",
            f"{model if isinstance(model, Path) else 'the model'} can't be loaded by ONNX Runtime: {said}",
        ) from None


def ask(session: onnxruntime.InferenceSession, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All outputs by name, of the values of at least one row by the name of the input; rows first."""
    return joined(asked(session, [feeds]))


def ask_by_length(session: onnxruntime.InferenceSession, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """As `ask`, with texts of about one length in a batch: a graph computes as far as the longest of them goes."""
    if MASK not in feeds:
        return ask(session, feeds)
    order = np.argsort(feeds[MASK].sum(1), kind="stable")
    answers, back = ask(session, {name: values[order] for name, values in feeds.items()}), np.argsort(order)
    return {name: values[back] for name, values in answers.items()}


def asked(
    session: onnxruntime.InferenceSession, pieces: Iterable[Mapping[str, np.ndarray]], most: int = BATCH
) -> Iterator[dict[str, np.ndarray]]:
    """The outputs of rows that come a few at a time, a batch at a time: the batches are those of `ask` of all rows.

    A batch has so many rows at most.
    """
    names = [output.name for output in session.get_outputs()]
    for feeds in _batches(pieces, most):
        yield dict(zip(names, session.run(names, feeds), strict=True))


def batch_of(onnx: bytes) -> int:
    """The most rows that a graph may be asked at a time so that each is answered as if it were alone.

    What a dynamically quantised one rounds by is the largest value of all rows of a request. A server computes no rows
    of several requests together there, and a request has one.
    """
    return 1 if b"DynamicQuantize" in onnx else BATCH


def joined(parts: Iterable[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The values of all, by name."""
    found = list(parts)
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def in_8_bits(onnx: bytes) -> bool:
    """Whether a graph rounds what flows in it to 8 bits."""
    return b"QuantizeLinear" in onnx


def _batches(pieces: Iterable[Mapping[str, np.ndarray]], most: int) -> Iterator[dict[str, np.ndarray]]:
    left: dict[str, np.ndarray] = {}
    for piece in pieces:
        feeds = joined([left, piece]) if left else dict(piece)
        first = next(iter(feeds.values()))
        batch = most if first.dtype != np.int64 or first.ndim != 2 else max(1, min(most, TOKENS // first.shape[1]))
        whole = len(first) - len(first) % batch
        for start in range(0, whole, batch):
            yield {name: values[start : start + batch] for name, values in feeds.items()}
        left = {name: values[whole:] for name, values in feeds.items()} if whole < len(first) else {}
    if left:
        yield left
