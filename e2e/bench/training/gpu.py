"""Recipes on a GPU and on the CPU of the same machine: `python -m e2e.bench.training.gpu [--json FILE]`.

With `--transformer FOLDER --texts FILE` also the fine-tuning of a transformer, on the GPU alone, beside a bag of words
from the same texts: a CSV file whose last column is the label and whose first one is the text.

In the environment of the workload (or one with its packages), without Ray. Each recipe trains as `tradewind run` does,
from files to the stored model: on the CPU, twice on the GPU with the same seed, and once more on the GPU, ended after
its first epochs and begun again. What has to be so: the model on the GPU is as good, two runs give the same weights,
and so does one that was interrupted. Times are of the whole job.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """A recipe and its data."""

    name: str
    recipe: dict[str, Any]
    data: dict[str, Any]
    beside: Case | None = None  # what the CPU trains in its place, where the same would take hours


def write_data(root: Path, pictures: int) -> None:
    """Made data, by a fixed seed: digits as pixels, a mixed table, texts, and pictures in a folder for each class."""
    from PIL import Image
    from sklearn.datasets import load_digits

    random = np.random.default_rng(0)
    digits = load_digits()
    np.savez(root / "digits.npz", x=digits.images.astype(np.float32), label=digits.target)
    towns = np.array(["Bern", "Genf", "Zug", ""])
    size, town = random.normal(70, 12, 4000), random.choice(towns, 4000)
    label = (size + 15 * (town == "Zug") + random.normal(0, 6, 4000) > 75).astype(int)
    rows = [f"{one:.2f},{other},{'yes' if good else 'no'}" for one, other, good in zip(size, town, label, strict=True)]
    (root / "table.csv").write_text("\n".join(["size,town,label", *rows]) + "\n")
    price = 3 * size + 40 * (town == "Zug") + random.normal(0, 10, 4000)
    tags = [
        ";".join(tag for tag, has in (("big", one > 75), (other.lower(), other)) if has)
        for one, other in zip(size, town, strict=True)
    ]
    rows = [
        f"{one:.2f},{other},{cost:.1f},{tag}" for one, other, cost, tag in zip(size, town, price, tags, strict=True)
    ]
    (root / "several.csv").write_text("\n".join(["size,town,price,tags", *rows]) + "\n")
    words = [f"word{i}" for i in range(300)]
    lines = ["text,label"]
    for _ in range(4000):
        good = bool(random.random() < 0.5)
        chosen = random.choice(words[:200] if good else words[100:], 30)
        lines.append(f"{' '.join(chosen)},{'good' if good else 'bad'}")
    (root / "texts.csv").write_text("\n".join(lines) + "\n")
    for kind in range(4):
        folder = root / f"pictures/kind{kind}"
        folder.mkdir(parents=True)
        for number in range(pictures // 4):
            pixels = random.normal(120, 40, (96, 96, 3))
            pixels[kind * 20 : kind * 20 + 20, :, kind % 3] += 60
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=90)


def cases(epochs: int, texts: Path | None, root: Path) -> list[Case]:
    """What is trained; with texts, a transformer of the folder `transformer` too."""

    def data(path: str, **more: Any) -> dict[str, Any]:
        shares = {"validationFraction": "0.2", "testFraction": "0.2"}
        return {"train": {"storageUri": f"pvc://claim/{path}"}, **shares, **more}

    def recipe(task: str, architecture: str, **more: Any) -> dict[str, Any]:
        return {"task": task, "model": {"architecture": architecture}, "epochs": epochs, "seed": 7, **more}

    varied = [{"augment": {"rotateDegrees": 10, "shiftPixels": 2}}]
    shape = {"imageShape": [96, 96, 3], "prepare": varied}
    images = "image-classification"
    tabular = {"inputs": ["size", "town"]}
    brought = []
    if texts is not None:
        first, *_, last = texts.read_text().split("\n", 1)[0].split(",")
        read = data("brought.csv", inputs=[first], label=last)
        shutil.copy(texts, root / "brought.csv")
        model = {"architecture": "transformer", "storageUri": "pvc://claim/transformer"}
        bag = Case("bag of the same texts", recipe("text-classification", "bag") | {"epochs": None}, read)
        tuned = recipe("text-classification", "transformer", model=model)
        brought = [
            Case("transformer, fp32", tuned, read, beside=bag),
            Case("transformer, bf16", tuned | {"precision": "bf16"}, read, beside=bag),
        ]
    return [
        Case("cnn on pixels", recipe(images, "cnn"), data("digits.npz", prepare=[{"standardize": {}}, *varied])),
        Case("mlp on a table", recipe("tabular-classification", "mlp"), data("table.csv")),
        Case("regression, mlp", recipe("tabular-regression", "mlp"), data("several.csv", label="price", **tabular)),
        Case(
            "several labels, mlp",
            recipe("tabular-multilabel-classification", "mlp"),
            data("several.csv", label="tags", labelSeparator=";", **tabular),
        ),
        Case("bag of texts", recipe("text-classification", "bag"), data("texts.csv")),
        Case("cnn of texts", recipe("text-classification", "cnn"), data("texts.csv")),
        Case("resnet18, fp32", recipe(images, "resnet18"), data("pictures", **shape)),
        Case("resnet18, bf16", recipe(images, "resnet18", precision="bf16"), data("pictures", **shape)),
        Case("mobilenet_v3_small", recipe(images, "mobilenet_v3_small"), data("pictures", **shape)),
        *brought,
    ]


class Ended(Exception):
    """The training was ended on purpose."""


@dataclass
class Heard:
    """Hears the reports; with `after`, ends the training once so many epochs were reported."""

    after: int | None = None

    def progress(self, report: dict[str, Any]) -> None:
        """A report on the way."""
        metrics = {metric["name"]: metric["value"] for metric in report["trainerStatus"].get("metrics", ())}
        if self.after is not None and int(metrics.get("epoch", 0)) >= self.after and report.get("lastCheckpoint"):
            raise Ended

    def final(self, report: dict[str, Any]) -> None:
        """The last one."""

    def close(self) -> None:
        """Nothing is left."""


def trained(case: Case, output: str, *, gpu: bool, ended_after: int | None = None) -> dict[str, Any]:
    """Train, and tell what came of it: metric, seconds of an epoch, hash of the weights."""
    from tradewind.api.report import JobDocument
    from tradewind_workload.train import recipe
    from tradewind_workload.train.place import Alone

    settings = dict(case.recipe) if gpu else {k: v for k, v in case.recipe.items() if k != "precision"}
    resources = {"cpu": str(os.cpu_count())} | ({"accelerators": 1} if gpu else {})
    document = {
        "kind": "TrainingJob",
        "namespace": "bench",
        "name": "gpu",
        "uid": "11111111-1111-1111-1111-111111111111",
        "attempt": 1,
        "run": "attempt-1",
        "reportUrl": "",
        "spec": {
            "recipe": settings,
            "data": case.data,
            "resources": resources,
            "output": {"storageUri": f"pvc://claim/{output}"},
        },
    }
    log = io.StringIO()
    started = time.monotonic()
    try:
        with contextlib.redirect_stdout(log):
            if ended_after is not None:
                heard = Heard(ended_after)
                with contextlib.suppress(Ended):
                    recipe.run(JobDocument.read(document), heard, Alone(heard))
            recipe.run(JobDocument.read(document), Heard(), Alone(Heard()))
    except Exception:
        print(log.getvalue(), file=sys.stderr)
        raise
    whole = time.monotonic() - started
    if ended_after is not None and "continuing after epoch" not in log.getvalue():
        raise RuntimeError(f"{case.name}: it did not go on from its checkpoint")
    (model,) = (Path(os.environ["TRADEWIND_PVC_ROOT"]) / "claim" / output / "models").iterdir()
    manifest = json.loads((model / "model.json").read_text())
    report = json.loads((model / "report.json").read_text())
    return {
        "metric": f"{manifest['evaluation']['metric']} {manifest['evaluation']['value']}",
        "value": float(manifest["evaluation"]["value"]),
        "low": float(manifest["evaluation"]["low"]),
        "high": float(manifest["evaluation"]["high"]),
        "seconds": report.get("cost", report.get("seconds")),
        "whole": whole,
        "weights": hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest(),
    }


def main() -> int:
    """Train everything, print a table; 1 where something is not as it has to be."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--pictures", type=int, default=1600)
    parser.add_argument("--transformer", type=Path, help="a folder as spec.recipe.model.storageUri has it")
    parser.add_argument("--texts", type=Path, help="what it learns from")
    parser.add_argument("--only", default="", help="cases with this in their names")
    parser.add_argument(
        "--cpu", action="store_true", help="the same on the CPU in place of the GPU, to try this program"
    )
    args = parser.parse_args()
    if (args.transformer is None) != (args.texts is None):
        parser.error("--transformer and --texts belong together")
    import torch

    gpu = not args.cpu
    device = torch.cuda.get_device_name() if gpu else "no GPU"
    print(f"{device}, torch {torch.__version__}, {os.cpu_count()} CPUs", flush=True)
    rows, wrong = [], 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TRADEWIND_PVC_ROOT"] = folder
        root = Path(folder) / "claim"
        root.mkdir()
        write_data(root, args.pictures)
        if args.transformer is not None:
            shutil.copytree(args.transformer, root / "transformer")
        for number, case in enumerate(cases(args.epochs, args.texts, root)):
            if args.only not in case.name:
                continue
            runs = {
                "cpu": trained(case.beside or case, f"{number}-cpu", gpu=False),
                "gpu": trained(case, f"{number}-gpu", gpu=gpu),
                "again": trained(case, f"{number}-again", gpu=gpu),
                "resumed": trained(case, f"{number}-resumed", gpu=gpu, ended_after=max(1, args.epochs // 2)),
            }
            same = runs["gpu"]["weights"] == runs["again"]["weights"]
            resumed = runs["gpu"]["weights"] == runs["resumed"]["weights"]
            # As good as on the CPU: their intervals meet. What stands beside it for want of that may be worse.
            good = runs["gpu"]["high"] >= runs["cpu"]["low"]
            good = good and (case.beside is not None or runs["cpu"]["high"] >= runs["gpu"]["low"])
            wrong += not (same and resumed and good)
            rows.append({"case": case.name, "same": same, "resumed": resumed, "good": good, **runs})
            other = f" ({case.beside.name})" if case.beside is not None else ""
            print(
                f"{case.name:20} cpu{other} {runs['cpu']['metric']:24} {runs['cpu']['whole']:6.1f} s   "
                f"gpu {runs['gpu']['metric']:24} {runs['gpu']['whole']:6.1f} s   "
                f"as good {good}, same weights again {same}, resumed {resumed}",
                flush=True,
            )
    if args.json is not None:
        args.json.write_text(json.dumps({"device": device, "torch": torch.__version__, "rows": rows}, indent=1))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
