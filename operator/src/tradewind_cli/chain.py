"""The objects of a file, from data to the model that is chosen: each job in this process, with the operator's pure
functions for what its planners decide on a cluster."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from tradewind.api.base import Condition
from tradewind.api.compressionjob import CompressionJob, CompressionJobStatus
from tradewind.api.config import Config, Images, NodeSize, Pool, Reporting
from tradewind.api.report import JobDocument, Report
from tradewind.api.trainingjob import TrainingJob, TrainingJobStatus
from tradewind.compression import source
from tradewind.core.conditions import Reason
from tradewind.core.names import run_name
from tradewind.core.plan import Refusal
from tradewind.core.timestamps import stamp
from tradewind.deployment import model
from tradewind_cli import volumes
from tradewind_cli.manifests import BadManifest
from tradewind_cli.screen import Screen

if TYPE_CHECKING:
    from pathlib import Path

    from tradewind.api.modeldeployment import ChosenVariant, ModelDeployment
    from tradewind.api.report import SourceModel

HERE = "this machine"
_Job = TypeVar("_Job", TrainingJob, CompressionJob)


@dataclass
class Chain:
    """What was run so far, by kind, namespace and name, in the folder of the claims."""

    folder: Path
    remedy: str  # what to do where data is missing
    done: dict[tuple[str, str, str], Any] = field(default_factory=dict)

    def train(self, item: TrainingJob) -> TrainingJob:
        """Run a TrainingJob: the object with its result. Raises Fault, and BadManifest where it can't run here."""
        name, spec = item.metadata.name, item.spec
        if spec.entrypoint is not None:
            raise BadManifest(
                f"TrainingJob {name} runs a program of its own on Ray Train, which needs a cluster: use kubectl "
                "apply, or start the program itself."
            )
        assert spec.data is not None
        volumes.require_data(self.folder, spec.data, self.remedy)
        if spec.workers > 1:
            print(f"spec.workers is {spec.workers}; here one worker trains, on all rows", flush=True)
        told = {**spec.written(), "workers": 1}
        told.pop("runPolicy", None)
        from tradewind_workload.train import recipe
        from tradewind_workload.train.place import Alone

        with volumes.alone(self.folder, spec.output.storage_uri), Screen(f"TrainingJob {name}") as screen:
            recipe.run(self._document(item, told), screen, Alone(screen))
        report = _result(screen)
        status = TrainingJobStatus(conditions=_complete(), model=report.model)
        return self._keep(item.model_copy(update={"status": status}))

    def compress(self, item: CompressionJob) -> CompressionJob:
        """Run a CompressionJob: the object with its rows. Raises as `train` does."""
        found = source.find(item.spec, self._references(item))
        if isinstance(found, Refusal):
            raise BadManifest(f"CompressionJob {item.metadata.name}: {found.message}")
        volumes.require_data(self.folder, found.data, self.remedy)
        told = {**item.spec.written(), "data": found.data.written()}
        told.pop("runPolicy", None)
        from tradewind_workload.compress import job
        from tradewind_workload.train.place import Alone

        output = item.spec.output.storage_uri
        with volumes.alone(self.folder, output), Screen(f"CompressionJob {item.metadata.name}") as screen:
            job.run(self._document(item, told, found.model), screen, Alone(screen))
        report = _result(screen)
        assert report.compression is not None
        status = CompressionJobStatus(
            conditions=_complete(), **{name: value for name, value in report.compression if value is not None}
        )
        return self._keep(item.model_copy(update={"status": status}))

    def choose(self, item: ModelDeployment) -> ChosenVariant:
        """The model that a deployment serves, and why. Raises BadManifest where there is none."""
        pool = Pool(
            name=item.spec.resources.pool or "default",
            node=NodeSize(cpu=item.spec.resources.cpu, memory=item.spec.resources.memory),
        )
        config = Config(pools=(pool,), images=Images(workload="-"), reporting=Reporting(url="https://localhost"))
        found = model.find(item, self._references(item), pool, config)
        if isinstance(found, Refusal):
            raise BadManifest(f"ModelDeployment {item.metadata.name}: {found.message}")
        return found

    def compared(self, item: ModelDeployment) -> CompressionJob | None:
        """The job among whose variants a deployment chooses; None where it names its model, or another file's job."""
        named = item.spec.model.compression_job_ref
        found: CompressionJob | None = (
            self.done.get((CompressionJob.kind, item.metadata.namespace, named.name)) if named is not None else None
        )
        return found

    def _references(self, item: CompressionJob | ModelDeployment) -> dict[tuple[str, str], Any]:
        namespace = item.metadata.namespace
        return {(kind, name): made for (kind, of, name), made in self.done.items() if of == namespace}

    def _keep(self, item: _Job) -> _Job:
        self.done[item.kind, item.metadata.namespace, item.metadata.name] = item
        return item

    def _document(
        self,
        item: TrainingJob | CompressionJob,
        told: dict[str, Any],
        of: SourceModel | None = None,
    ) -> JobDocument:
        """The document of the job. Its uid is that of the spec and of the files that it names: the same again goes on
        where it was interrupted, or is finished; anything else is another job."""
        kind: Literal["TrainingJob", "CompressionJob"] = (
            "TrainingJob" if isinstance(item, TrainingJob) else "CompressionJob"
        )
        content = [
            kind,
            item.metadata.namespace,
            item.metadata.name,
            told,
            volumes.state(self.folder, told),
            of.dump() if of is not None else None,
        ]
        return JobDocument(
            kind=kind,
            namespace=item.metadata.namespace,
            name=item.metadata.name,
            uid=str(uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))),
            attempt=1,
            run=run_name(1),
            report_url="",
            source=of,
            spec=told,
        )


def _result(screen: Screen) -> Report:
    assert screen.report is not None, "a job that ends without an error has told its result"
    return screen.report


def _complete() -> tuple[Condition, ...]:
    now = stamp(datetime.now(UTC))
    return (
        Condition(
            type="Complete",
            status="True",
            reason=Reason.SUCCEEDED,
            message=f"It ran on {HERE}.",
            last_transition_time=now,
        ),
    )
