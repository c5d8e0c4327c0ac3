"""Texts to tokens, by the tokenizer.json of Hugging Face's `tokenizers`, all of one length."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from tradewind_processors.refusal import Unprocessable

MOST_BYTES = 64 << 20  # of a tokenizer.json; those of large language models have about 20 MiB
# A token stands for four or five characters of common text. What is behind so many can't be among the first tokens,
# unless somebody wants to use up the processor.
_CHARACTERS_OF_A_TOKEN = 64
# How much longer a normalizer may make a text, step by step; those in use make it at most a few times longer.
_MOST_GROWTH = 256
_BATCH = 64  # encodings of whole texts take a hundred times their tokens
_PADDINGS = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>")


class Tokenizing:
    """A callable from texts to `input_ids` and `attention_mask`.

    Of each text the first `length` tokens are kept, those that the tokenizer adds ([CLS], [SEP]) among them; shorter
    ones are filled up with the padding token at the end, whatever tokenizer.json says about truncation and padding. A
    token's name within a text ("[SEP]") is text like any other. Only the first 64 characters for each token of
    `length` are looked at, so that a text of any size costs the same.
    """

    def __init__(self, tokenizer_json: bytes, length: int) -> None:
        """Raises Unprocessable for what is no tokenizer.json, and a length without room for a token."""
        if len(tokenizer_json) > MOST_BYTES:
            raise Unprocessable(
                f"the tokenizer has {len(tokenizer_json)} bytes, the limit is {MOST_BYTES}: use a smaller vocabulary"
            )
        self.content = tokenizer_json
        self.length = length
        self._tokenizer = _read(tokenizer_json)
        added = self._tokenizer.num_special_tokens_to_add(False)
        if length <= added:
            raise Unprocessable(
                f"the length is {length}, and the tokenizer adds {added} tokens to each text: it must be at least"
                f" {added + 1}"
            )
        self.padding = _padding(self._tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(length)
        self._tokenizer.encode_special_tokens = True
        self._characters = length * _CHARACTERS_OF_A_TOKEN

    def __reduce__(self) -> tuple[type[Tokenizing], tuple[bytes, int]]:
        """A pickle has the file. `tokenizers`' own leaves out that a token's name within a text is text."""
        return Tokenizing, (self.content, self.length)

    @property
    def vocabulary(self) -> int:
        """The number of different tokens: every id is below it."""
        return 1 + max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=0)

    def __call__(self, texts: Sequence[str | None]) -> dict[str, NDArray[np.int64]]:
        """`input_ids` and `attention_mask` (1 for a token, 0 for padding), both [len(texts), length].

        None is a missing text, and becomes what an empty one does. Raises Unprocessable with the row of the first text
        that can't be taken.
        """
        ids = np.full((len(texts), self.length), self.padding, dtype=np.int64)
        mask = np.zeros((len(texts), self.length), dtype=np.int64)
        for row, tokens in enumerate(self._tokens([self._taken(text, row) for row, text in enumerate(texts)])):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        return {"input_ids": ids, "attention_mask": mask}

    def _taken(self, text: Any, row: int) -> str:
        if text is None:
            return ""
        if not isinstance(text, str):
            raise Unprocessable(f"expected a text, got {type(text).__name__}", row)
        beginning: str = text[: self._characters]
        try:
            beginning.encode()
        except UnicodeEncodeError:
            raise Unprocessable("the text has half of a surrogate pair in it: write it as UTF-8", row) from None
        return beginning

    def _tokens(self, texts: list[str]) -> Iterator[list[int]]:
        for start in range(0, len(texts), _BATCH):
            some = texts[start : start + _BATCH]
            found, error = _tried(lambda some=some: self._tokenizer.encode_batch_fast(some))
            if error is None:
                yield from (encoding.ids for encoding in found)
                continue
            for row, text in enumerate(some, start):
                encoding, error = _tried(lambda text=text: self._tokenizer.encode(text))
                if error is not None:
                    raise Unprocessable(f"the tokenizer can't take this text: {error}", row)
                yield encoding.ids


def joined(columns: Sequence[Sequence[str | None]]) -> list[str | None]:
    """The texts of several columns as one text a row: those that are there, each on a line of its own."""
    return [
        "\n".join(there) if (there := [text for text in row if text is not None]) else None
        for row in zip(*columns, strict=True)
    ]


def _tried(call: Any) -> tuple[Any, str | None]:
    """What a call of `tokenizers` gives, or what is wrong. Code in Rust that panics raises no Exception."""
    try:
        return call(), None
    except Exception as error:  # noqa: BLE001 -- `tokenizers` raises Exception itself
        return None, _short(error)
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        return None, _short(error)


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


def _read(content: bytes) -> Any:
    try:
        document = json.loads(content)
    except MemoryError:
        raise Unprocessable("the tokenizer takes more memory than there is: use a smaller vocabulary") from None
    except (ValueError, RecursionError) as error:
        raise Unprocessable(
            f"the tokenizer is not JSON ({_short(error)}): give a tokenizer.json, as `tokenizers` writes it"
        ) from None
    if not isinstance(document, dict) or not isinstance(document.get("model"), dict):
        raise Unprocessable('the tokenizer has no "model": give a tokenizer.json, as `tokenizers` writes it')
    if _growth(document.get("normalizer")) > _MOST_GROWTH:
        raise Unprocessable(
            "the tokenizer's normalizer may make a text hundreds of times longer: write short texts in its Replace and"
            " Prepend"
        )
    found, wrong = _tried(lambda: Tokenizer.from_buffer(content))
    if wrong is not None:
        raise Unprocessable(f"the tokenizer can't be read: {wrong}")
    return found


def _growth(normalizer: Any) -> int:
    """At most so many times longer a text becomes."""
    if not isinstance(normalizer, dict):
        return 1
    growth = 1
    for put in (normalizer.get("content"), normalizer.get("prepend")):
        if isinstance(put, str):
            growth *= max(1, len(put))
    steps = normalizer.get("normalizers")
    for step in steps if isinstance(steps, list) else ():
        growth = min(growth * _growth(step), 2 * _MOST_GROWTH)
    return growth


def _padding(tokenizer: Any) -> int:
    """The id of the padding token: as the file says, or of a usual name, or 0. The mask says that it is none."""
    if tokenizer.padding:
        return int(tokenizer.padding["pad_id"])
    return next((found for name in _PADDINGS if (found := tokenizer.token_to_id(name)) is not None), 0)
