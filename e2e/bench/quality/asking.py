"""Rows as a client sends them over HTTP, by protocol v1 and v2, and the answers that come back."""

from __future__ import annotations

import base64
import csv
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tradewind.api.artefact import Manifest, Tensor

MISSING = ("", "NA")
AT_ONCE = 100  # rows of a request


@dataclass(frozen=True)
class Answers:
    """What a server said of rows."""

    labels: tuple[str, ...]  # none where it gives values
    numbers: np.ndarray  # probabilities [n, classes], or values [n]


def instances(path: Path, numbers: Sequence[int], manifest: Manifest) -> list[dict[str, Any]]:
    """The rows of a csv file by the names of the model's inputs; null where a cell is missing.

    It reads the text of the file itself, as a client does that knows nothing of the training.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{tensor.name: _sent(tensor, rows[number][tensor.name]) for tensor in manifest.inputs} for number in numbers]


def _sent(tensor: Tensor, cell: str) -> Any:
    if tensor.kind != "text" and cell in MISSING:
        return None
    if tensor.kind == "number":
        return float(cell)
    if tensor.kind == "boolean":
        return cell.lower() == "true"
    return cell


def arrays(path: Path, name: str, numbers: Sequence[int], manifest: Manifest) -> list[dict[str, Any]]:
    """The rows of an array of an npz file."""
    (tensor,) = manifest.inputs
    with np.load(path) as found:
        return [{tensor.name: row.tolist()} for row in found[name][list(numbers)]]


def pictures(paths: Sequence[Path], manifest: Manifest) -> list[dict[str, Any]]:
    """Files of pictures."""
    (tensor,) = manifest.inputs
    return [{tensor.name: {"b64": base64.b64encode(path.read_bytes()).decode()}} for path in paths]


def v1(url: str, name: str, rows: list[dict[str, Any]]) -> Answers:
    """Rows as objects."""
    labels: list[str] = []
    numbers: list[Any] = []
    for part in _parts(rows):
        answer = _post(f"{url}/v1/models/{name}:predict", {"instances": part})
        labels += answer["predictions"] if "labels" in answer else []
        numbers += answer.get("probabilities", answer["predictions"])
    return Answers(tuple(labels), np.array(numbers))


def v2(url: str, name: str, rows: list[dict[str, Any]], manifest: Manifest) -> Answers:
    """A tensor for each input."""
    labels: list[str] = []
    numbers: list[np.ndarray] = []
    for part in _parts(rows):
        inputs = [_tensor(tensor, [row[tensor.name] for row in part]) for tensor in manifest.inputs]
        outputs = {
            output["name"]: np.reshape(output["data"], output["shape"])
            for output in _post(f"{url}/v2/models/{name}/infer", {"inputs": inputs})["outputs"]
        }
        if "label" in outputs:
            labels += [manifest.labels[index] for index in outputs["label"].tolist()]
        numbers.append(outputs["probabilities"] if "probabilities" in outputs else outputs["prediction"])
    return Answers(tuple(labels), np.concatenate(numbers))


def _tensor(tensor: Tensor, values: list[Any]) -> dict[str, Any]:
    if tensor.kind == "image":
        values = [value["b64"] for value in values]
    if tensor.kind == "boolean" and tensor.datatype == "BYTES":
        values = [None if value is None else str(value).lower() for value in values]
    shape = [len(values), *tensor.shape[1:]]
    flat = np.array(values).ravel().tolist() if len(shape) > 1 else values
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": shape, "data": flat}


def _parts(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    yield from (rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE))


def _post(url: str, request: dict[str, Any]) -> dict[str, Any]:
    asked = urllib.request.Request(url, json.dumps(request).encode(), {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(asked, timeout=600) as answer:  # noqa: S310 -- our own server
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{url} answered {error.code}: {error.read(2048).decode(errors='replace')}") from None
