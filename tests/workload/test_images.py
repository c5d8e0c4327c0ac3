"""The family of pictures: odd files, what is fitted, networks and their weights, and the served model."""

from __future__ import annotations

import base64
import io
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest
import torch
from jobs import ROOT, Heard, training_job
from PIL import Image
from safetensors.torch import save_file

from tradewind.api.artefact import Picture, Processor
from tradewind.api.data import Data
from tradewind.api.report import JobDocument
from tradewind.api.trainingjob import TORCHVISION, Architecture, Recipe
from tradewind_processors import Picturing
from tradewind_workload.data.headers import read_headers
from tradewind_workload.data.preparation import prepare
from tradewind_workload.export.inference import ask, open_session
from tradewind_workload.heads.answer import Answer, Classes, Value
from tradewind_workload.io.fault import Fault
from tradewind_workload.tasks.image import networks
from tradewind_workload.tasks.image.family import PictureModel, Pictures, fit
from tradewind_workload.tasks.image.family import read as read_family
from tradewind_workload.tasks.image.looking import look_at
from tradewind_workload.train import recipe as recipe_job
from tradewind_workload.train.place import Alone
from tradewind_workload.train.training import Share, Training, outputs_of

sys.path.insert(0, str(ROOT / "tests/processors"))
import pictures as odd

CNN = Architecture.model_validate({"architecture": "cnn", "channels": [4, 8], "hiddenUnits": [8]})


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def stripes(number: int, *, upright: bool, size: tuple[int, int] = (16, 12), form: str = "PNG") -> bytes:
    """A picture of stripes, upright or lying, with noise of its own."""
    random = np.random.default_rng(number)
    wide, high = size
    place = np.arange(wide)[None, :, None] if upright else np.arange(high)[:, None, None]
    pixels = 128 + 90 * np.sin(place + random.uniform(0, 6)) + random.normal(0, 25, (high, wide, 3))
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, form)
    return file.getvalue()


def put(folder: Path, each: int = 40) -> None:
    for name in ("lying", "upright"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            size = (16, 12) if number % 3 else (12, 12)
            content = stripes(number * 2 + (name == "lying"), upright=name == "upright", size=size)
            (folder / name / f"{number}.png").write_bytes(content)


def fitted(**fields: Any) -> Pictures:
    settings: dict[str, Any] = {
        "column": "photo",
        "shape": (12, 16, 3),
        "resize": "Stretch",
        "mean": (120.0, 121.0, 122.0),
        "deviation": (60.0, 61.0, 62.0),
        "variation": None,
        "notes": (),
    }
    return Pictures(**(settings | fields))


def photos(count: int, **options: Any) -> pa.Table:
    contents = [stripes(number, upright=bool(number % 2), **options) for number in range(count)]
    return pa.table({"photo": pa.array(contents, pa.large_binary())})


RIGHT: dict[str, tuple[bytes, tuple[int, int]]] = {
    "one pixel": (odd.saved(Image.new("RGB", (1, 1), odd.RED)), (1, 1)),
    "very wide": (odd.saved(Image.new("L", (900, 1), 7)), (1, 900)),
    "grey of 16 bits": (odd.grey16(), (8, 8)),
    "a palette": (odd.palette(transparent=False), (32, 64)),
    "a transparent palette": (odd.palette(transparent=True), (32, 64)),
    "CMYK": (odd.saved(odd.halves("CMYK", (0, 255, 255, 0), (0, 0, 0, 0)), "JPEG"), (32, 64)),
    "bits": (odd.saved(Image.new("1", (5, 3), 1)), (3, 5)),
    "grey with alpha": (odd.saved(Image.new("LA", (5, 3), (9, 9))), (3, 5)),
    "held upright": (odd.turned(6), (64, 32)),
    "upside down": (odd.turned(3), (32, 64)),
    "moving": (odd.animated(), (16, 16)),
    "interlaced": (odd.interlaced(), (8, 8)),
    "progressive": (odd.saved(odd.halves(), "JPEG", progressive=True), (32, 64)),
    "a profile": (odd.profiled(), (32, 64)),
    "WebP": (odd.saved(odd.halves(), "WEBP"), (32, 64)),
    "BMP": (odd.saved(odd.halves(), "BMP"), (32, 64)),
    "TIFF": (odd.saved(odd.halves(), "TIFF"), (32, 64)),
}
REFUSED: dict[str, tuple[bytes | None, str]] = {
    "no bytes": (b"", "the picture has no bytes"),
    "missing": (None, "it is missing"),
    "text": (b"not a picture at all", "expected a picture"),
    "cut off": (odd.saved(odd.halves(), "JPEG")[:300], "cut off or damaged"),
    "a cut PNG": (odd.saved(odd.halves())[:80], "cut off or damaged"),
    "a page": (b"<html><body>404</body></html>", "error page"),
    "an SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
    "a PDF": (b"%PDF-1.7 ...", "PDF"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "pointer of Git LFS"),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
    "base64": (base64.b64encode(odd.saved(odd.halves())), "base64"),
} | {f"a bomb: {name}": (content, "") for name, content in odd.bombs().items()}


def test_odd_pictures_have_the_right_size_or_a_sentence() -> None:
    """One by one as in a block of the data: none stops the others, and each that can't be opened is told with why."""
    contents = [content for content, _ in RIGHT.values()] + [content for content, _ in REFUSED.values()]
    offsets = 100 + np.arange(len(contents))
    found = look_at(pa.array(contents, pa.large_binary()), offsets)
    assert found.sizes.tolist() == [list(size) for _, size in RIGHT.values()]
    assert not found.grey
    told = dict(found.broken)
    assert set(told) == set(offsets[len(RIGHT) :].tolist())
    for offset, (name, (_, expected)) in zip(offsets[len(RIGHT) :].tolist(), REFUSED.items(), strict=True):
        assert expected in told[offset], name
    grey = [RIGHT[name][0] for name in ("very wide", "grey of 16 bits", "bits", "grey with alpha")]
    assert look_at(pa.array(grey, pa.large_binary()), np.arange(len(grey))).grey


def job(**fields: Any) -> dict[str, Any]:
    spec = {
        "recipe": {"task": "image-classification", "model": CNN.written()},
        "data": {"train": {"storageUri": "pvc://claim/photos"}, "validationFraction": "0.25", "testFraction": "0.25"},
        "output": {"storageUri": "pvc://claim/model"},
    }
    return {name: {**spec[name], **fields.get(name, {})} for name in spec} | {
        name: value for name, value in fields.items() if name not in spec
    }


def fit_to(volumes: Path, model: dict[str, Any], **data: Any) -> Pictures:
    del volumes
    read = Data.model_validate({"train": {"storageUri": "pvc://claim/photos"}, "validationFraction": "0.25"} | data)
    recipe = Recipe.model_validate({"task": "image-classification", "model": model})
    prepared = prepare(read, read_headers(read, recipe.task), 0)
    return fit(prepared, recipe, read)


def test_what_is_fitted_on_the_training_pictures(volumes: Path) -> None:
    put(volumes / "claim/photos", each=20)
    cnn = {"architecture": "cnn"}
    plain = fit_to(volumes, cnn)
    assert plain.shape == (12, 16, 3)
    assert plain.written() == fit_to(volumes, cnn).written() != fit_to(volumes, cnn, imageFit="Crop").written()
    assert pickle.loads(pickle.dumps(plain)) == plain  # noqa: S301 -- as it goes to the workers
    read = Data.model_validate({"train": {"storageUri": "pvc://claim/photos"}, "validationFraction": "0.25"})
    train = prepare(read, read_headers(read, "image-classification"), 0).train.table()["image"].to_pylist()
    pixels = Picturing(12, 16)(train).reshape(-1, 3)
    np.testing.assert_allclose(plain.mean, pixels.mean(0), rtol=1e-9)
    np.testing.assert_allclose(plain.deviation, pixels.std(0), rtol=1e-9)
    assert fit_to(volumes, cnn, imageShape=[6, 5]).shape == (6, 5, 3)
    assert fit_to(volumes, cnn, imageShape=[6, 5, 1]).shape == (6, 5, 1)
    assert fit_to(volumes, {"architecture": "resnet18"}).shape == (32, 32, 3)
    (volumes / "claim/photos/lying/large.png").write_bytes(odd.saved(Image.new("RGB", (640, 480))))
    for path in (volumes / "claim/photos").glob("*/*.png"):
        path.write_bytes(odd.saved(Image.open(path).convert("L").resize((320, 240))))
    assert fit_to(volumes, cnn).shape == (48, 64, 1), "grey, and the longer side has 64"
    assert fit_to(volumes, {"architecture": "resnet18"}).shape == (168, 224, 3)
    for shape, model, refused in (
        ([6, 5, 2], "cnn", "a picture has 1 .grey. or 3"),
        ([64, 64, 1], "resnet18", "resnet18 takes 3: leave the channels out"),
        ([16, 64], "resnet18", "16 x 64, and resnet18 needs 32 pixels a side at least"),
    ):
        with pytest.raises(Fault, match=refused):
            fit_to(volumes, {"architecture": model}, imageShape=shape)


def test_broken_pictures_are_named(volumes: Path) -> None:
    put(volumes / "claim/photos", each=20)
    for number in range(7):
        (volumes / f"claim/photos/lying/{number}.png").write_bytes(b"\x89PNG broken")
    read = {"validation": {"storageUri": "pvc://claim/photos"}, "validationFraction": None}
    with pytest.raises(Fault) as caught:
        fit_to(volumes, {"architecture": "cnn"}, **read)
    said = str(caught.value)
    assert said.startswith("7 of 40 pictures of the training data can't be used (lying/0.png: ")
    assert "; and 2 more): replace them, or take them out of the data." in said
    assert said.count("lying/") == 5


def test_an_input_says_how_its_pictures_become_pixels(volumes: Path) -> None:
    put(volumes / "claim/photos", each=20)
    data = Data.model_validate({"train": {"storageUri": "pvc://claim/photos"}, "validationFraction": "0.25"})
    prepared = prepare(data, read_headers(data, "image-classification"), 0)
    for resize in ("Stretch", "Crop"):
        (taken,) = PictureModel(b"", {}, fitted(resize=resize), Classes(("a", "b"))).inputs
        found = read_family(taken, prepared)
        assert (found.column, found.shape, found.resize) == ("photo", (12, 16, 3), resize)
        assert (found.mean, found.deviation) == ((0.0,) * 3, (1.0,) * 3), "the weights have the scale"
    picture = Picture(height=12, width=16, resize="Bend")
    for processor in (None, Processor(), Processor(picture=picture)):
        with pytest.raises(ValueError, match="photo is no input of pictures that this version knows"):
            read_family(taken.model_copy(update={"processor": processor}), prepared)


SERVED: dict[str, tuple[dict[str, Any], Answer, tuple[int, int, int]]] = {
    "linear": ({"architecture": "linear"}, Classes(("a", "b", "c")), (12, 16, 3)),
    "a value": ({"architecture": "mlp", "hiddenUnits": [8]}, Value(5.0, 2.0), (12, 16, 3)),
    "cnn": (CNN.written(), Classes(("a", "b", "c")), (12, 16, 3)),
    "torchvision": ({"architecture": "mobilenet_v3_small"}, Classes(("a", "b", "c")), (32, 40, 3)),
}


@pytest.mark.parametrize("which", SERVED)
def test_the_served_model_equals_torch(which: str) -> None:
    model, answer, shape = SERVED[which]
    _equal(Architecture.model_validate(model), answer, fitted(shape=shape))


def test_equal_weights_are_equal_files() -> None:
    network = fitted().network(CNN, 3, seed=3)
    made = [fitted().model(network, Classes(("a", "b", "c"))) for _ in range(2)]
    assert made[0].onnx == made[1].onnx
    assert b"site-packages" not in made[0].onnx, "no path of this machine"


def _equal(architecture: Architecture, answer: Answer, family: Pictures) -> None:
    network = family.network(architecture, answer.width, seed=3)
    table = photos(20)
    network.train()
    network(torch.from_numpy(family.rows(table)))  # as after a training: what was normalised by is remembered
    made = family.model(network, answer)
    served = ask(open_session(made.onnx), made.feeds(table))
    expected = answer.decoded(outputs_of(network, family.rows(table)))
    np.testing.assert_allclose(answer.among(served), expected, atol=1e-5)
    for count in (1, 3):
        one = ask(open_session(made.onnx), {"photo": family.rows(table)[:count]})
        np.testing.assert_allclose(answer.among(one), expected[:count], atol=1e-5)
    assert [tensor.name for tensor in made.outputs] == list(served)
    graph = onnx.load_from_string(made.onnx).graph
    assert [given.name for given in graph.input] == ["photo"]


def test_networks_depend_on_the_seed_alone() -> None:
    for name in ("cnn", "mobilenet_v3_small"):
        architecture = Architecture.model_validate({"architecture": name})
        made = [fitted().network(architecture, 2, seed).state_dict() for seed in (1, 1, 2)]
        assert all(torch.equal(made[0][key], made[1][key]) for key in made[0])
        assert any(not torch.equal(made[0][key], made[2][key]) for key in made[0])
    for name in TORCHVISION:
        network = fitted(shape=(32, 32, 3)).network(Architecture.model_validate({"architecture": name}), 5, 0).eval()
        assert network(torch.zeros(1, 32, 32, 3, dtype=torch.uint8)).shape == (1, 5)
    for side, blocks in ((4, 2), (28, 2), (32, 3), (64, 4), (224, 5)):
        network = fitted(shape=(side, side, 1), mean=(0.0,), deviation=(1.0,)).network(
            Architecture.model_validate({"architecture": "cnn"}), 2, 0
        )
        assert sum(isinstance(module, torch.nn.Conv2d) for module in network.modules()) == blocks


def start_from(volumes: Path, name: str = "resnet18", uri: str = "pvc://claim/weights") -> dict[str, torch.Tensor]:
    del volumes
    architecture = Architecture.model_validate({"architecture": name, "storageUri": uri})
    return fitted(shape=(32, 32, 3)).network(architecture, 4, 0).body.state_dict()


def test_weights_from_a_store(volumes: Path) -> None:
    import torchvision.models

    (volumes / "claim/weights").mkdir(parents=True)
    torch.manual_seed(5)
    theirs = torchvision.models.resnet18(num_classes=1000).state_dict()
    file = volumes / "claim/weights/model.safetensors"
    halves = {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in theirs.items()}
    for weights, close in ((theirs, 0.0), (halves, 1e-3)):
        save_file(weights, file)
        for uri in ("pvc://claim/weights", "pvc://claim/weights/model.safetensors"):
            mine = start_from(volumes, uri=uri)
            assert mine["fc.weight"].shape == (4, 512), "the last layer is that of the classes"
            for key in theirs.keys() - {"fc.weight", "fc.bias"}:
                torch.testing.assert_close(mine[key], theirs[key], atol=close, rtol=0)

    with pytest.raises(
        Fault, match=r"not the weights of resnet34 .*: it lacks layer1.2.bn1.bias, .* and \d+ more\. Set"
    ):
        start_from(volumes, "resnet34")
    save_file({key: value for key, value in theirs.items() if key != "conv1.weight"}, file)
    with pytest.raises(Fault, match=r"model.safetensors of pvc://claim/weights .* it lacks conv1.weight\."):
        start_from(volumes)
    save_file(theirs | {"extra": torch.zeros(1)}, file)
    with pytest.raises(Fault, match=r"it has extra besides\."):
        start_from(volumes)
    save_file(theirs | {"conv1.weight": torch.zeros(64, 1, 7, 7)}, file)
    with pytest.raises(Fault, match=r"it has conv1.weight as \[64, 1, 7, 7\] in place of \[64, 3, 7, 7\]"):
        start_from(volumes)
    file.write_bytes(b"no safetensors")
    with pytest.raises(Fault, match=r"pvc://claim/weights can't be read as safetensors"):
        start_from(volumes)
    save_file(theirs, volumes / "claim/weights/other.safetensors")
    with pytest.raises(Fault, match=r"has 2 files of weights \(model.safetensors, other.safetensors\): name one"):
        start_from(volumes)
    (volumes / "claim/pickle").mkdir()
    torch.save(theirs, volumes / "claim/pickle/resnet18.pth")
    with pytest.raises(Fault, match=r"resnet18.pth of pvc://claim/pickle is a pickle, which is never read") as caught:
        start_from(volumes, uri="pvc://claim/pickle")
    assert caught.value.reason == "InvalidModel"
    with pytest.raises(Fault, match=r"pvc://claim/none has no .safetensors file"):
        start_from(volumes, uri="pvc://claim/none")


def test_mixup_blends_what_is_learnt_too() -> None:
    """Of two classes, a network that learns from blends of both is less sure of each."""
    family = fitted()
    table = photos(40)
    rows, classes = family.rows(table), np.arange(40) % 2
    settings = Recipe.model_validate(
        {"task": "image-classification", "model": CNN.written(), "batchSize": 20, "optimizer": {"lr": "0.01"}}
    )
    sure = {}
    for mixup in (0.0, 1.0):
        network = family.network(CNN, 2, seed=0)
        training = Training(network, settings, Share(rows, classes, (40,)), epochs=30, mixup=mixup)
        for epoch in range(30):
            training.epoch(epoch)
        probabilities = torch.from_numpy(outputs_of(network, rows)).softmax(1)
        assert float((probabilities.argmax(1).numpy() == classes).mean()) > 0.9
        sure[mixup] = float(probabilities.max(1).values.mean())
    assert sure[1.0] < sure[0.0] - 0.02


def test_what_a_recipe_of_pictures_can_have(volumes: Path) -> None:
    put(volumes / "claim/photos", each=5)

    def refused(**fields: Any) -> str:
        document = JobDocument.model_validate(training_job(job(**fields)))
        with pytest.raises(Fault) as caught:
            recipe_job.run(document, Heard(), Alone(Heard()))
        assert caught.value.reason == "NotSupported"
        return str(caught.value)

    assert "bf16 is for GPUs: set spec.resources.accelerators" in refused(recipe={"precision": "bf16"})


def test_networks_of_torchvision_take_files_and_no_pixels(volumes: Path) -> None:
    (volumes / "claim").mkdir()
    np.savez(volumes / "claim/train.npz", image=np.zeros((80, 4, 4)), label=np.arange(80) % 2)
    spec = job(recipe={"model": {"architecture": "resnet18"}}, data={"train": {"storageUri": "pvc://claim/train.npz"}})
    document = JobDocument.model_validate(training_job(spec))
    with pytest.raises(
        Fault, match=r"resnet18 takes files of pictures, and pvc://claim/train.npz has pixels as numbers"
    ):
        recipe_job.run(document, Heard(), Alone(Heard()))


@pytest.mark.parametrize("architecture", ["resnet18", "mobilenet_v3_small", "efficientnet_b0"])
def test_a_short_training_moves_the_statistics_that_serve(architecture: str) -> None:
    """With torchvision's own momentum, mobilenet gave every picture the same class after some dozens of steps."""
    network = networks.of_torchvision(architecture, 3)
    torch.manual_seed(0)
    pictures = 5 + 2 * torch.randn(8, 3, 32, 32)
    for _ in range(25):
        network(pictures)
    first = next(module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d))
    convolved = next(module for module in network.modules() if isinstance(module, torch.nn.Conv2d))(pictures)
    found = convolved.mean((0, 2, 3))
    assert first.running_mean is not None
    assert (first.running_mean - found).abs().max() < 0.1 * found.abs().max()
