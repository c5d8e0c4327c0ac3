"""The agent in an image of the user's own: it needs the standard library and Ray, and nothing else of ours."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from jobs import training_job

from tradewind.api import artefact, base
from tradewind.api import report as contract
from tradewind.api.report import Report
from tradewind_workload import agent
from tradewind_workload.io import files, places
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.reporter import Reporter
from tradewind_workload.programs import program, report

if TYPE_CHECKING:
    from pathlib import Path

    from endpoint import Endpoint

# By these alone a program runs; the others are looked for when it is there that they are needed.
ALONE = [
    name.replace("/", ".") for name in agent.MODULES if name.rsplit("/")[-1] not in ("__init__", "inference", "report")
]

# A program that sets its own runtime environment, beside what we tell Ray of its files.
PROGRAM = """
import os, pathlib, sys, tempfile
assert "tradewind" not in sys.modules
import ray
ray.init(runtime_env={"working_dir": ".", "env_vars": {"MINE": "yes"}})
from ray.train import Checkpoint, RunConfig, ScalingConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

def loop():
    assert os.environ["MINE"] == "yes"
    import beside  # the workers have the program's files
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "state").write_text("1")
        ray.train.report({"step": 7, "loss": 0.5, "progress": 0.5}, checkpoint=Checkpoint.from_directory(folder))

DataParallelTrainer(loop, scaling_config=ScalingConfig(num_workers=int(os.environ["TRADEWIND_WORKERS"])),
                    run_config=RunConfig(name="run", storage_path=os.environ["TRADEWIND_STORAGE_PATH"])).fit()
"""


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """What the init container leaves; a second time it is the same."""
    agent.copy(tmp_path / "agent")
    agent.copy(tmp_path / "agent")
    return tmp_path / "agent"


def test_constants_are_those_of_the_contract() -> None:
    assert (places.MOUNT, places.JOB_FILE, places.PVC_ROOT) == (contract.MOUNT, contract.JOB_FILE, contract.PVC_ROOT)
    assert artefact.MANIFEST == files.MANIFEST
    assert base.LARGEST_INTEGER == report.LARGEST_INTEGER


def test_it_needs_the_standard_library_alone(copied: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(copied)!r}); import " + ", ".join(
        f"tradewind_workload.{name}" for name in ALONE
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False, cwd=copied
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", agent.MODULES)
def test_it_is_written_for_the_oldest_python_of_ray(copied: Path, name: str) -> None:
    source = (copied / "tradewind_workload" / f"{name}.py").read_text()
    tree = ast.parse(source, feature_version=(3, 10))
    # Names that came with Python 3.11 and later.
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert not names & {"UTC", "Self", "StrEnum", "assert_never", "override", "batched"}
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not attributes & {"file_digest", "UTC", "add_note", "walk_up"}


@pytest.mark.usefixtures("ray_cluster")
def test_a_program_runs_and_reports_where_only_the_agent_is(copied: Path, operator: Endpoint, volumes: Path) -> None:
    # Ray's own processes find our code here, which they would not in such an image: the driver's is told apart.
    sender = copied / "tradewind_workload" / "io" / "reporter.py"
    told_by = sender.read_text().replace('{"run": self._job.run, ', '{"by": "the agent", "run": self._job.run, ')
    sender.write_text(told_by)
    mounted = volumes / "mounted"
    mounted.mkdir()
    (mounted / "main.py").write_text(PROGRAM)
    (mounted / "beside.py").touch()
    spec = {
        "entrypoint": {"argv": [sys.executable, "main.py"], "image": "registry.example.com/ray:2.60.0"},
        "workers": 1,
        "output": {"storageUri": "pvc://claim/own"},
    }
    (volumes / "job.json").write_text(json.dumps(training_job(spec, url=operator.url)))
    environment = os.environ | {
        "PYTHONPATH": str(copied),
        "TRADEWIND_JOB_FILE": str(volumes / "job.json"),
        "TRADEWIND_PVC_ROOT": str(volumes),
        "TRADEWIND_MOUNT": str(operator.mount),
        "TRADEWIND_WORKING_DIR": str(mounted),
    }
    done = subprocess.run(
        [sys.executable, "-m", "tradewind_workload"],
        env=environment,
        cwd=volumes,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert operator.reports[-1]["by"] == "the agent"  # and so the controller needs no module of ours
    told = Report.read(operator.reports[-1])
    assert told.run == "attempt-1"
    assert told.trainer_status is not None
    assert {entry.name: entry.value for entry in told.trainer_status.metrics} == {"step": "7", "loss": "0.5"}
    assert told.trainer_status.progress_percentage == 50
    assert told.last_checkpoint is not None
    assert told.last_checkpoint.step == 7


@pytest.mark.parametrize("lacking", ["onnx", "onnxruntime"])
def test_a_model_in_an_image_that_can_not_look_at_it(
    operator: Endpoint, volumes: Path, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    source = "import os, pathlib; pathlib.Path(os.environ['TRADEWIND_OUTPUT'], 'model.onnx').write_bytes(b'a graph')"
    spec: dict[str, Any] = {"entrypoint": {"argv": [sys.executable, "-c", source]}}
    job = places.Assignment.of(training_job(spec | {"output": {"storageUri": "pvc://claim/own"}}, url=operator.url))
    monkeypatch.setitem(sys.modules, lacking, None)
    monkeypatch.delitem(sys.modules, "tradewind_workload.export.inference", raising=False)
    with pytest.raises(
        Fault, match=f"this image lacks {lacking}, .* Add onnx, onnxruntime and numpy to spec"
    ) as caught:
        program.run(job, Reporter(job, mount=operator.mount))
    assert caught.value.reason == "NotSupported"
    assert "serve it from pvc://claim/own/model.onnx" in caught.value.message
    assert (volumes / "claim/own/model.onnx").is_file()
