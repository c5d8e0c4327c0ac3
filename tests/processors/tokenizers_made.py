"""Tokenizers made for the tests: small, and each of a kind that is in use."""

from __future__ import annotations

import json
from typing import Any

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "cafe", "the", "food", "!", ".", "##s", "<", ">", "br"]
PAD, UNK, CLS, SEP, GOOD, BAD, CAFE, THE, FOOD, MARK, DOT, S, LESS, MORE, BR = range(len(WORDS))


def bert() -> bytes:
    """Lower case without accents, pieces of words, [CLS] and [SEP] around."""
    tokenizer = Tokenizer(models.WordPiece({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(["[PAD]", "[CLS]", "[SEP]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    tokenizer.enable_truncation(3)  # what a file says about it is not ours
    tokenizer.enable_padding(direction="left", pad_id=PAD, length=9)
    return written(tokenizer)


def words(**normalizer: Any) -> bytes:
    """Words, without anything around; a normalizer as tokenizer.json has it."""
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "good": 1, "<pad>": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    document = json.loads(written(tokenizer))
    if normalizer:
        document["normalizer"] = normalizer
    return json.dumps(document).encode()


def slow() -> bytes:
    """A pattern for which `aaa...b` takes longer than the age of the universe, if nobody counts."""
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("(a+)+$"), "isolated")
    return written(tokenizer)


def written(tokenizer: Any) -> bytes:
    """Its tokenizer.json."""
    text: str = tokenizer.to_str()
    return text.encode()
