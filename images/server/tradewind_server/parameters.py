"""Parameters of a request: the ones that are honoured, or that change nothing here; any other is refused by name.

A parameter may change what an answer looks like, so one that nobody knows is never passed over.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tradewind_server.refusal import BadRequest, listed, shown

# Of MLServer's clients: how they made a tensor. What is listed is how we read it anyway.
_CONTENT_TYPES = ("datetime", "np", "pd", "str")
# Of pictures, whose bytes JSON can't carry.
BASE64 = "base64"
# Headers that a proxy in between put into the body (MLServer, Triton).
_FORWARDED = frozenset({"content_type", "headers"})
# For schedulers and for models with a state (Triton's clients); every request here is answered by itself, in its turn.
_SCHEDULING = frozenset({"sequence_id", "sequence_start", "sequence_end", "priority", "timeout"})

REQUEST = _FORWARDED | _SCHEDULING | {"binary_data_output"}
INPUT = _FORWARDED | {"binary_data_size"}
OUTPUT = _FORWARDED | {"binary_data", "classification"}


def checked(
    given: Any, known: frozenset[str], where: str, content_types: Collection[str] = _CONTENT_TYPES
) -> dict[str, Any]:
    """The parameters of a request, an input or an output. Refuses one that is not `known`."""
    if not given and (given is None or isinstance(given, dict)):
        return {}
    if not isinstance(given, dict):
        raise BadRequest(f"{where}: parameters must be an object, got {shown(given)}")
    for name in given:
        if name not in known:
            raise BadRequest(f"{where}: parameter {shown(name)} is not supported{_instead(name, known)}")
    content_type = given.get("content_type")
    if content_type is not None and content_type not in content_types:
        raise BadRequest(
            f"{where}: content_type {shown(content_type)} is not supported; send values as they are"
            f" ({listed(content_types)})"
        )
    return given


def _instead(name: str, known: frozenset[str]) -> str:
    if name in ("classification", "class_count"):
        return "; ask for it as the parameter classification of an output, or by protocol v1"
    if name.startswith("shared_memory"):
        return "; send the tensor in the body"
    return f"; known are {listed(sorted(known))}"


def check_v1(request: Mapping[str, Any]) -> None:
    """Refuses what would change the answer of protocol v1, which has no parameters."""
    if request.get("parameters"):
        raise BadRequest(f"parameters of protocol v1 are not supported, got {shown(request['parameters'])}")
    if (signature := request.get("signature_name", "serving_default")) != "serving_default":
        raise BadRequest(f"the model has no signature {shown(signature)}: leave signature_name out")
