"""How requests are sent: lists one after another, and through the proxy that the environment names."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tradewind.kube import connection
from tradewind.kube.connection import Turns, connect, session_options


class _Busy:
    """An API server that tells how many requests it had at once; a list of `slow` is answered when `go` is set.

    The others are answered a moment later, or when so many are there at once.
    """

    def __init__(self, together: int | None = None) -> None:
        self.now = self.most = 0
        self.go = asyncio.Event()
        self._together, self._all = together, asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.now += 1
        self.most = max(self.most, self.now)
        response = web.StreamResponse()
        await response.prepare(request)
        if self.now == self._together:
            self._all.set()
        if request.path.endswith("slow"):
            await self.go.wait()
        elif self._together:
            await self._all.wait()
        else:
            await asyncio.sleep(0.02)
        await response.write(b"{}")
        self.now -= 1
        return response


async def _asked(busy: _Busy, *paths: str) -> list[str]:
    """Ask for all paths at once, with two sessions; the paths in the order of their answers, a slow one's last."""
    app = web.Application()
    app.router.add_get("/{path:.*}", busy.answer)
    answered: list[str] = []

    async def ask(session: aiohttp.ClientSession, path: str) -> None:
        async with session.get(server.make_url(path)) as answer:
            await answer.text()
        answered.append(path)

    lists = Turns()
    async with TestServer(app) as server, AsyncExitStack() as stack:
        sessions = [
            await stack.enter_async_context(aiohttp.ClientSession(**session_options(lists, lambda *_: None, None)))
            for _ in range(2)
        ]
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(ask(sessions[n % 2], path)) for n, path in enumerate(paths)]
            await asyncio.wait([task for task, path in zip(asking, paths, strict=True) if not path.endswith("slow")])
            busy.go.set()
    return answered


async def test_lists_go_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LONGEST_TURN", 60)
    busy = _Busy()
    paths = ["/api/v1/pods", "/apis/ray.io/v1/rayjobs", "/api/v1/pods?continue=here", "/api/v1/namespaces/a/pods"]
    assert await _asked(busy, *paths) == paths
    assert busy.most == 1


async def test_everything_else_waits_for_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LONGEST_TURN", 6000)
    busy = _Busy(together=3)
    assert await _asked(busy, "/api/v1/slow", "/api/v1/namespaces/a/pods/b", "/api/v1/pods?watch=true")
    assert busy.most == 3


async def test_a_list_without_an_answer_holds_the_others_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LONGEST_TURN", 0.1)
    *others, last = await _asked(_Busy(), "/api/v1/slow", "/api/v1/pods", "/api/v1/nodes")
    # Which of the others is first depends on whether the first answer took longer than that moment.
    assert (sorted(others), last) == (["/api/v1/nodes", "/api/v1/pods"], "/api/v1/slow")


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy.example.com:3128"}, "http://proxy.example.com:3128"),
        ({"HTTPS_PROXY": "http://proxy.example.com:3128", "NO_PROXY": "api.example.com"}, None),
        ({"HTTP_PROXY": "http://proxy.example.com:3128"}, None),
    ],
)
async def test_the_environment_s_proxy_is_used(
    environment: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "there",
        "contexts": [{"name": "there", "context": {"cluster": "there", "user": "me"}}],
        "clusters": [{"name": "there", "cluster": {"server": "https://api.example.com:6443"}}],
        "users": [{"name": "me", "user": {"token": "secret"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    assert (await connect()).configuration.proxy == proxy
