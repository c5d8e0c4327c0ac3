"""`python -m tradewind_server --model_name=digits --model_dir=/mnt/models`."""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable
from pathlib import Path

from tradewind_server import logs
from tradewind_server.cgroup import allowed_threads, refuse_more_memory

# Requests that wait for a thread: enough for the largest batch, and for the bursts of a load that a replica bears. More
# would only make those wait that come then.
QUEUE = 64


def arguments() -> argparse.Namespace:
    """Arguments in the spelling of KServe's servers; ServingRuntimes pass the first two."""
    parser = argparse.ArgumentParser(
        prog="tradewind_server",
        description="Serves an ONNX model over KServe's protocols v1 and v2, the latter also over gRPC.",
        epilog="Environment: TRADEWIND_MODEL_NAME is the name in paths in place of --model_name; "
        "TRADEWIND_MODEL_DIGEST is the digest that the model must have (sha256:...); "
        "TRADEWIND_THREADS overrides the number of threads, which is taken from the control group; "
        "TRADEWIND_MAX_ and the name of a limit (BODY_BYTES, ROWS, QUEUE, PIXELS, BATCH, WAIT_SECONDS, READ_SECONDS,"
        " GPU_MEMORY_BYTES) is that limit in place of the flag, and so are TRADEWIND_GRACE_SECONDS and"
        " TRADEWIND_DEVICE; "
        "TRADEWIND_MEMORY_BYTES is the memory of the process, where it has not all of its control group's.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--model_name", help="name of the model in paths, where TRADEWIND_MODEL_NAME is not set")
    parser.add_argument(
        "--model_dir", type=Path, default=Path("/mnt/models"), help="an ONNX file, or a folder with one"
    )
    parser.add_argument("--http_port", type=int, default=8080, help="port of predictions, health and metrics")
    parser.add_argument("--grpc_port", type=_port, help="port of gRPC, which KServe has at 8081; no gRPC if not given")
    parser.add_argument("--http_host", default="0.0.0.0", help="address to listen at")  # noqa: S104 -- a pod's is known only at run time
    parser.add_argument("--max_body_bytes", type=_positive, default=16 << 20, help="largest body of a request")
    parser.add_argument("--max_rows", type=_positive, default=4096, help="most rows in a request")
    parser.add_argument(
        "--max_queue", type=_positive, help=f"most requests that wait for the model; {QUEUE} a thread if not given"
    )
    parser.add_argument(
        "--max_pixels", type=_positive, default=50_000_000, help="most pixels of a picture, and of those of a request"
    )
    parser.add_argument(
        "--max_batch",
        type=_positive,
        default=64,
        help="most rows of several requests that are computed together, where that pays; 1 for none",
    )
    parser.add_argument(
        "--max_wait_seconds",
        type=_seconds,
        default=1.0,
        help="a request that would wait longer for the model is refused with 429, unless fewer wait than there are "
        "threads",
    )
    parser.add_argument(
        "--max_read_seconds", type=_seconds, default=30.0, help="how long the body of a request may take to arrive"
    )
    parser.add_argument(
        "--device", type=_device, default="cpu", help="cpu or gpu; not Ready where a GPU is asked for and can't be used"
    )
    parser.add_argument(
        "--max_gpu_memory_bytes", type=_positive, help="what the model may take of the GPU's memory; all if not given"
    )
    parser.add_argument("--drain_seconds", type=float, default=5.0, help="how long to answer on after SIGTERM")
    parser.add_argument("--grace_seconds", type=_positive, default=20, help="how long what runs may take after that")
    parser.add_argument("--log_format", choices=("json", "text"), default="json", help="form of the log's lines")
    args = parser.parse_args()
    for limit, (read, what) in _LIMITS.items():
        if told := os.environ.get(f"TRADEWIND_{limit.upper()}"):
            try:
                setattr(args, limit, read(told))
            except (ValueError, argparse.ArgumentTypeError):
                parser.error(f"TRADEWIND_{limit.upper()} must be {what}, got {told!r}")
    # KServe passes the name of the InferenceService, which has the revision in it; clients ask for the deployment's.
    told = os.environ.get("TRADEWIND_MODEL_NAME")
    args.model_name = told or args.model_name
    if not args.model_name:
        parser.error("the following arguments are required: --model_name (or set TRADEWIND_MODEL_NAME)")
    if "/" in args.model_name or not args.model_name.isprintable():
        which = "TRADEWIND_MODEL_NAME" if told else "--model_name"
        parser.error(f"{which} is a part of a path: letters, digits, - and _")
    return args


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"must be a port from 1 to 65535, or 0 for any that is free, got {text}")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 86400:
        raise argparse.ArgumentTypeError(f"must be more than 0 and at most 86400, got {text}")
    return value


def _device(text: str) -> str:
    if text not in ("cpu", "gpu"):
        raise argparse.ArgumentTypeError(f"must be cpu or gpu, got {text}")
    return text


_WHOLE = (_positive, "a whole number from 1")
_TIME = (_seconds, "a number of seconds above 0, and 86400 at most")
_LIMITS: dict[str, tuple[Callable[[str], float | str], str]] = {
    **dict.fromkeys(("max_body_bytes", "max_rows", "max_queue", "max_pixels", "max_batch", "grace_seconds"), _WHOLE),
    "max_gpu_memory_bytes": _WHOLE,
    "device": (_device, "cpu or gpu"),
    **dict.fromkeys(("max_wait_seconds", "max_read_seconds"), _TIME),
}


def _threads() -> int:
    text = os.environ.get("TRADEWIND_THREADS", "")
    if not text:
        return allowed_threads()
    if not text.isdigit() or not 1 <= int(text) <= 1024:
        raise SystemExit(f"TRADEWIND_THREADS must be a number from 1 to 1024, got {text!r}")
    return int(text)


def main() -> None:
    """Runs the server until SIGTERM."""
    args = arguments()
    logs.configure(args.log_format)
    threads = _threads()
    # Libraries that make threads of their own look here; what they would make is beside ONNX Runtime's.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what a client of gRPC does wrong, it is told
    # Pillow warns about what is odd in files that users send, and Python would keep each of these texts.
    warnings.filterwarnings("ignore", module=r"PIL\.")

    # Only now: arguments are checked at once, and these imports take most of the start.
    from tradewind_server.bodies import Bodies
    from tradewind_server.model import Limits, OnnxModel, expected_digest
    from tradewind_server.server import Server
    from tradewind_server.session import Device

    refuse_more_memory()
    queue = args.max_queue or QUEUE * threads
    limits = Limits(args.max_rows, queue, args.max_pixels, batch=args.max_batch, wait=args.max_wait_seconds)
    device = Device(args.device == "gpu", args.max_gpu_memory_bytes)
    model = OnnxModel(args.model_name, args.model_dir, expected_digest(), threads, limits, device)
    bodies = Bodies(args.max_body_bytes, args.max_read_seconds)
    address = args.http_host, args.http_port
    Server(address, args.grpc_port, bodies, args.drain_seconds, args.grace_seconds).start(model)


if __name__ == "__main__":
    main()
