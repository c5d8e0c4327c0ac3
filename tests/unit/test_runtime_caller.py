"""Tokens are asked about once in a while, good ones and bad ones."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tradewind.api.report import AUDIENCE
from tradewind.runtime import caller
from tradewind.runtime.caller import ACCOUNT, POD_NAME, POD_UID, Callers, Pod, Unproved


class _Reviews:
    """Answers of the API server: good for tokens that begin so."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def review_token(self, token: str, _audience: str) -> dict[str, Any]:
        self.asked.append(token)
        await asyncio.sleep(0)
        if not token.startswith("good"):
            return {"authenticated": False}
        user = {"username": f"{ACCOUNT}digits:default", "extra": {POD_NAME: ["head"], POD_UID: ["uid"]}}
        return {"authenticated": True, "audiences": [AUDIENCE], "user": user}


async def _refused(callers: Callers, token: str) -> str:
    with pytest.raises(Unproved) as error:
        await callers.pod(token)
    return str(error.value)


async def test_a_refused_token_is_not_asked_about_again_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    reviews = _Reviews()
    callers = Callers(reviews)  # type: ignore[arg-type]
    said = {await _refused(callers, "bad") for _ in range(50)}
    assert reviews.asked == ["bad"] and len(said) == 1 and "not valid" in said.pop()
    now = time.monotonic() + caller.REFUSED_SECONDS
    monkeypatch.setattr(caller.time, "monotonic", lambda: now)
    await _refused(callers, "bad")
    assert reviews.asked == ["bad", "bad"]


async def test_those_who_ask_at_once_wait_for_one_answer() -> None:
    reviews = _Reviews()
    callers = Callers(reviews)  # type: ignore[arg-type]
    pods = await asyncio.gather(*(callers.pod("good") for _ in range(20)))
    assert set(pods) == {Pod("digits", "head", "uid")} and reviews.asked == ["good"]
    first, second = asyncio.create_task(callers.pod("good too")), asyncio.create_task(callers.pod("good too"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == Pod("digits", "head", "uid"), "one that hangs up takes nothing from the others"


async def test_bad_tokens_neither_fill_the_memory_nor_push_out_good_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller, "REMEMBERED", 10)
    reviews = _Reviews()
    callers = Callers(reviews)  # type: ignore[arg-type]
    await callers.pod("good")
    for number in range(50):
        await _refused(callers, f"bad {number}")
    await callers.pod("good")
    assert reviews.asked.count("good") == 1
    assert len(callers._refused) == 10
