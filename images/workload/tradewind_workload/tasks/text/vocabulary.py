"""A tokenizer of the training texts' own: pieces of words, learned by byte-pair encoding, as a tokenizer.json.

Normalising is a part of it, so that serving does the same: compatibility forms become plain ones (NFKC), control
characters go, capitals become small, and Chinese characters stand each for itself.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DEFAULT_SIZE = 20_000
PADDING, UNKNOWN = "[PAD]", "[UNK]"
FIRST = 2  # the first id that is a token of texts
OFTEN = 2  # a piece that occurs once says nothing about another text
LONGEST = 10_000  # characters of a text that are learned from: one that is longer must not count for many


def learn(texts: Iterable[str | None], size: int) -> bytes:
    """The content of tokenizer.json: at most `size` tokens, of which 0 is padding and 1 what is unknown.

    The same texts give the same bytes, in whatever order they come.
    """
    normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.BertNormalizer(clean_text=True, strip_accents=False, lowercase=True)]
    )
    # A mark at the beginning of a word, and none on the pieces behind it: `tokenizers` would number those in the order
    # of a hash map, and break ties by that, otherwise in every process.
    splitter = pre_tokenizers.Sequence(
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Metaspace(prepend_scheme="always", split=False)]
    )
    plain = [normalizer.normalize_str(text[:LONGEST]) for text in texts if text is not None]
    known = _characters(plain, size // 2)
    tokenizer: Any = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=OFTEN,
        special_tokens=[PADDING, UNKNOWN],
        show_progress=False,
    )
    rare = {ord(character): " " for character in set().union(*plain) - known}
    tokenizer.train_from_iterator((text.translate(rare) for text in plain), trainer)
    return bytes(tokenizer.to_str().encode())


def _characters(texts: Sequence[str], most: int) -> set[str]:
    """The characters that occur often enough to be tokens: never more than leave room for pieces of words."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    common = sorted((-count, character) for character, count in counts.items() if count >= OFTEN)
    return {character for _, character in common[:most]}
