"""The command line: `python3 -m e2e.cluster <command>`. Progress goes to stderr, answers to stdout."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from pathlib import Path

from e2e.cluster import binaries, cluster
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.build_image import build_image
from e2e.cluster.load_image import load_image
from e2e.cluster.progress import Failed, say


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m e2e.cluster", description="A whole Kubernetes on this Linux machine, without Docker."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="build the programs that the cache lacks (all, or by name)")
    build.add_argument("targets", nargs="*", metavar="TARGET")

    commands.add_parser("prepare", help="build the programs that `up` needs, and start nothing")

    up = commands.add_parser("up", help="start the cluster, or say that it is up")
    up.add_argument(
        "--with",
        dest="extras",
        action="append",
        default=[],
        choices=cluster.EXTRAS,
        help="also run this; may be repeated",
    )

    down = commands.add_parser("down", help="stop the cluster and remove its state; caches stay")
    down.add_argument("--all", action="store_true", help="also remove the store of the cluster's images")

    commands.add_parser("status", help="what runs, and whether it is healthy")
    commands.add_parser("kubeconfig", help="print the path of the administrator's kubeconfig")
    commands.add_parser("env", help="print what to evaluate in a shell")

    which = commands.add_parser("which", help="print the path of a program, built if needed")
    which.add_argument("program", choices=sorted(binaries.OWNER))

    image = commands.add_parser("build-image", help="build an image from a Dockerfile, if what it copies has changed")
    image.add_argument("name")
    image.add_argument("--dockerfile", type=Path, required=True)
    image.add_argument("--context", type=Path, default=Path())
    image.add_argument("--build-arg", dest="arguments", action="append", default=[], metavar="KEY=VALUE")
    image.add_argument("--load", action="store_true", help="also load it into the cluster")

    load = commands.add_parser("load-image", help="load an image into the cluster")
    load.add_argument("name")
    load.add_argument(
        "source", type=Path, nargs="?", help="an OCI layout or archive; default: what build-image made under that name"
    )

    server = commands.add_parser("apiserver", help="run only etcd and an API server in the foreground, for tests")
    server.add_argument("--controller-manager", action="store_true")
    server.add_argument(
        "--install", action="append", default=[], metavar="NAME", help="definitions: kuberay, kserve, prometheus"
    )
    return parser


def _apiserver(controller_manager: bool, definitions: list[str]) -> None:
    # So that SIGTERM unwinds the `with` as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ApiServer(controller_manager=controller_manager) as server:
        server.install(*definitions)
        print(server.kubeconfig, flush=True)
        say(f"API server at {server.url}; Ctrl-C ends it")
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


def _answer(options: argparse.Namespace) -> None:
    match options.command:
        case "build":
            binaries.build(*options.targets)
        case "prepare":
            cluster.build()
        case "up":
            print(f"export KUBECONFIG={cluster.up(options.extras)}")
        case "down":
            cluster.down(images=options.all)
        case "status":
            text, healthy = cluster.status()
            print(text)
            sys.exit(0 if healthy else 1)
        case "kubeconfig":
            print(cluster.kubeconfig())
        case "env":
            print(cluster.environment())
        case "which":
            print(binaries.binary(options.program))
        case "build-image":
            arguments = dict(argument.split("=", 1) for argument in options.arguments)
            build_image(options.name, options.dockerfile.absolute(), options.context.absolute(), arguments)
            if options.load:
                load_image(options.name)
        case "load-image":
            load_image(options.name, options.source.absolute() if options.source else None)
        case "apiserver":
            _apiserver(options.controller_manager, options.install)


def main() -> None:
    """Run one command; an error is a sentence, not a trace."""
    try:
        _answer(_parser().parse_args())
    except Failed as failure:
        sys.exit(f"error: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
