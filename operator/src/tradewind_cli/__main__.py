"""`tradewind run -f FILE`: what `kubectl apply -f FILE` does on a cluster, on this machine."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

# Before torch is imported anywhere: as many threads as the spec says are made where they are needed.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tradewind.api.modeldeployment import Select
from tradewind_cli import manifests, preparing, status, volumes
from tradewind_cli.chain import Chain
from tradewind_cli.drawing import drawn, say_all
from tradewind_cli.frontier import Frontier
from tradewind_cli.manifests import BadManifest, Manifests
from tradewind_cli.picture import png
from tradewind_cli.service import Service, curl, golden, serving

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tradewind.api.compressionjob import CompressionJob
    from tradewind.api.modeldeployment import ChosenVariant, ModelDeployment


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    top = argparse.ArgumentParser(prog="tradewind", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run",
        help="train, compress and serve what a file describes, on this machine",
        description="Runs the TrainingJobs, CompressionJobs and ModelDeployments of a file, in this order, with one "
        "worker and without Kubernetes and Ray. What was interrupted goes on from its last checkpoint (trees start "
        "over), and what is finished is not done again, as long as spec and data are the same.",
    )
    run.add_argument("-f", "--filename", type=Path, required=True, help="the file that kubectl apply takes")
    run.add_argument(
        "--data-dir",
        type=Path,
        default=Path("tradewind-data"),
        help="folder of the volumes: pvc://CLAIM/PATH is DIR/CLAIM/PATH (default: ./tradewind-data)",
        metavar="DIR",
    )
    run.add_argument(
        "--prepare",
        action="store_true",
        help="first run the programs of the file's Jobs on this machine, which make an example's data; they are "
        "programs like any other, so read them",
    )
    run.add_argument("--once", action="store_true", help="end after the first answer, in place of serving until Ctrl-C")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the process's exit code. Mistakes of the user's are told in a sentence."""
    arguments = parser().parse_args(argv)
    say_all()
    signal.signal(signal.SIGTERM, _terminated)
    from tradewind_workload.io.fault import Fault

    try:
        _run(arguments)
    except (BadManifest, Fault) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(
            f"error: {where}{error.strerror or error}. Mend it, or choose another folder with --data-dir (here it is "
            f"{arguments.data_dir.absolute()}); the same command goes on where it ended.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from the last checkpoint (trees start over)", file=sys.stderr)
        return 130
    return 0


def _terminated(_signal: int, _frame: object) -> None:
    """SIGTERM ends the program as an exception does, so that what it started ends with it."""
    raise SystemExit(128 + signal.SIGTERM)


def _run(arguments: argparse.Namespace) -> None:
    found = manifests.read(arguments.filename)
    folder = arguments.data_dir.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    volumes.use(folder)
    if found.others:
        print(f"ignored here: {', '.join(found.others)}", flush=True)
    _prepare(found, folder, asked=arguments.prepare)
    chain = Chain(folder, _remedy(found))
    for training in found.trainings:
        _tell(status.of_training(chain.train(training), folder))
    for compression in found.compressions:
        made = chain.compress(compression)
        _tell(status.of_compression(made, folder))
        if all(chain.compared(item) is not made for item in found.deployments):
            _draw(chain, made)
    with ExitStack() as stack:
        services = [_serve(chain, item, stack) for item in found.deployments]
        if services and not arguments.once:
            print("serving until Ctrl-C", flush=True)
            try:
                code = services[0].process.wait()
            except KeyboardInterrupt:
                return
            raise BadManifest(f"the server of {services[0].name} ended with exit code {code}")


def _prepare(found: Manifests, folder: Path, *, asked: bool) -> None:
    names = ", ".join(job["metadata"]["name"] for job in found.jobs)
    if found.jobs and not asked:
        print(f"not run without --prepare: Job {names}", flush=True)
    for job in found.jobs if asked else ():
        preparing.prepare(job, folder)


def _remedy(found: Manifests) -> str:
    names = ", ".join(job["metadata"]["name"] for job in found.jobs)
    return f"put it there, or add --prepare, which runs Job {names}" if names else "put it there"


def _serve(chain: Chain, item: ModelDeployment, stack: ExitStack) -> Service:
    chosen = chain.choose(item)
    _tell(status.of_deployment(item, chosen))
    if (compared := chain.compared(item)) is not None:
        _draw(chain, compared, item, chosen)
    model = volumes.path_of(chain.folder, chosen.storage_uri)
    logs = chain.folder / ".tradewind" / item.metadata.namespace
    print("  starting the server", flush=True)
    service = stack.enter_context(serving(item, model, chosen.digest, logs / f"{item.metadata.name}.log"))
    print(f"  {service.url} is ready; {service.url}/openapi.json describes it", flush=True)
    if (request := golden(model)) is not None:
        answer = service.ask(request)
        print(f"$ {curl(service, request, logs / f'{item.metadata.name}-request.json')}\n{_shown(answer)}", flush=True)
    return service


def _draw(
    chain: Chain, job: CompressionJob, item: ModelDeployment | None = None, chosen: ChosenVariant | None = None
) -> None:
    """The frontier of a job, and what a deployment chose of it: here, and as a picture beside the report."""
    from tradewind_workload.io.files import write_atomically

    wanted = item.spec.select if item is not None else None
    frontier = Frontier.of(job.status.variants, (wanted or Select()).minimize, chosen)
    path = volumes.path_of(chain.folder, job.spec.output.storage_uri) / (
        f"frontier-{item.metadata.name}.png" if item is not None else "frontier.png"
    )
    write_atomically(path, png(frontier))
    _tell([*drawn(frontier), f"  {path}"])


def _shown(answer: object) -> str:
    text = json.dumps(answer)
    return text if len(text) <= 2000 else f"{text[:2000]}..."


def _tell(lines: Iterable[str]) -> None:
    print("", *lines, sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
