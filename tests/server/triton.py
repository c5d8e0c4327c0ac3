"""Triton's own clients, asked to do what they can: prints what came of each as JSON.

A program of its own: Triton's protobuf messages have the names of KServe's, and a process can have only one of them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

ROWS = np.array([[[0, 9], [0, 0]], [[0, 0], [1, 0]]], np.float32)
MODEL = "classifier"


def text(value: str | bytes) -> str:
    """One that came as bytes or as JSON."""
    return value.decode() if isinstance(value, bytes) else value


def values(result: Any, *names: str) -> dict[str, Any]:
    """The outputs of a result, texts as such."""
    found = {name: result.as_numpy(name) for name in names}
    return {
        name: np.vectorize(text)(array).tolist() if array.dtype.kind == "O" else array.tolist()
        for name, array in found.items()
    }


def refusal(ask: Callable[[], Any]) -> str:
    """The words with which something is refused."""
    try:
        return f"answered: {ask()}"
    except InferenceServerException as error:
        return str(error)


def over_http(address: str) -> dict[str, Any]:
    """What the client of REST can do."""
    module: Any = tritonclient.http
    client = module.InferenceServerClient(address)

    def ask(binary: bool = True, outputs: Any = None, **rest: Any) -> Any:
        tensor = module.InferInput("inputs", list(ROWS.shape), "FP32")
        tensor.set_data_from_numpy(ROWS, binary_data=binary)
        return client.infer(MODEL, [tensor], outputs=outputs, **rest)

    def wanted(name: str, **rest: Any) -> list[Any]:
        return [module.InferRequestedOutput(name, **rest)]

    every = ("label", "probabilities")
    found = {
        "live": [client.is_server_live(), client.is_server_ready(), client.is_model_ready(MODEL)],
        "server": client.get_server_metadata(),
        "model": client.get_model_metadata(MODEL),
        "binary": values(ask(), *every),
        "json": values(ask(False, wanted("label", binary_data=False)), "label"),
        "id": ask(request_id="42").get_response()["id"],
        "sequence": values(ask(sequence_id=7, sequence_start=True, sequence_end=True, priority=1, timeout=9), "label"),
        "classes": values(ask(outputs=wanted("probabilities", class_count=2)), "probabilities"),
        "classes as JSON": values(
            ask(outputs=wanted("probabilities", class_count=2, binary_data=False)), "probabilities"
        ),
        "parameter": refusal(lambda: ask(parameters={"top_k": 1})),
        "version": refusal(lambda: client.infer(MODEL, [], model_version="1")),
        "unload": refusal(lambda: client.unload_model(MODEL)),
    }
    for name in ("gzip", "deflate"):
        result = ask(request_compression_algorithm=name, response_compression_algorithm=name)
        found[name] = values(result, *every)
    return found


def over_grpc(address: str) -> dict[str, Any]:
    """What the client of gRPC can do."""
    module: Any = tritonclient.grpc
    client = module.InferenceServerClient(address)
    tensor = module.InferInput("inputs", list(ROWS.shape), "FP32")
    tensor.set_data_from_numpy(ROWS)

    def ask(outputs: Any = None, **rest: Any) -> Any:
        return client.infer(MODEL, [tensor], outputs=outputs, **rest)

    def stream() -> str:
        told: list[Any] = []
        client.start_stream(lambda result, error: told.append(error or result))
        with suppress(InferenceServerException):  # it may be refused already
            client.async_stream_infer(MODEL, [tensor])
        client.stop_stream()
        return str(told[0])

    every = ("label", "probabilities")
    return {
        "live": [client.is_server_live(), client.is_server_ready(), client.is_model_ready(MODEL)],
        "server": client.get_server_metadata(as_json=True),
        "model": client.get_model_metadata(MODEL, as_json=True),
        "binary": values(ask(), *every),
        "id": ask(request_id="42").get_response().id,
        "sequence": values(ask(sequence_id=7, sequence_start=True, sequence_end=True, priority=1, timeout=9), "label"),
        "classes": values(ask([module.InferRequestedOutput("probabilities", class_count=2)]), "probabilities"),
        "gzip": values(ask(compression_algorithm="gzip"), *every),
        "deflate": values(ask(compression_algorithm="deflate"), *every),
        "parameter": refusal(lambda: ask(parameters={"top_k": 1.5})),
        "version": refusal(lambda: ask(model_version="1")),
        "unload": refusal(lambda: client.unload_model(MODEL)),
        "stream": stream(),
    }


if __name__ == "__main__":
    _, protocol, where = sys.argv
    print(json.dumps((over_http if protocol == "http" else over_grpc)(where)))
