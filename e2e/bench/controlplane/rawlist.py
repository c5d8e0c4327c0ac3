"""The least that a restart costs: all objects listed in pages and decoded. `python -m ... KUBECONFIG`; prints seconds.

What a client does without further thought: one connection, pages of 500 as kubectl and client-go have them, JSON.
"""

from __future__ import annotations

import http.client
import json
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

from e2e.access import Access
from e2e.bench.controlplane.client import NETWORK_POLICY, RAY_JOB, TRAINING_JOB

PAGE = 500


def main(kubeconfig: str) -> None:
    """List TrainingJobs, RayJobs and NetworkPolicies; print the seconds and the number of objects as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        access = Access.read(Path(kubeconfig), Path(folder))
    start = time.monotonic()
    host = urllib.parse.urlsplit(access.url)
    connection = http.client.HTTPSConnection(str(host.hostname), host.port, context=access.tls)
    count = 0
    for kind in (TRAINING_JOB, RAY_JOB, NETWORK_POLICY):
        more: str | None = ""
        while more is not None:
            connection.request("GET", f"{kind.path()}?limit={PAGE}{more}")
            body = json.loads(connection.getresponse().read())
            count += len(body["items"])
            token = body["metadata"].get("continue")
            more = f"&continue={token}" if token else None
    print(json.dumps({"seconds": time.monotonic() - start, "objects": count}))


if __name__ == "__main__":
    main(sys.argv[1])
