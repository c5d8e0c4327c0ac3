"""Who sends a report: a pod, proved by its service account token."""

from __future__ import annotations

import asyncio
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
REFUSED_SECONDS = 10.0  # a refused one is not asked about again
REMEMBERED = 2048  # of each
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
    """Asks the API server about tokens, and remembers its answers for a short while.

    So a program that sends a token again and again, a good one or a bad one, asks the API server for little.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: OrderedDict[bytes, tuple[float, Pod | Unproved]] = OrderedDict()
        self._refused: OrderedDict[bytes, tuple[float, Pod | Unproved]] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Pod]] = {}

    async def pod(self, token: str) -> Pod:
        """The pod that a token was made for. Raises `Unproved`, or `KubeError` when the API server can't tell."""
        if not token or len(token) > LONGEST_TOKEN or not token.isascii() or not token.isprintable():
            raise Unproved("send the token of the pod's service account as `Authorization: Bearer <token>`")
        name = hashlib.sha256(token.encode()).digest()
        for answers in (self._known, self._refused):
            until, answer = answers.get(name, (0.0, None))
            if time.monotonic() < until:
                if isinstance(answer, Pod):
                    return answer
                raise Unproved(*(answer.args if answer else ()))
        asking = self._asking.get(name)
        if asking is None:
            asking = self._asking[name] = asyncio.create_task(self._ask(name, token))
            asking.add_done_callback(lambda done: self._answered(name, done))
        return await asyncio.shield(asking)  # others may wait for the same answer

    def _answered(self, name: bytes, done: asyncio.Task[Pod]) -> None:
        del self._asking[name]
        if not done.cancelled():
            done.exception()  # nobody may be left who waits for it

    async def _ask(self, name: bytes, token: str) -> Pod:
        try:
            pod = _pod(await self._client.review_token(token, AUDIENCE))
        except Unproved as error:
            _remember(self._refused, name, error, REFUSED_SECONDS)
            raise
        _remember(self._known, name, pod, REMEMBER_SECONDS)
        return pod


def _remember(
    answers: OrderedDict[bytes, tuple[float, Pod | Unproved]], name: bytes, answer: Pod | Unproved, seconds: float
) -> None:
    answers[name] = (time.monotonic() + seconds, answer)
    answers.move_to_end(name)
    if len(answers) > REMEMBERED:
        answers.popitem(last=False)


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
