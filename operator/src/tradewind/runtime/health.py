"""Liveness, readiness and metrics over HTTP."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from tradewind.runtime.metrics import Metrics


async def start_health(port: int, **checks: Callable[[], str | None]) -> web.AppRunner:
    """Serve a path a check, such as /healthz: 200, or 503 with what is amiss. Any answer shows that the loop runs."""

    def probe(check: Callable[[], str | None]) -> Callable[[web.Request], object]:
        async def answer(_request: web.Request) -> web.Response:
            amiss = check()
            return web.Response(text=amiss or "ok", status=503 if amiss else 200)

        return answer

    app = web.Application()
    for name, check in checks.items():
        app.router.add_get(f"/{name}", probe(check))  # type: ignore[arg-type]
    return await _serve(app, port)


async def start_metrics(port: int, metrics: Metrics) -> web.AppRunner:
    """Serve /metrics in Prometheus' text format."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app = web.Application()
    app.router.add_get("/metrics", answer)
    return await _serve(app, port)


async def _serve(app: web.Application, port: int) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
