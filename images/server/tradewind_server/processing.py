"""Texts and pictures: what a user sends for them, and the tensors that the graph takes in their place.

The manifest says which processor an input has; the processors themselves are those that the training used.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping

import numpy as np

from tradewind.api.artefact import Manifest, Tensor, Tokenizer
from tradewind_processors import Picturing, Tokenizing, Unprocessable, joined
from tradewind_server.folder import Unservable
from tradewind_server.refusal import BadRequest, Failed, raise_limit, shown
from tradewind_server.tensors import Array, TensorSpec

IDS, MASK = "input_ids", "attention_mask"
# One grey pixel: what a model is tried with, and the example on its page.
EXAMPLE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
Graph = Mapping[str, TensorSpec]


class Processing:
    """The processors of a model. One without any takes what its graph takes."""

    def __init__(self, manifest: Manifest | None, files: Mapping[str, bytes], graph: Graph, max_pixels: int) -> None:
        """`graph` has the inputs of the ONNX graph, `files` the contents of what the processors name.

        Raises Unservable where they do not go together.
        """
        tensors = [tensor for tensor in (manifest.inputs if manifest else ()) if tensor.processor]
        self._max_pixels = max_pixels
        self._texts = tuple(tensor.name for tensor in tensors if tensor.processor and tensor.processor.tokenizer)
        self._tokenizing = _tokenizing(tensors, files)
        self._picturing = {tensor.name: made for tensor in tensors if (made := _picturing(tensor, max_pixels))}
        for tensor in tensors:
            if tensor.name not in self._picturing and tensor.name not in self._texts:
                raise Unservable(
                    f"model.json names a processor of {tensor.name!r} that this server does not know: use a server of"
                    " the version that wrote the model"
                )
        self._masks = MASK in graph
        self._given = tuple(graph)
        self._inputs = self._as_users_know(manifest, tensors, graph) if manifest and tensors else dict(graph)

    @property
    def inputs(self) -> dict[str, TensorSpec]:
        """What users send, in the order of the manifest."""
        return dict(self._inputs)

    def __bool__(self) -> bool:
        return bool(self._texts or self._picturing)

    def check_size(self, feeds: Mapping[str, Array]) -> None:
        """Refuses more pictures than a request may have, of whatever size they come."""
        pixels = sum(len(feeds[name]) * of.shape[0] * of.shape[1] for name, of in self._picturing.items())
        if pixels > self._max_pixels:
            raise BadRequest(
                f"the pictures of a request have {pixels} pixels together, as the model takes them; the limit is"
                f" {self._max_pixels}: send fewer rows in each request{raise_limit('maxPixels')}"
            )

    def __call__(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The graph's tensors of the user's inputs.

        Raises BadRequest, or Failed where memory is short, with the row and the input.
        """
        if not self:
            return dict(feeds)
        made = {name: array for name, array in feeds.items() if name in self._given and name not in self._picturing}
        made |= {name: _pixels(name, of, feeds[name]) for name, of in self._picturing.items()}
        if self._tokenizing:
            tokens = self._tokens(self._tokenizing, feeds)
            made |= {name: array for name, array in tokens.items() if name == IDS or self._masks}
        return made

    def _tokens(self, tokenizing: Tokenizing, feeds: Mapping[str, Array]) -> dict[str, Array]:
        columns = [feeds[name].ravel().tolist() for name in self._texts]
        try:
            return dict(tokenizing(columns[0] if len(columns) == 1 else joined(columns)))
        except Unprocessable as error:
            raise BadRequest(f"input {shown(self._texts[0])} in row {error.row}: {error}") from None

    def _as_users_know(self, manifest: Manifest, tensors: list[Tensor], graph: Graph) -> dict[str, TensorSpec]:
        replaced: dict[str, TensorSpec] = {}
        if self._tokenizing:
            _check(graph, IDS, "INT64", (self._tokenizing.length,))
            if self._masks:
                _check(graph, MASK, "INT64", (self._tokenizing.length,))
            replaced = {name: graph[name] for name in (IDS, MASK) if name in graph}
        for name, of in self._picturing.items():
            _check(graph, name, "UINT8", of.shape)
        known = {}
        for tensor in tensors:
            kind = "image" if tensor.name in self._picturing else "text"
            rows = graph[tensor.name if kind == "image" else IDS].axes[:1]
            known[tensor.name] = TensorSpec(
                tensor.name, "BYTES", rows, nullable=tensor.nullable, kind=kind, processed=True
            )
        left = {name: spec for name, spec in graph.items() if name not in replaced and name not in known}
        ordered = [tensor.name for tensor in manifest.inputs if tensor.name in known or tensor.name in left]
        return {name: known.get(name) or left[name] for name in dict.fromkeys([*ordered, *left])}


def _tokenizing(tensors: list[Tensor], files: Mapping[str, bytes]) -> Tokenizing | None:
    """The one tokenizer of all texts, if there are any."""
    found: dict[str, Tokenizer] = {
        tensor.name: tensor.processor.tokenizer for tensor in tensors if tensor.processor and tensor.processor.tokenizer
    }
    if not found:
        return None
    (name, first), *others = found.items()
    for other, tokenizer in others:
        if tokenizer != first:
            raise Unservable(
                f"model.json has texts with different tokenizers ({name!r} and {other!r}): make one text of them"
            )
    try:
        return Tokenizing(files[first.file], first.length)
    except Unprocessable as error:
        raise Unservable(f"{first.file} of {name!r}: {error}") from None


def _picturing(tensor: Tensor, max_pixels: int) -> Picturing | None:
    picture = tensor.processor.picture if tensor.processor else None
    if picture is None:
        return None
    try:
        return Picturing(picture.height, picture.width, picture.channels, picture.resize, max_pixels)
    except Unprocessable as error:
        raise Unservable(f"model.json describes {tensor.name!r} so: {error}") from None


def _check(graph: Graph, name: str, datatype: str, sizes: tuple[int, ...]) -> None:
    """Refuses a graph that does not take what the processor makes."""
    spec = graph.get(name)
    fits = (
        spec is not None
        and spec.datatype == datatype
        and len(spec.axes) == 1 + len(sizes)
        and isinstance(spec.axes[0], str)
        and all(isinstance(axis, str) or axis == size for axis, size in zip(spec.axes[1:], sizes, strict=True))
    )
    if not fits:
        has = f"{spec.datatype} {spec.shape}" if spec else f"only {', '.join(graph)}"
        raise Unservable(
            f"a processor of model.json makes {name!r} as {datatype} {[-1, *sizes]}, but the model has {has}"
        )


def _pixels(name: str, picturing: Picturing, values: Array) -> Array:
    pixels = np.zeros((len(values), *picturing.shape), dtype=np.uint8)
    for row, value in enumerate(values.ravel()):
        try:
            if value is not None:
                pixels[row] = picturing.one(decoded(value) if isinstance(value, str) else value)
        except Unprocessable as error:
            limit = raise_limit("maxPixels") if error.too_large else ""
            raise BadRequest(f"input {shown(name)} in row {row}: {error}{limit}") from None
        except MemoryError:
            raise Failed(
                f"input {shown(name)} in row {row}: the replica has too little memory for this picture: make it"
                " smaller, or raise spec.resources.memory of the ModelDeployment"
            ) from None
    return pixels


def decoded(text: str) -> bytes:
    """The bytes of base64, in one line or in several. Raises Unprocessable."""
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass
    try:
        return b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        hint = "give what `base64 -w0 FILE` prints"
        if text.startswith("data:"):
            hint = "leave out what stands before the comma, and the comma"
        elif "-" in text or "_" in text:
            hint = "write + and / where it has - and _"
        raise Unprocessable(f"expected base64, got {shown(text)}: {hint}") from None
