"""The family of models that read texts: the same in training, in the graph and through the server's processor."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
import torch
from jobs import SOURCES
from tables import schema_of

from tradewind.api.trainingjob import Architecture, Recipe
from tradewind_processors import Tokenizing, joined
from tradewind_workload.export import inference
from tradewind_workload.export.inference import open_session
from tradewind_workload.heads.answer import Classes, Value
from tradewind_workload.io.fault import Fault
from tradewind_workload.tasks.text.family import Text, fit
from tradewind_workload.tasks.text.graph import to_onnx
from tradewind_workload.tasks.text.network import build
from tradewind_workload.tasks.text.reading import NOTHING
from tradewind_workload.tasks.text.vocabulary import learn

if TYPE_CHECKING:
    from pathlib import Path

    from tradewind_workload.tasks.text.model import TextModel

PRAISE = ("good", "lovely", "fresh", "tasty", "great value")
BLAME = ("bad", "stale", "bitter", "broken", "too expensive")
LABELS = ("other", "great")

ODD: dict[str, str | None] = {
    "missing": None,
    "empty": "",
    "only spaces": "  \t\n ",
    "only unknown signs": "\u16a0\u16a2\u16a6",
    "one word": "good",
    "capitals": "GOOD COFFEE",
    "full width": "\uff27\uff2f\uff2f\uff24",
    "ligature": "\ufb01ne",
    "emoji": "good \U0001f600\U0001f44d\U0001f3fd",
    "flag and joiner": "\U0001f3f3\ufe0f\u200d\U0001f308",
    "NUL": "go\x00od",
    "escape": "\x1b[31mgood",
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
    "bidirectional marks": "\u202egood\u202c",
    "Thai without spaces": "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35" * 40,
    "Chinese": "\u597d\u5403\u7684\u5496\u5561",
    "composed": "caf\u00e9",
    "decomposed": "cafe\u0301",
    "byte order mark": "\ufeffgood",
    "HTML": "<p>good &amp; <b>fresh</b></p>",
    "a name of a token": "[PAD] [UNK] [CLS]",
    "one long word": "a" * 5000,
    "many words": "good bad " * 3000,
    "line breaks": "good\r\nbad\u2028good",
    "quotes": '"good", \'bad\'; DROP TABLE',
    "private use and unassigned": "\ue000\U000e0001",
}  # fmt: skip


@dataclass
class Held:
    """Rows as the family sees them."""

    held: pa.Table

    def __len__(self) -> int:
        return self.held.num_rows

    def take(self, numbers: np.ndarray) -> Held:
        return Held(self.held.take(numbers))

    def table(self) -> pa.Table:
        return self.held


@dataclass
class Prepared:
    train: Held
    schema: Any


def reviews(rows: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    random = np.random.default_rng(seed)
    classes = random.integers(0, 2, rows)
    said = [
        f"I bought the {random.choice(['coffee', 'tea', 'bread'])} and it was "
        f"{' and '.join(random.choice((BLAME, PRAISE)[label], 3))}, {random.choice(['thanks', 'bye', 'number 4'])}."
        for label in classes
    ]
    return said, classes


def table(**columns: list[str | None]) -> pa.Table:
    return pa.table({name: pa.array(texts, pa.string()) for name, texts in columns.items()})


def recipe(architecture: str = "bag", **model: Any) -> Recipe:
    return Recipe.model_validate({"task": "text-classification", "model": {"architecture": architecture} | model})


def fitted(rows: pa.Table, asked: Recipe | None = None) -> Text:
    schema = schema_of(dict.fromkeys(rows.column_names, "text"))
    return fit(Prepared(Held(rows), schema), asked or recipe())  # type: ignore[arg-type]


def answers(model: TextModel, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model.onnx, providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in model.outputs]
    return dict(zip(names, session.run(names, feeds), strict=True))


def as_served(model: TextModel, files: dict[str, bytes], sent: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """What the server makes of rows by name: model.json alone says how."""
    inputs = [json.loads(tensor.model_dump_json(by_alias=True, exclude_none=True)) for tensor in model.inputs]
    made = {json.dumps(tensor["processor"], sort_keys=True) for tensor in inputs}
    (said,) = made
    tokenizer = json.loads(said)["tokenizer"]
    texts = joined([[row.get(tensor["name"]) for row in sent] for tensor in inputs])
    return Tokenizing(files[tokenizer["file"]], tokenizer["length"])(texts)


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small transformer with random weights, as Hugging Face's libraries save it."""
    return made_transformer(tmp_path_factory.mktemp("volumes") / "claim" / "bert", reviews(200)[0])


def made_transformer(folder: Path, texts: list[str], **settings: Any) -> Path:
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    folder.mkdir(parents=True)
    tokens: Any = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 -- the name of a token
    tokens.normalizer, tokens.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokens.train_from_iterator(
        texts, trainers.WordPieceTrainer(vocab_size=200, special_tokens=names, show_progress=False)
    )
    tokens.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokens.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=tokens.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        **settings,
    )
    transformers.BertModel(config).save_pretrained(folder)
    return folder


def asked_of(kind: str, transformer: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    if kind != "transformer":
        return recipe(kind)
    monkeypatch.setenv("TRADEWIND_PVC_ROOT", str(transformer.parent.parent))
    return recipe(kind, storageUri="pvc://claim/bert")


@pytest.mark.parametrize("answer", [Classes(LABELS), Value(3.0, 2.0)], ids=["classes", "value"])
@pytest.mark.parametrize("kind", ["bag", "cnn", "transformer"])
def test_odd_texts_are_answered_as_in_training(
    kind: str, answer: Classes | Value, transformer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asked_of(kind, transformer, monkeypatch)
    found = fitted(table(review=[*reviews(200)[0], *ODD.values()]), asked)
    network = found.network(asked.model, answer.width, 1)
    for weight in network.parameters():  # what starts with zeros must count, too
        torch.nn.init.normal_(weight, std=0.3)
    model = found.model(network, answer)
    rows = table(review=list(ODD.values()))
    with torch.inference_mode():
        expected = answer.decoded(network.eval()(torch.from_numpy(found.rows(rows))).numpy())
    together = answer.among(answers(model, model.feeds(rows)))
    np.testing.assert_allclose(together, expected, atol=2e-5, rtol=2e-5)
    sent = json.loads(json.dumps(model.instances(rows)))
    for i, name in enumerate(ODD):
        alone = answer.among(answers(model, as_served(model, model.weights, sent[i : i + 1])))
        np.testing.assert_allclose(alone[0], expected[i], atol=2e-5, rtol=2e-5, err_msg=name)


@pytest.mark.parametrize("kind", ["bag", "cnn", "transformer"])
def test_a_network_learns_what_texts_say(kind: str, transformer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asked_of(kind, transformer, monkeypatch)
    texts, classes = reviews(400)
    found = fitted(table(review=list(texts)), asked)
    network = found.network(asked.model, 2, 0)
    rows, labels = torch.from_numpy(found.rows(table(review=list(texts)))), torch.from_numpy(classes)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.005)
    torch.manual_seed(0)
    for _ in range(6):
        for part in torch.randperm(400).split(32):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(rows[part]), labels[part]).backward()
            optimizer.step()
    unseen, truth = reviews(200, seed=9)
    model = found.model(network, Classes(LABELS))
    told = answers(model, model.feeds(table(review=list(unseen))))
    assert np.mean(told["label"] == truth) > 0.95
    np.testing.assert_array_equal(told["label"], told["probabilities"].argmax(1))


@pytest.mark.parametrize("kind", ["bag", "cnn", "transformer"])
def test_the_same_seed_gives_the_same_model(kind: str, transformer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asked_of(kind, transformer, monkeypatch)
    found = fitted(table(review=list(reviews(60)[0])), asked)
    one, same = (found.model(found.network(asked.model, 2, 3), Classes(LABELS)) for _ in range(2))
    assert one.onnx == same.onnx and one.weights == same.weights
    for told in (b"site-packages", b"/tasks/text/", b".py"):
        assert told not in one.onnx, "it says nothing of this machine"
    networks = (found.network(asked.model, 2, seed) for seed in (3, 4))
    own, other = (torch.cat([tensor.flatten().double() for tensor in n.state_dict().values()]) for n in networks)
    assert not torch.equal(own, other)


def of_many_lengths() -> tuple[np.ndarray, np.ndarray]:
    """Most texts are short, and some fill the row: tokens, int32 [256, 64], and how many each text has."""
    random = np.random.default_rng(3)
    lengths = np.minimum(64, 2 + random.geometric(0.1, 256))
    rows = np.where(np.arange(64) < lengths[:, None], random.integers(0, 300, (256, 64)), NOTHING)
    return rows.astype(np.int32), lengths


def test_short_texts_are_not_read_as_far_as_the_longest_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read behind a text is computed, and changes no answer."""
    rows, lengths = of_many_lengths()
    network = build(Architecture(architecture="cnn"), 300, 2, 0).eval()
    alone = torch.cat([network(row[None]) for row in torch.from_numpy(rows)])
    monkeypatch.setattr("tradewind_workload.tasks.text.network.AT_ONCE", 16 * 64)
    computed, read = [0], network.read

    def counted(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        computed.append(tokens.numel())
        return read(tokens, mask)

    monkeypatch.setattr(network, "read", counted)
    found = network(torch.from_numpy(rows))
    assert sum(computed) < 1.3 * lengths.sum()
    torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-5)


def test_an_exported_model_is_asked_for_texts_of_about_one_length_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "TOKENS", 16 * 64)
    rows, lengths = of_many_lengths()
    network = build(Architecture(architecture="cnn"), 300, 2, 0).eval()
    session = open_session(to_onnx(network, 64, Classes(LABELS)))
    feeds = {"input_ids": np.maximum(rows, 0).astype(np.int64), "attention_mask": (rows != NOTHING).astype(np.int64)}
    computed, run = [0], session.run

    class Counting:
        def get_outputs(self) -> Any:
            return session.get_outputs()

        def run(self, names: Any, some: Any) -> Any:
            computed.append(some["attention_mask"].sum(1).max() * len(some["attention_mask"]))
            return run(names, some)

    found = inference.ask_by_length(Counting(), feeds)  # type: ignore[arg-type]
    assert sum(computed) < 1.3 * lengths.sum()
    expected = inference.ask(session, feeds)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5)


def test_the_tokenizer_is_of_the_training_texts_alone_in_whatever_order() -> None:
    texts = reviews(300)[0]
    assert learn(texts, 20_000) == learn(texts[::-1], 20_000)
    tokens = json.loads(learn(texts, 20_000))["model"]["vocab"]
    assert "\u2581coffee" in tokens and "\u2581salsa" not in tokens
    # The texts alone, so that these processes need no torch.
    program = (
        f"import sys, json, hashlib; sys.path[:] = {[*SOURCES.split(':'), *filter(None, sys.path)]!r}\n"
        "from tradewind_workload.tasks.text.vocabulary import learn\n"
        "print(hashlib.sha256(learn(json.load(sys.stdin), 20_000)).hexdigest(), 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    told = {
        subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(told) == 1, "no process learns another"


def test_a_vocabulary_keeps_to_its_size() -> None:
    random = np.random.default_rng(0)
    every_sign = ["".join(chr(0x4E00 + i) for i in random.integers(0, 3000, 50)) for _ in range(400)]
    assert Tokenizing(learn(every_sign, 256), 16).vocabulary <= 256
    assert Tokenizing(learn(reviews(400)[0], 300), 16).vocabulary <= 300


def test_what_tells_nothing_of_the_text_is_no_token() -> None:
    tokenizer = Tokenizing(learn(["Good coffee, good tea", "\uff27ood \ufb01ne \x00coffee fine"], 500), 8)
    plain, odd = tokenizer(["good fine coffee", "  GOOD\x00 \ufb01ne\n\uff23offee "])["input_ids"]
    np.testing.assert_array_equal(plain, odd)


def test_texts_of_several_columns_are_one(transformer: Path) -> None:
    said, _ = reviews(100)
    rows = table(title=[text.split()[-1] for text in said], body=[*said[:-1], None])
    found = fitted(rows)
    model = found.model(found.network(recipe().model, 2, 0), Classes(LABELS))
    assert [(tensor.name, tensor.datatype, tensor.kind, tensor.nullable) for tensor in model.inputs] == [
        ("title", "BYTES", "text", True),
        ("body", "BYTES", "text", True),
    ]
    np.testing.assert_array_equal(
        as_served(model, model.weights, model.instances(rows))["input_ids"], model.feeds(rows)["input_ids"]
    )
    joined_up = table(review=[f"{title}\n{body}" for title, body in zip(*rows.to_pydict().values(), strict=True)][:-1])
    one = replace(found.reading, columns=("review",))
    np.testing.assert_array_equal(one.rows(joined_up), found.rows(rows)[:-1])
    assert any("'title' and 'body'" in note for note in found.notes)


def test_how_much_of_a_text_is_read() -> None:
    short, long = ["good tea"] * 995, ["good tea " * 200] * 5
    found = fitted(table(review=[*short, *long]))
    assert found.shape == (8,), "99 of 100 texts are whole"
    assert any("5 of 1000 training texts have more" in note and "maxTokens" in note for note in found.notes)
    assert fitted(table(review=[*short, *long]), recipe(maxTokens=400)).shape == (400,)
    whole = fitted(table(review=["good tea " * 100] * 4))
    assert whole.shape == (200,)
    assert not any("have more" in note for note in whole.notes)
    assert fitted(table(review=["good tea " * 600] * 4)).shape == (512,)


def test_texts_that_are_none_are_refused() -> None:
    with pytest.raises(Fault, match=r"no training row has a text in the column 'review'.*spec.data.inputs"):
        fitted(table(review=[None, "", "  "]))


def test_what_a_checkpoint_depends_on() -> None:
    said = reviews(60)[0]
    found = fitted(table(review=list(said)))
    assert found.written() == fitted(table(review=list(said))).written()
    for other in (
        fitted(table(comment=list(said))),
        fitted(table(review=[*said[1:], "a new word, a new word"])),
        fitted(table(review=list(said)), recipe(maxTokens=9)),
    ):
        assert other.written() != found.written()


def broken(folder: Path, change: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    if change == "no weights, but a pickle":
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    elif change == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    elif change == "a tokenizer that is none":
        (folder / "tokenizer.json").write_text("{}")
    elif change == "no JSON":
        (folder / "config.json").write_text("<html>")
    elif change == "too few tokens":
        config["vocab_size"] = 7
    elif change == "of another size":
        config["hidden_size"] = 16
    elif change == "more layers":
        config["num_hidden_layers"] = 3
    elif change == "an unknown kind":
        config["model_type"] = "no-such-model"
    elif change == "code of its own":
        config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}}
        (folder / "mine.py").write_text(f"open({str(folder / 'ran')!r}, 'w')")
    elif change == "a writer":
        config["is_encoder_decoder"] = True
    if change != "no JSON":
        (folder / "config.json").write_text(json.dumps(config))


REFUSED = {
    "no weights, but a pickle": "has no model.safetensors: weights are read from safetensors alone",
    "no tokenizer": "has no tokenizer.json. It needs all three",
    "a tokenizer that is none": "tokenizer.json of pvc://claim/bert: the tokenizer",
    "no JSON": "config.json of pvc://claim/bert is no JSON object",
    "too few tokens": "config.json says that the model knows 7",
    "of another size": "has not all tensors|can't be loaded",
    "more layers": r"has not all tensors that config.json asks for.*encoder\.layer\.1",
    "an unknown kind": "can't be loaded by transformers",
    "code of its own": "can't be loaded by transformers",
    "a writer": "take an encoder",
}


@pytest.mark.parametrize("change", REFUSED)
def test_a_folder_that_is_no_transformer_is_refused(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEWIND_PVC_ROOT", str(tmp_path))
    folder = made_transformer(tmp_path / "claim" / "bert", reviews(50)[0])
    broken(folder, change)
    asked = recipe("transformer", storageUri="pvc://claim/bert")
    with pytest.raises(Fault, match=REFUSED[change]) as caught:
        fitted(table(review=list(reviews(50)[0])), asked).network(asked.model, 2, 0)
    assert caught.value.reason == "InvalidModel"
    assert "pvc://claim/bert" in str(caught.value)
    assert not (folder / "ran").exists()


def test_a_transformer_has_place_for_so_many_tokens(transformer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_PVC_ROOT", str(transformer.parent.parent))
    rows = table(review=["good coffee " * 100] * 5)
    assert fitted(rows, recipe("transformer", storageUri="pvc://claim/bert")).shape == (64,)
    with pytest.raises(Fault, match=r"maxTokens is 65, .* has no place for more than 64"):
        fitted(rows, recipe("transformer", storageUri="pvc://claim/bert", maxTokens=65))
    with pytest.raises(Fault, match="pvc://claim/no-such is no folder"):
        fitted(rows, recipe("transformer", storageUri="pvc://claim/no-such"))


def test_a_learning_rate_suits_the_model() -> None:
    assert float(recipe().learning_rate) == 0.001
    assert float(recipe("cnn").learning_rate) == 0.005
    asked = {"architecture": "transformer", "storageUri": "pvc://claim/bert"}
    fine = Recipe.model_validate({"task": "text-classification", "model": asked})
    assert float(fine.learning_rate) == 0.00005
    said = Recipe.model_validate({"task": "text-classification", "model": asked, "optimizer": {"lr": "0.01"}})
    assert float(said.learning_rate) == 0.01
    assert Architecture.model_validate(asked).storage_uri == "pvc://claim/bert"
