"""The command line: `run` is the operator, `certificates` makes the report endpoint's certificate at installation."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import secrets
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from tradewind.kube.errors import KubeError
from tradewind.runtime import logs
from tradewind.runtime.settings import BadConfig

logger = logging.getLogger("tradewind")


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    top = argparse.ArgumentParser(prog="tradewind", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", help="run the operator")
    run.add_argument("--config", type=Path, default=Path("/etc/tradewind/config.yaml"), help="configuration file")
    run.add_argument(
        "--tls-dir", type=Path, default=Path("/etc/tradewind/tls"), help="folder with tls.crt, tls.key and ca.crt"
    )
    run.add_argument(
        "--namespace-of-lease",
        default=os.environ.get("POD_NAMESPACE", "tradewind-system"),
        help="namespace of the lease (default: POD_NAMESPACE)",
    )
    run.add_argument("--report-port", type=int, default=8443, help="HTTPS port for reports")
    run.add_argument("--metrics-port", type=int, default=8080, help="HTTP port of /metrics")
    run.add_argument("--health-port", type=int, default=8081, help="HTTP port of /healthz and /readyz")
    run.add_argument(
        "--resync-seconds", type=float, default=3600.0, help="list everything afresh after so many seconds"
    )
    _log_options(run)

    certificates = commands.add_parser(
        "certificates", help="make the report endpoint's certificate, unless its Secret is there"
    )
    certificates.add_argument("--namespace", required=True, help="namespace of the Service and the Secret")
    certificates.add_argument("--service", required=True, help="name of the Service")
    certificates.add_argument("--secret", required=True, help="name of the Secret")
    _log_options(certificates)
    return top


def _log_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--log-format", choices=("json", "text"), default="json", help="form of the log lines")
    command.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")


def identity() -> str:
    """The name of this replica: the pod's, so that a restarted container has its lease again at once."""
    return os.environ.get("POD_NAME") or f"{socket.gethostname()}-{secrets.token_hex(4)}"


async def _certificates(arguments: argparse.Namespace) -> int:
    from tradewind.kube.client import Client
    from tradewind.kube.connection import connect
    from tradewind.runtime.certificates import ensure

    client = Client(await connect(), lambda _verb, _resource, _code: None)
    try:
        await ensure(client, arguments.namespace, arguments.service, arguments.secret)
    finally:
        await client.close()
    return 0


async def _run(arguments: argparse.Namespace) -> int:
    from tradewind.runtime.app import run
    from tradewind.runtime.controllers import CONTROLLERS
    from tradewind.runtime.options import Options

    options = Options(
        config=arguments.config,
        tls_dir=arguments.tls_dir,
        namespace_of_lease=arguments.namespace_of_lease,
        identity=identity(),
        host=os.environ.get("POD_IP") or "localhost",
        report_port=arguments.report_port,
        metrics_port=arguments.metrics_port,
        health_port=arguments.health_port,
        resync_seconds=arguments.resync_seconds,
    )
    code = await run(options, CONTROLLERS)
    if code:
        # The lease is lost or we made a mistake: what can't be cancelled is not waited for, another replica has begun.
        os._exit(code)
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the process's exit code. Mistakes of the user's are told in a sentence."""
    arguments = parser().parse_args(argv)
    logs.set_up(arguments.log_format, arguments.log_level)
    try:
        return asyncio.run(_certificates(arguments) if arguments.command == "certificates" else _run(arguments))
    except (BadConfig, KubeError, OSError) as error:
        logger.error("%s", error)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
