"""Calls of gRPC as the bytes and statuses that they are, whatever a client would make of them."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
from process import PATIENCE

from tradewind_server.protobuf import SERVICE, messages

NO_LIMIT = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
METHOD = f"/{SERVICE.full_name}/"


def request(*inputs: dict[str, Any], raw: list[Any] = [], model: str = "m", **rest: Any) -> Any:  # noqa: B006 -- is only read
    """A ModelInferRequest; `raw` has arrays or bytes."""
    contents = [each.tobytes() if isinstance(each, np.ndarray) else each for each in raw]
    return messages.ModelInferRequest(model_name=model, inputs=inputs, raw_input_contents=contents, **rest)


def told(**parameters: Any) -> dict[str, Any]:
    """Parameters as the protocol has them."""
    kinds = {bool: "bool_param", int: "int64_param", str: "string_param"}
    return {name: messages.InferParameter(**{kinds[type(value)]: value}) for name, value in parameters.items()}


def call(port: int, asked: Any, method: str = "ModelInfer", **rest: Any) -> Any:
    """The answer to a message, or to bytes in place of one. Raises grpc.RpcError."""
    kind = getattr(messages, SERVICE.methods_by_name[method].output_type.name)
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=NO_LIMIT) as channel:
        content = asked if isinstance(asked, bytes) else asked.SerializeToString()
        return kind.FromString(channel.unary_unary(METHOD + method)(content, timeout=PATIENCE, **rest))


def refusal(port: int, asked: Any, method: str = "ModelInfer", **rest: Any) -> tuple[grpc.StatusCode, str]:
    """The status and the sentence with which a message is refused."""
    try:
        answer = call(port, asked, method, **rest)
    except grpc.RpcError as error:
        return error.code(), error.details() or ""
    raise AssertionError(f"answered: {str(answer)[:1000]}")


def arrays(answer: Any) -> dict[str, Any]:
    """The outputs by name, of whichever form."""
    kinds = {"FP32": "<f4", "FP16": "<f2", "INT64": "<i8"}
    found = {}
    for at, output in enumerate(answer.outputs):
        if answer.raw_output_contents:
            flat = np.frombuffer(answer.raw_output_contents[at], kinds[output.datatype])
        else:
            [(_, flat)] = output.contents.ListFields()
        found[output.name] = np.array(flat).reshape(output.shape).tolist()
    return found
