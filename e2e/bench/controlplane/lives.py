"""What the operator asks of the API server in one happy life of each kind, and when a manifest is applied again."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any

from e2e import audit
from e2e.bench.controlplane.contestants import TRADEWIND
from e2e.bench.controlplane.site import Site
from e2e.faults.history import Admin
from e2e.faults.lives import LIVES
from e2e.faults.stage import NAME, Stage
from tradewind.ray.networkpolicy import CLOSED

KINDS = ("TrainingJob", "CompressionJob", "ModelDeployment")
STILL_SECONDS = 3.0  # in which a late write would come


async def lives(site: Site) -> dict[str, Any]:
    """Counts by kind: writes, of progress and of what a namespace shares apart; Events; reads; writes on re-apply.

    Each life is the first one of its namespace, so it is with it that what is shared is written.
    """
    operator = await site.start(TRADEWIND)
    folder = site.installed.folder
    admin = Admin(site.server, folder)
    await admin.start()
    mark = site.audit.mark()
    result: dict[str, Any] = {}
    tls = ssl.create_default_context(cafile=str(folder / "tls" / "ca.crt"))
    try:
        for life in [life for life in LIVES if life.name in KINDS]:
            namespace = f"life-{life.plural}"
            await site.client.namespace(namespace)
            stage = Stage(admin, namespace, life.plural, lambda: [f"https://localhost:{operator.report_port}"], tls)
            await life.play(stage)
            await asyncio.sleep(STILL_SECONDS)
            log = site.server.audit_log
            progress = audit.progress(log, namespace, life.plural, NAME)
            writes = audit.writes(log, namespace)
            shared = sum(number for (*_, name), number in writes.items() if name == CLOSED.name)
            result[life.name] = {
                "writes": writes.total() - progress - shared,
                "shared": shared,
                "progress": progress,
                "events": audit.events(log, namespace),
                "each": {" ".join(what): number for what, number in sorted(writes.items())},
            }
            result[life.name]["reapplied"] = await _reapplied(site, life.plural, namespace)
        asked = [e for e in site.audit.since(mark, TRADEWIND.user) if e.verb in ("get", "list")]
        # Which kinds are served is asked at the start, after it says that it is ready; that is about no object.
        about = [e for e in asked if e.resource != "customresourcedefinitions"]
        result["reads"] = {"count": len(about), "of": sorted({f"{e.verb} {e.resource}" for e in asked})}
    finally:
        await admin.stop()
        await site.stop(operator)
    return result


async def _reapplied(site: Site, plural: str, namespace: str) -> int:
    """How often the operator writes when its user applies the same manifest again, twice."""
    found = json.loads(site.server.kubectl("get", plural, NAME, f"--namespace={namespace}", "--output=json"))
    manifest = {key: found[key] for key in ("apiVersion", "kind", "spec")}
    manifest["metadata"] = {"name": NAME, "namespace": namespace}
    mark = site.audit.mark()
    for _ in range(2):
        site.server.apply(json.dumps(manifest, indent=1))
    await asyncio.sleep(STILL_SECONDS)
    return sum(entry.writes for entry in site.audit.since(mark, TRADEWIND.user))
