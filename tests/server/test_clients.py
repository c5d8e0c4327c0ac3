"""The official clients of KServe and of Triton, as they come from PyPI, against a server as it runs in a pod."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grpc.aio import AioRpcError
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput
from process import PATIENCE, Process

ROWS = np.array([[[0, 9], [0, 0]], [[0, 0], [1, 0]]], np.float32)
# What the classifier gives for these rows.
LABEL = [1, 2]
CLASSES = [["1:one", "0:zero"], ["2:two", "0:zero"]]


def probabilities() -> Any:
    scores = np.exp(ROWS.reshape(2, 4)[:, :3])
    return scores / scores.sum(axis=1, keepdims=True)


def asked(binary: bool, **rest: Any) -> InferRequest:
    tensor = InferInput("inputs", list(ROWS.shape), "FP32")
    tensor.set_data_from_numpy(ROWS, binary_data=binary)
    return InferRequest("classifier", [tensor], request_id="42", **rest)


@pytest.mark.parametrize("binary", [True, False])
def test_kserves_client_over_grpc(classifier: Process, binary: bool) -> None:
    async def ask() -> Any:
        async with InferenceGRPCClient(f"127.0.0.1:{classifier.rpc_port}", timeout=PATIENCE) as client:
            assert await client.is_server_live() and await client.is_server_ready()
            assert await client.is_model_ready("classifier")
            some = await client.infer(asked(binary, request_outputs=[RequestedOutput("label", {"binary_data": True})]))
            assert [output.name for output in some.outputs] == ["label"]
            with pytest.raises(AioRpcError, match="unknown output 'y'"):
                await client.infer(asked(binary, request_outputs=[RequestedOutput("y")]))
            return await client.infer(asked(binary))

    answer = asyncio.run(ask())
    assert (answer.model_name, answer.id) == ("classifier", "42")
    label, found = (answer.get_output_by_name(name).as_numpy() for name in ("label", "probabilities"))
    assert label.tolist() == LABEL
    np.testing.assert_allclose(found.reshape(2, 3), probabilities(), rtol=1e-5)


@pytest.mark.parametrize("binary", [True, False])
def test_kserves_client_over_rest(classifier: Process, binary: bool) -> None:
    async def ask() -> Any:
        client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=PATIENCE))
        assert await client.is_server_live(classifier.url) and await client.is_server_ready(classifier.url)
        return await client.infer(
            classifier.url, asked(binary, parameters={"binary_data_output": binary}), model_name="classifier"
        )

    answer = asyncio.run(ask())
    assert answer.get_output_by_name("label").as_numpy().tolist() == LABEL
    found = answer.get_output_by_name("probabilities").as_numpy()
    np.testing.assert_allclose(found.reshape(2, 3), probabilities(), rtol=1e-5)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_tritons_client(classifier: Process, protocol: str) -> None:
    port = classifier.port if protocol == "http" else classifier.rpc_port
    program = Path(__file__).with_name("triton.py")
    done = subprocess.run(
        [sys.executable, program, protocol, f"127.0.0.1:{port}"], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["live"] == [True] * 3
    assert found["server"]["extensions"] == ["binary_tensor_data", "classification"]
    assert [(one["name"], one["datatype"]) for one in found["model"]["outputs"]] == [
        ("label", "INT64"),
        ("probabilities", "FP32"),
    ]
    for way in ("binary", "gzip", "deflate"):
        assert found[way]["label"] == LABEL, way
        np.testing.assert_allclose(found[way]["probabilities"], probabilities(), rtol=1e-5)
    assert found.get("json", {"label": LABEL}) == found["sequence"] == {"label": LABEL}
    assert found["id"] == "42"
    for way in ("classes", "classes as JSON"):
        if way in found:
            texts = found[way]["probabilities"]
            assert [[text.split(":", 1)[1] for text in row] for row in texts] == CLASSES
            assert float(texts[0][0].split(":")[0]) == pytest.approx(probabilities()[0, 1], abs=1e-6)
    assert "parameter 'top_k' is not supported" in found["parameter"]
    assert "the model has no versions" in found["version"]
    assert "RepositoryModelUnload" in found["unload"] if protocol == "grpc" else "404" in found["unload"]
    if protocol == "grpc":
        assert "UNIMPLEMENTED" in found["stream"] and "it neither streams" in found["stream"]


def test_tritons_client_reads_large_answers_that_are_compressed(servers: dict[str, Process]) -> None:
    """Its own decoder of what `Accept-Encoding` asks for."""
    program = (
        "import numpy as np, sys, tritonclient.http as t; client = t.InferenceServerClient(sys.argv[1])\n"
        "x = np.full((1, 90_000), -100, np.int8)\n"
        "a = t.InferInput('x', [1, 90_000], 'INT8'); a.set_data_from_numpy(x)\n"
        "for name in ('gzip', 'deflate', None):\n"
        "    wanted = [t.InferRequestedOutput('y', binary_data=False)]\n"
        "    got = client.infer('bytes', [a], outputs=wanted, response_compression_algorithm=name).as_numpy('y')\n"
        "    assert (got == x).all(), name\n"
    )
    address = f"127.0.0.1:{servers['bytes'].port}"
    done = subprocess.run([sys.executable, "-c", program, address], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
