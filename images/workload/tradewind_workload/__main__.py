"""Entry of a job's driver: reads the document of the job and does what it says.

Exit codes: 0 the operator knows the result (or has moved on), 1 the program failed and may be tried again, 2 it gave
up for a reason that another attempt would only repeat, and has said so to the operator.
"""

from __future__ import annotations

import os
import sys
import traceback

# Before Ray is imported anywhere.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# For programs of the user's own, which inherit them.
os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.25")  # a report of a worker waits for it, 2 s by default
os.environ.setdefault(
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0"
)  # Kubernetes tells pods, not Ray; saves a process of 110 MB
os.environ.setdefault("RAY_TRAIN_ENABLE_PRINT_PATCH", "0")  # it prints every line twice

from typing import Any

from tradewind_workload.io.fault import Fault, StorageUnavailable, Superseded
from tradewind_workload.io.places import Assignment, read_document
from tradewind_workload.io.reporter import Refused, Reporter


def main() -> int:
    """Run the job. Returns the exit code."""
    document = read_document()
    reporter = Reporter(Assignment.of(document), on_superseded=_leave)
    try:
        return _dispatch(document, reporter)
    except Superseded as error:
        print(f"nothing more to do: {error}", flush=True)
        return 0
    except StorageUnavailable as fault:
        print(f"{fault.reason}: {fault.message}", file=sys.stderr, flush=True)
        return 1
    except Fault as fault:
        print(f"{fault.reason}: {fault.message}", file=sys.stderr, flush=True)
        return _give_up(reporter, fault)
    except (Refused, TimeoutError) as error:
        print(f"the result could not be delivered: {error}", file=sys.stderr, flush=True)
        return 1
    except Exception:  # noqa: BLE001 -- whatever it was, it belongs into the log and the exit code
        traceback.print_exc()
        return 1


def _dispatch(document: dict[str, Any], reporter: Reporter) -> int:
    # A program of the user's own may be in an image that has nothing of ours but what agent.py brings along.
    if document["spec"].get("entrypoint") is not None:
        from tradewind_workload.programs import program

        return program.run(Assignment.of(document), reporter)
    from tradewind.api.report import JobDocument
    from tradewind_workload.train.cluster import Cluster

    job, place = JobDocument.read(document), Cluster()
    if job.kind == "CompressionJob":
        from tradewind_workload.compress import job as compression

        compression.run(job, reporter, place)
    else:
        from tradewind_workload.train import recipe

        recipe.run(job, reporter, place)
    return 0


def _give_up(reporter: Reporter, fault: Fault) -> int:
    try:
        reporter.final({"failure": {"reason": fault.reason, "message": fault.message[:4096]}})
    except Superseded:
        return 0
    except (Refused, TimeoutError) as error:
        print(f"the failure could not be delivered: {error}", file=sys.stderr, flush=True)
        return 1
    return 2


def _leave() -> None:
    print("the operator has moved on", flush=True)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
