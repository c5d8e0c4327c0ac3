"""Texts as people and programs write them: the right tokens, or a sentence."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
import tokenizers_made
from tokenizers_made import BAD, BR, CAFE, CLS, DOT, FOOD, GOOD, LESS, MARK, MORE, PAD, SEP, THE, UNK, S

from tradewind_processors import Tokenizing, Unprocessable, joined

LENGTH = 8


@pytest.fixture(scope="module")
def bert() -> Tokenizing:
    return Tokenizing(tokenizers_made.bert(), LENGTH)


def tokens(of: Tokenizing, text: Any) -> list[int]:
    """Without the padding."""
    made = of(["good", text])
    ids, mask = made["input_ids"][1], made["attention_mask"][1]
    assert ids.dtype == mask.dtype == np.int64 and ids.shape == mask.shape == (of.length,)
    count = int(mask.sum())
    assert (ids[count:] == of.padding).all() and mask[:count].all()
    return list(map(int, ids[:count]))


# Each: a text, and its tokens between [CLS] and [SEP].
TEXTS: dict[str, tuple[str | None, list[int]]] = {
    "plain": ("The good foods!", [THE, GOOD, FOOD, S, MARK]),
    "empty": ("", []),
    "missing": (None, []),
    "only spaces": ("  \t\n\r\u00a0 ", []),
    "only unknown words": ("quux zap", [UNK, UNK]),
    "accents, composed": ("caf\u00e9", [CAFE]),
    "accents, combining": ("cafe\u0301", [CAFE]),
    "capitals": ("GOOD", [GOOD]),
    "full-width letters": ("\uff47\uff4f\uff4f\uff44", [UNK]),
    "emoji": ("good \U0001f600", [GOOD, UNK]),
    "family of emoji": ("\U0001f468\u200d\U0001f469\u200d\U0001f467 good", [UNK, GOOD]),
    "right to left": ("\u0637\u0639\u0627\u0645 good", [UNK, GOOD]),
    "marks of direction": ("\u202egood\u202c", [GOOD]),
    "Chinese": ("\u597d\u5403", [UNK, UNK]),
    "mixed scripts": ("\u0433\u043e\u043e\u0434 good \u826f", [UNK, GOOD, UNK]),
    "NUL": ("go\0od", [GOOD]),
    "NUL between": ("\0", []),
    "soft hyphen": ("go\u00adod", [GOOD]),
    "zero-width space": ("go\u200bod", [GOOD]),
    "byte order mark": ("\ufeffgood", [GOOD]),
    "replacement": ("good \ufffd", [GOOD]),
    "private use": ("\ue000 good", [GOOD]),
    "html": ("good<br>", [GOOD, LESS, BR, MORE]),
    "name of a token": ("good [SEP]", [GOOD, UNK, UNK, UNK]),
    "windows line ends": ("good\r\nbad", [GOOD, BAD]),
    "long": ("bad " * 10_000, [BAD] * (LENGTH - 2)),
    "a long word": ("good " + "x" * 10_000, [GOOD, UNK]),
    "a wall of spaces": (" " * 10_000 + "good", []),
    "marks": ("!.!", [MARK, DOT, MARK]),
}


@pytest.mark.parametrize("name", TEXTS)
def test_odd_texts_have_the_right_tokens(bert: Tokenizing, name: str) -> None:
    text, expected = TEXTS[name]
    assert tokens(bert, text) == [CLS, *expected, SEP]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("good \ud83d", "half of a surrogate pair"),
        (7, "expected a text, got int"),
        (True, "expected a text, got bool"),
        (b"good", "expected a text, got bytes"),
        (["good"], "expected a text, got list"),
    ],
)
def test_what_is_no_text_is_refused_with_its_row(bert: Tokenizing, text: Any, sentence: str) -> None:
    with pytest.raises(Unprocessable, match=sentence) as refusal:
        bert(["good", None, text])
    assert refusal.value.row == 2


def test_many_texts_are_as_one_by_one(bert: Tokenizing) -> None:
    texts = ["good " * (row % 7) for row in range(200)]
    together = bert(texts)
    for row, text in enumerate(texts):
        for name, array in bert([text]).items():
            np.testing.assert_array_equal(together[name][row], array[0])
    assert bert([])["input_ids"].shape == (0, LENGTH)


def test_a_copy_in_another_process_does_the_same(bert: Tokenizing) -> None:
    texts = [text for text, _ in TEXTS.values()]
    copy = pickle.loads(pickle.dumps(bert))  # noqa: S301 -- made here
    for name, array in bert(texts).items():
        np.testing.assert_array_equal(copy(texts)[name], array)


def test_the_padding_is_the_tokenizers() -> None:
    assert Tokenizing(tokenizers_made.bert(), LENGTH).padding == PAD
    found = Tokenizing(tokenizers_made.words(), 3)
    assert found(["good", ""])["input_ids"].tolist() == [[1, 2, 2], [2, 2, 2]]
    assert found(["good", ""])["attention_mask"].tolist() == [[1, 0, 0], [0, 0, 0]]
    assert found.vocabulary == 3


def test_a_length_without_room_for_a_token() -> None:
    Tokenizing(tokenizers_made.bert(), 3)
    with pytest.raises(Unprocessable, match="adds 2 tokens to each text: it must be at least 3"):
        Tokenizing(tokenizers_made.bert(), 2)
    with pytest.raises(Unprocessable, match="must be at least 1"):
        Tokenizing(tokenizers_made.words(), 0)


UNREADABLE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "is not JSON"),
    "a pickle": (b"\x80\x04\x95", "is not JSON"),
    "deeply nested": (b"[" * 100_000, "is not JSON"),
    "a list": (b"[]", 'has no "model"'),
    "a vocabulary alone": (b'{"good": 1}', 'has no "model"'),
    "an unknown model": (b'{"version": "1.0", "model": {"type": "Markov"}}', "can't be read"),
    "a pattern that is none": (
        tokenizers_made.words(type="Replace", pattern={"Regex": "(("}, content=""),
        "can't be read",
    ),
    "too large": (b" " * ((64 << 20) + 1), "has 67108865 bytes, the limit is 67108864"),
    "texts that grow": (
        tokenizers_made.words(type="Replace", pattern={"String": "a"}, content="b" * 100_000),
        "hundreds of times longer",
    ),
    "texts that grow step by step": (
        tokenizers_made.words(
            type="Sequence",
            normalizers=[{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}] * 60,
        ),
        "hundreds of times longer",
    ),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_tokenizer(name: str) -> None:
    content, sentence = UNREADABLE[name]
    with pytest.raises(Unprocessable) as refusal:
        Tokenizing(content, LENGTH)
    assert sentence in str(refusal.value)
    assert refusal.value.row is None
    assert len(str(refusal.value)) < 400


def test_a_tokenizer_that_fails_is_a_sentence() -> None:
    """Code in Rust that gives up does not raise an Exception."""
    slow = Tokenizing(tokenizers_made.slow(), LENGTH)
    with pytest.raises(Unprocessable, match="can't take this text") as refusal:
        slow(["fine", "a" * 500 + "b"])
    assert refusal.value.row == 1
    document = json.loads(tokenizers_made.words())
    document["model"]["unk_token"] = "?"
    with pytest.raises(Unprocessable, match="can't take this text"):
        Tokenizing(json.dumps(document).encode(), LENGTH)(["unknown"])


def test_texts_of_several_columns_are_one() -> None:
    titles, bodies = ["Good", None, None, ""], ["food", "bad", None, "x"]
    assert joined([titles, bodies]) == ["Good\nfood", "bad", None, "\nx"]
    assert joined([titles]) == titles
