"""Who sends a report: a pod, proved by its service account token."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tradewind.api.report import AUDIENCE
from tradewind.kube.client import Client

POD_NAME = "authentication.kubernetes.io/pod-name"
POD_UID = "authentication.kubernetes.io/pod-uid"
ACCOUNT = "system:serviceaccount:"
REMEMBER_SECONDS = 60.0  # a revoked token works for so long
REMEMBERED = 2048
LONGEST_TOKEN = 16 * 1024


class Unproved(Exception):
    """The token does not say who sends; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that was proved to be the sender."""

    namespace: str
    name: str
    uid: str


class Callers:
    """Asks the API server about tokens, and remembers its answers for a short while."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: OrderedDict[bytes, tuple[float, Pod]] = OrderedDict()

    async def pod(self, token: str) -> Pod:
        """The pod that a token was made for. Raises `Unproved`, or `KubeError` when the API server can't tell."""
        if not token or len(token) > LONGEST_TOKEN or not token.isascii() or not token.isprintable():
            raise Unproved("send the token of the pod's service account as `Authorization: Bearer <token>`")
        name = hashlib.sha256(token.encode()).digest()
        known = self._known.get(name)
        if known is not None and time.monotonic() < known[0]:
            return known[1]
        pod = _pod(await self._client.review_token(token, AUDIENCE))
        self._known[name] = (time.monotonic() + REMEMBER_SECONDS, pod)
        self._known.move_to_end(name)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return pod


def _pod(status: Mapping[str, Any]) -> Pod:
    if not status.get("authenticated") or AUDIENCE not in (status.get("audiences") or ()):
        raise Unproved(f"the token is not valid for audience {AUDIENCE!r}: it expired, or is another service's")
    user = status.get("user") or {}
    username = str(user.get("username") or "")
    extra = user.get("extra") or {}
    name: list[str] = extra.get(POD_NAME) or []
    uid: list[str] = extra.get(POD_UID) or []
    if not username.startswith(ACCOUNT) or len(name) != 1 or len(uid) != 1:
        raise Unproved("the token is not bound to a pod: use the one that is projected into the pod")
    return Pod(username.removeprefix(ACCOUNT).partition(":")[0], str(name[0]), str(uid[0]))
