"""A model in the process of the tests, asked as the endpoints ask it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np

from tradewind_server import v1, v2
from tradewind_server.model import Limits, OnnxModel
from tradewind_server.refusal import Refusal


class Loaded:
    """The model of a folder or a file."""

    def __init__(self, model_dir: Path, max_rows: int = 100) -> None:
        self.model = OnnxModel("m", model_dir, None, threads=1, limits=Limits(rows=max_rows, queue=1, pixels=1_000_000))
        self.model.load()

    def v1(self, **document: Any) -> dict[str, Any]:
        """The answer of protocol v1, or its error."""
        return self._asked(v1.answer, {}, json.dumps(document).encode())

    def instances(self, *rows: Any) -> Any:
        """The predictions for these rows, or the error."""
        document = self.v1(instances=list(rows))
        return document.get("predictions", document.get("error"))

    def v2(self, *inputs: dict[str, Any], **rest: Any) -> dict[str, Any]:
        """The outputs of protocol v2 by name, or the error. An input with an array in `data` goes as bytes."""
        tensors, binary = [], b""
        for tensor in inputs:
            data = tensor["data"]
            if isinstance(data, np.ndarray):
                raw = data.tobytes()
                named = {name: value for name, value in tensor.items() if name != "data"}
                parameters = tensor.get("parameters", {}) | {"binary_data_size": len(raw)}
                tensors.append(named | {"parameters": parameters})
                binary += raw
            else:
                tensors.append(tensor)
        text = json.dumps({"inputs": tensors} | rest).encode()
        headers = {b"inference-header-content-length": str(len(text)).encode()} if binary else {}
        document = self._asked(v2.answer, headers, text + binary)
        return document if "error" in document else {one["name"]: one["data"] for one in document["outputs"]}

    def _asked(self, answer: Any, headers: dict[bytes, bytes], body: bytes) -> dict[str, Any]:
        try:
            reply, _ = asyncio.run(answer(self.model, headers, body, 1 << 20))
        except Refusal as refusal:
            assert refusal.code == 400
            return {"error": str(refusal)}
        document: dict[str, Any] = json.loads(reply)
        return document
