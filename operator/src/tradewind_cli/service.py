"""A model served on a port of this machine by the server of the cluster, as a process of its own, and asked once."""

from __future__ import annotations

import json
import math
import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tradewind.api.artefact import SAMPLES, Samples
from tradewind.core.quantity import parse
from tradewind_cli.manifests import BadManifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tradewind.api.modeldeployment import ModelDeployment

HOST = "127.0.0.1"
PATIENCE = 30.0  # seconds after which a person hears what is waited for
INLINE = 400  # characters of a request that are shown in the command itself
SERVER_PYTHON = "TRADEWIND_SERVER_PYTHON"  # a Python that has the server's packages, where this one has not


@dataclass
class Service:
    """A server that is ready."""

    name: str
    url: str
    process: subprocess.Popen[bytes]

    @property
    def predict(self) -> str:
        """Where protocol v1 takes requests."""
        return f"{self.url}/v1/models/{self.name}:predict"

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Its answer by protocol v1. Raises BadManifest with the server's own sentence where it refuses."""
        asked = urllib.request.Request(  # noqa: S310 -- our own server
            self.predict, json.dumps(request).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            said = error.read(2048).decode(errors="replace")
            raise BadManifest(f"the server refused its own golden sample: {error.code} {said}") from None


@contextmanager
def serving(item: ModelDeployment, model: Path, digest: str | None, log: Path) -> Iterator[Service]:
    """Serve the model of that folder under the deployment's name, with its limits and as many threads as a replica has.

    Raises BadManifest with the server's last words where it ends before it is ready.
    """
    name, port = item.metadata.name, _free_port()
    limits = item.spec.limits.model_dump(exclude_none=True)
    environment = {
        **os.environ,
        **{f"TRADEWIND_{limit.upper()}": str(value) for limit, value in limits.items()},
        "TRADEWIND_MODEL_NAME": name,
        "TRADEWIND_THREADS": str(max(1, math.ceil(parse(item.spec.resources.cpu)))),
        **({"TRADEWIND_MODEL_DIGEST": digest} if digest is not None else {}),
    }
    command = [os.environ.get(SERVER_PYTHON, sys.executable), "-m", "tradewind_server", f"--model_dir={model}"]
    command += [f"--http_port={port}", f"--http_host={HOST}", "--drain_seconds=0", "--log_format=text"]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        _wait(service := Service(name, f"http://{HOST}:{port}", process), log)
        yield service
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def golden(model: Path) -> dict[str, Any] | None:
    """A request with the first golden sample of a model; None where it has none."""
    from tradewind_workload.io.store import locate

    path = (locate(model)[0] if model.is_dir() else model.parent) / SAMPLES
    if not path.exists():
        return None
    samples = Samples.read(json.loads(path.read_bytes()))
    return {"instances": list(samples.instances[:1])} if samples.instances else None


def curl(service: Service, request: dict[str, Any], file: Path) -> str:
    """The command that asks the same; a large request is written to the file, which the command names."""
    body = json.dumps(request)
    if len(body) > INLINE:
        file.write_text(body)
        return f"curl {service.predict} -H 'Content-Type: application/json' -d @{shlex.quote(str(file))}"
    return f"curl {service.predict} -H 'Content-Type: application/json' -d {shlex.quote(body)}"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


def _wait(service: Service, log: Path) -> None:
    # It ends by itself where it can't serve the model, so it is waited for as long as it runs.
    patient_until = time.monotonic() + PATIENCE
    while service.process.poll() is None:
        try:
            with urllib.request.urlopen(f"{service.url}/v2/health/ready", timeout=5) as answer:  # noqa: S310
                if answer.status == 200:
                    return
        except OSError:
            pass
        if time.monotonic() > patient_until:
            print(f"  the server is still starting; its log is {log}", flush=True)
            patient_until = float("inf")
        time.sleep(0.1)
    lines = log.read_text(errors="replace").strip().splitlines()
    said = lines[-1] if lines else "it printed nothing"
    raise BadManifest(f"the server of {service.name} ended: {said} (the whole log is {log})")
