"""The folder that a transformer is fine-tuned from: what must be in it, what it says of itself. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tradewind_processors import Tokenizing, Unprocessable
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import WEIGHTS
from tradewind_workload.io.retries import patiently, read_whole

if TYPE_CHECKING:
    from pathlib import Path

CONFIG, TOKENIZER = "config.json", "tokenizer.json"
FIELD = "spec.recipe.model.storageUri"
# Families that number the tokens of a text from the number after that of the padding token.
_LATE = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "data2vec-text")


@dataclass(frozen=True)
class Folder:
    """A transformer's folder, looked at; the weights are read by those that train."""

    path: Path
    uri: str  # as the user names it, for messages
    config: bytes
    tokenizer: bytes
    digest: str  # SHA-256 of the weights
    most_tokens: int  # of a text; the model has no place for more
    bare: bool = False  # whether its weights are another's, and those of the whole network come from there


def look(path: Path, uri: str) -> Folder:
    """Look at a folder. Raises Fault(InvalidModel) in a sentence that says what it lacks, StorageUnavailable."""
    if not path.is_dir():
        raise Fault("InvalidModel", f"{FIELD} {uri} is no folder: correct it, or put the transformer's files there.")
    there = {file.name for file in path.iterdir()}
    if lacking := [name for name in (CONFIG, WEIGHTS, TOKENIZER) if name not in there]:
        raise Fault("InvalidModel", f"{FIELD} {uri} has no {' and no '.join(lacking)}{_remedy(lacking, there)}")
    config, tokenizer = (read_whole(path / name) for name in (CONFIG, TOKENIZER))
    known = _settings(config, uri)
    vocabulary = _vocabulary(tokenizer, uri)
    if vocabulary > int(known["vocab_size"]):
        raise Fault(
            "InvalidModel",
            f"{TOKENIZER} of {uri} has {vocabulary} tokens, and {CONFIG} says that the model knows "
            f"{known['vocab_size']}: the two are not of one model.",
        )
    late = int(known.get("pad_token_id") or 0) + 1 if known["model_type"] in _LATE else 0
    digest = patiently(lambda: _digest(path / WEIGHTS), path / WEIGHTS)
    return Folder(path, uri, config, tokenizer, digest, int(known["max_position_embeddings"]) - late)


def of_model(path: Path, tokenizer: bytes) -> Folder | None:
    """That of a finished model; None where it has no transformer. Raises StorageUnavailable."""
    try:
        config = read_whole(path / CONFIG)
    except FileNotFoundError:
        return None
    return Folder(path, str(path), config, tokenizer, "", 0, bare=True)


def _remedy(lacking: list[str], there: set[str]) -> str:
    if "model.safetensors.index.json" in there:
        return ": it has its weights in several files; save them as one (save_pretrained with a large max_shard_size)."
    if WEIGHTS in lacking and any(name.endswith((".bin", ".pt", ".pth", ".h5", ".msgpack")) for name in there):
        return (
            ": weights are read from safetensors alone, since the other kinds can run code or are of other libraries; "
            "load it where you trust it and save it again (save_pretrained)."
        )
    return ". It needs all three, as save_pretrained of the model and of its fast tokenizer writes them."


def _settings(config: bytes, uri: str) -> dict[str, Any]:
    try:
        known = json.loads(config)
        assert isinstance(known, dict)
    except (ValueError, AssertionError):
        raise Fault("InvalidModel", f"{CONFIG} of {uri} is no JSON object: copy the folder again.") from None
    lacking = [name for name in ("model_type", "vocab_size", "max_position_embeddings") if not known.get(name)]
    if lacking or known.get("is_encoder_decoder"):
        why = "is of a model that writes texts too" if not lacking else f"does not say {' and '.join(lacking)}"
        raise Fault(
            "InvalidModel",
            f"{CONFIG} of {uri} {why}, and what is fine-tuned here reads texts: take an encoder, such as BERT, "
            "RoBERTa, DistilBERT or MiniLM.",
        )
    return known


def _vocabulary(tokenizer: bytes, uri: str) -> int:
    try:
        return Tokenizing(tokenizer, 512).vocabulary
    except Unprocessable as error:
        raise Fault("InvalidModel", f"{TOKENIZER} of {uri}: {error}") from None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
