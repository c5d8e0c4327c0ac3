"""The family of models that read texts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind_processors import Tokenizing
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import WEIGHTS
from tradewind_workload.io.places import local_path
from tradewind_workload.io.retries import read_whole
from tradewind_workload.tasks.text import folder as folders
from tradewind_workload.tasks.text import vocabulary
from tradewind_workload.tasks.text.reading import Reading, texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa
    import torch

    from tradewind.api.artefact import Tensor
    from tradewind.api.trainingjob import Architecture, Recipe
    from tradewind_workload.data.preparation import Prepared
    from tradewind_workload.heads.answer import Answer
    from tradewind_workload.tasks.text.folder import Folder
    from tradewind_workload.tasks.text.model import TextModel

LEARNT = 100_000  # texts at most that a vocabulary is learnt from, and lengths are seen of
COVERED = 0.99  # share of the training texts that are read whole, where maxTokens is left out
MOST_TOKENS, MOST_TOKENS_OF_TRANSFORMER = 512, 256  # where maxTokens is left out
SHORTEST = 8  # tokens, as maxTokens has it at least
CHUNK = 1024  # texts that are measured at once


@dataclass(frozen=True)
class Text:
    """What was fitted: how texts are read, and the transformer that is to be fine-tuned, if any."""

    reading: Reading
    tokens: int  # every token's id is below it
    folder: Folder | None
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Tokens of a text."""
        return (self.reading.length,)

    @property
    def scaled(self) -> bool:
        """Tokens have no scale."""
        return True

    def became(self, columns: tuple[str, ...]) -> dict[str, str]:
        """What the network gets of each column, in words."""
        of = "its text" if len(self.reading.columns) == 1 else "a line of the text"
        told = f"{of}, of which {self.reading.length} tokens are read"
        return dict.fromkeys(columns, told)

    def written(self) -> str:
        """The columns, the length, and hashes of the tokenizer and of the weights that are started from."""
        tokenizer = hashlib.sha256(self.reading.tokenizer).hexdigest()
        return repr((self.reading.columns, self.reading.length, tokenizer, self.folder and self.folder.digest))

    def rows(self, table: pa.Table) -> np.ndarray:
        """Tokens, int32 [n, length], with -1 behind the last one."""
        return self.reading.rows(table)

    def feeds(self, table: pa.Table) -> dict[str, np.ndarray]:
        """Tokens and their mask."""
        return self.reading.tokens(table)

    def instances(self, table: pa.Table) -> list[Any]:
        """Objects by the columns' names."""
        return self.reading.instances(table)

    def network(self, architecture: Architecture, outputs: int, seed: int) -> torch.nn.Module:
        """A bag, convolutions, or the transformer with a new layer of answers."""
        if self.folder is not None:
            from tradewind_workload.tasks.text import transformer

            return transformer.build(self.folder, architecture, outputs, seed)
        from tradewind_workload.tasks.text import network

        return network.build(architecture, self.tokens, outputs, seed)

    def stored(self, architecture: Architecture, outputs: int, tensors: Mapping[str, torch.Tensor]) -> torch.nn.Module:
        """See Fitted."""
        from tradewind_workload.tasks.stored import filled

        return filled(self.network(architecture, outputs, 0), tensors)

    def augment(self) -> None:
        """A text stays as it is."""

    def model(self, network: Any, answer: Answer) -> TextModel:
        """With an input for each column, and the tokenizer beside the graph."""
        from safetensors.torch import save

        from tradewind_workload.tasks.text.graph import to_onnx
        from tradewind_workload.tasks.text.model import TextModel

        network.eval()
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
        files = {WEIGHTS: save(weights), folders.TOKENIZER: self.reading.tokenizer}
        if self.folder is not None:
            files[folders.CONFIG] = self.folder.config
        return TextModel(to_onnx(network, self.reading.length, answer), files, self.reading, answer)


def fit(prepared: Prepared, recipe: Recipe) -> Text:
    """The tokenizer, learnt from the training texts alone or the transformer's own, and how long a text may be.

    Raises Fault(InvalidData) where there is nothing to read, and Fault(InvalidModel) where the folder has no
    transformer.
    """
    assert prepared.schema is not None
    columns = tuple(column.name for column in prepared.schema.inputs)
    model, rows = recipe.model, len(prepared.train)
    chosen = np.arange(rows)
    if rows > LEARNT:
        chosen = np.sort(np.random.default_rng([recipe.seed, 5]).choice(rows, LEARNT, replace=False))
    known = texts(prepared.train.take(chosen).table(), columns)
    if not any(text is not None and text.strip() for text in known):
        raise Fault(
            "InvalidData",
            f"no training row has a text in {_named(columns)}: correct the data, or name the column with the texts in "
            "spec.data.inputs.",
        )
    folder = None
    if model.storage_uri is not None:
        folder = folders.look(local_path(model.storage_uri), model.storage_uri)
        tokenizer = folder.tokenizer
    else:
        tokenizer = vocabulary.learn(known, model.vocabulary_size or vocabulary.DEFAULT_SIZE)
    most = _most_tokens(model, folder)
    lengths = _lengths(tokenizer, most, known)
    length = most if model.max_tokens is not None else max(SHORTEST, int(np.ceil(np.quantile(lengths, COVERED))))
    reading = Reading(columns, tokenizer, min(length, most))
    tokens = Tokenizing(tokenizer, most).vocabulary
    return Text(reading, tokens, folder, tuple(_notes(reading, tokens, lengths, folder)))


def read(inputs: tuple[Tensor, ...], folder: Path) -> Text:
    """Of a finished model with these inputs, whose tokenizer lies in that folder, and its configuration if it has one.

    Raises ValueError where the inputs are no texts, and StorageUnavailable.
    """
    tokenizer = inputs[0].processor.tokenizer if inputs[0].processor is not None else None
    if tokenizer is None:
        raise ValueError(f"{inputs[0].name} has no tokenizer")
    content = read_whole(folder / tokenizer.file)
    reading = Reading(tuple(tensor.name for tensor in inputs), content, tokenizer.length)
    config = folders.of_model(folder, content)
    return Text(reading, Tokenizing(content, tokenizer.length).vocabulary, config)


def _most_tokens(model: Architecture, folder: Folder | None) -> int:
    """Tokens that are read of a text at most. Raises Fault(InvalidModel) where the transformer lacks the place."""
    if folder is None:
        return model.max_tokens or MOST_TOKENS
    if model.max_tokens is not None and model.max_tokens > folder.most_tokens:
        raise Fault(
            "InvalidModel",
            f"spec.recipe.model.maxTokens is {model.max_tokens}, and the transformer of {folder.uri} has no place for "
            f"more than {folder.most_tokens}: lower it, or take another transformer.",
        )
    return model.max_tokens or min(MOST_TOKENS_OF_TRANSFORMER, folder.most_tokens)


def _lengths(tokenizer: bytes, most: int, known: list[str | None]) -> np.ndarray:
    """Tokens of each text, int64 [n]; `most` + 1 where a text has more than `most`."""
    made = Tokenizing(tokenizer, most + 1)
    parts = (made(known[start : start + CHUNK]) for start in range(0, len(known), CHUNK))
    return np.concatenate([part["attention_mask"].sum(1) for part in parts])


def _notes(reading: Reading, tokens: int, lengths: np.ndarray, folder: Folder | None) -> Iterator[str]:
    several = len(reading.columns) > 1
    yield f"texts are read from {_named(reading.columns)}{', one line each' if several else ''}"
    if folder is None:
        yield f"{tokens} tokens were learnt from {len(lengths)} training texts"
    longer = int((lengths > reading.length).sum())
    cut = f"; {longer} of {len(lengths)} training texts have more, of which the model sees only the beginning"
    most = " (spec.recipe.model.maxTokens reads more of them)"
    yield f"{reading.length} tokens are read of a text{cut + most if longer else ''}"


def _named(columns: tuple[str, ...]) -> str:
    named = " and ".join(repr(name) for name in columns)
    return f"the columns {named}" if len(columns) > 1 else f"the column {named}"
