"""A TrainingJob with an entrypoint: the user's own program as a process of this driver, without a shell.

It gets the environment of the pod, and
TRADEWIND_OUTPUT (folder for its result), TRADEWIND_STORAGE_PATH (for RunConfig(storage_path=...): a further attempt
restores from there), TRADEWIND_WORKERS (for ScalingConfig(num_workers=...)), TRADEWIND_ATTEMPT, and where the job has
data, TRADEWIND_DATA_TRAIN, TRADEWIND_DATA_VALIDATION and TRADEWIND_DATA_TEST (paths).
A model.onnx that it leaves in TRADEWIND_OUTPUT becomes the job's model, with samples.json where it leaves one too and
weights in files beside it: all is copied to a folder that never changes (see io/artefacts.py), and its own files stay.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind_workload.io.artefacts import Draft, address, point
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import ONNX, SAMPLES, WEIGHTS, make_folder, storage_fault
from tradewind_workload.io.places import METRICS, Assignment, local_path
from tradewind_workload.io.retries import patiently
from tradewind_workload.programs.snapshots import repair

if TYPE_CHECKING:
    from tradewind_workload.io.reporter import Reporter

WORKING_DIR = "/mnt/workingdir"
TAIL = 20  # lines of the program's output that are told again when it fails


def run(job: Assignment, reporter: Reporter) -> int:
    """Run the program. Returns its exit code; the operator decides about another attempt."""
    argv = [str(argument) for argument in job.spec["entrypoint"]["argv"]]
    folder = local_path(job.output)
    try:
        patiently(lambda: make_folder(job.run_folder), job.output)
        for stale in (job.run_folder / METRICS, folder / SAMPLES):  # of an earlier run, whose model gave other answers
            stale.unlink(missing_ok=True)
    except OSError as error:
        raise storage_fault(job.run_folder, error) from None
    for line in repair(job.run_folder):
        print(line, flush=True)
    started = time.time()
    with tempfile.TemporaryDirectory(prefix="program-") as scratch:
        where = _copy(Path(os.environ.get("TRADEWIND_WORKING_DIR", WORKING_DIR)), Path(scratch))
        code, tail = _stream(argv, where, environment(job, where))
    if code != 0:
        print(
            f"{argv[0]} ended with exit code {code}; its last lines:\n{tail}",
            file=sys.stderr,
            flush=True,
        )
        return code if 0 < code < 256 else 1
    model = folder / ONNX
    if _is_of_run(model, started):
        reporter.final({"model": _publish(job, folder, started)})
    return 0


def _is_of_run(file: Path, started: float) -> bool:
    """Whether a program that started then left the file; one of an earlier run belongs to another model."""
    return file.is_file() and file.stat().st_mtime >= started - 1


def environment(job: Assignment, where: Path) -> dict[str, str]:
    """The environment of the program, whose files are in `where`."""
    folder = local_path(job.output)
    values = dict(os.environ)
    values |= {
        "PATH": f"{Path(sys.executable).parent}:{values.get('PATH', os.defpath)}",  # python is the one that has Ray
        "TRADEWIND_OUTPUT": str(folder),
        "TRADEWIND_STORAGE_PATH": str(job.run_folder),
        "TRADEWIND_WORKERS": str(job.spec.get("workers", 1)),
        "TRADEWIND_ATTEMPT": str(job.attempt),
    }
    data = job.spec.get("data") or {}
    for part in ("train", "validation", "test"):
        if (dataset := data.get(part)) is not None:
            values[f"TRADEWIND_DATA_{part.upper()}"] = str(local_path(dataset["storageUri"]))
    if "TRADEWIND_JOB_FILE" in values:
        values["TRADEWIND_JOB_FILE"] = str(Path(values["TRADEWIND_JOB_FILE"]).absolute())  # the program runs elsewhere
    callbacks = [entry for entry in values.get("RAY_TRAIN_CALLBACKS", "").split(",") if entry]
    values["RAY_TRAIN_CALLBACKS"] = ",".join([*callbacks, "tradewind_workload.programs.report.Automatic"])
    # ray.init() of the program reads this: its workers in other pods find the program's files by it.
    config = json.loads(values.get("RAY_JOB_CONFIG_JSON_ENV_VAR") or "{}")
    runtime = dict(config.get("runtime_env") or {})
    runtime.setdefault("working_dir", str(where))
    values["RAY_JOB_CONFIG_JSON_ENV_VAR"] = json.dumps({**config, "runtime_env": runtime})
    # What the program itself says in ray.init(runtime_env=...) counts; Ray would refuse it beside ours otherwise.
    values.setdefault("RAY_OVERRIDE_JOB_RUNTIME_ENV", "1")
    return values


def _copy(source: Path, target: Path) -> Path:
    """A writable copy of the mounted files. A ConfigMap's mount has links and hidden folders of its own."""
    if source.is_dir():
        for entry in source.iterdir():
            if entry.name.startswith(".."):
                continue
            if entry.is_dir():
                shutil.copytree(entry, target / entry.name)
            else:
                shutil.copyfile(entry, target / entry.name)
    return target


def _stream(argv: list[str], where: Path, values: dict[str, str]) -> tuple[int, str]:
    """Run it, its output line by line in this job's log. Returns the exit code and the last lines."""
    try:
        process = subprocess.Popen(  # noqa: S603 -- the user's own program, in the user's own pod
            argv,
            cwd=where,
            env=values,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except FileNotFoundError:
        return (
            127,
            f"the program {argv[0]!r} is not in the image or in the working directory: correct spec.entrypoint.argv",
        )
    except PermissionError:
        return (
            126,
            f"the file {argv[0]!r} can't be executed: put an interpreter before it in spec.entrypoint.argv.",
        )
    tail: deque[str] = deque(maxlen=TAIL)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            tail.append(line.rstrip("\n")[:1000])
        return process.wait(), "\n".join(tail)
    finally:
        if process.poll() is None:
            process.terminate()


def _publish(job: Assignment, folder: Path, started: float) -> dict[str, Any]:
    """Make a model of the model.onnx that the program left: api.trainingjob.ModelResult.

    Raises Fault where it can't be served, or can't be looked at in this image.
    """
    path = folder / ONNX
    try:
        import onnx

        from tradewind_workload.export.inference import open_session
    except ImportError as error:
        raise Fault(
            "NotSupported",
            f"the program left {path}, and this image lacks {error.name}, by which it would be checked. Add onnx, "
            "onnxruntime and numpy to spec.entrypoint.image to have it as the job's model. The file stays, and a "
            f"ModelDeployment can serve it from {job.output}/{ONNX} (spec.model.storageUri).",
        ) from None
    from tradewind_workload.export.signature import signature

    try:
        proto = onnx.load(path, load_external_data=False)
    except Exception as error:  # noqa: BLE001 -- protobuf's error is of no public class
        raise Fault("InvalidModel", f"{path} is not an ONNX file: {' '.join(str(error).split())[:200]}") from None
    whole, beside = _weights(proto, folder)
    try:
        inputs, outputs = signature(proto)
    except ValueError as error:
        raise Fault("InvalidModel", f"{path}: {error}; export it with tensors of numbers or strings.") from None
    open_session(path)
    metrics: list[dict[str, str]] = []
    reported = job.run_folder / METRICS
    if reported.is_file():
        metrics = json.loads(reported.read_bytes())
    data = job.spec.get("data")
    with Draft.begin(folder) as draft:
        if whole is not None:
            draft.write(ONNX, whole)
        for name in (*(() if whole is not None else (ONNX,)), SAMPLES, *beside):
            if (folder / name).is_file():
                draft.copy(name, folder / name)
        if _is_of_run(folder / WEIGHTS, started):
            draft.copy(WEIGHTS, folder / WEIGHTS)
        manifest = {
            "formatVersion": 1,
            "task": "custom",
            "inputs": inputs,
            "outputs": outputs,
            "metrics": metrics,
            "lineage": {"kind": job.kind, "namespace": job.namespace, "name": job.name, "uid": job.uid},
            "files": draft.files,
            **({} if data is None else {"data": data}),
        }
        stored = draft.finish(manifest)
    point(folder, stored)
    return {
        "storageUri": address(job.output, folder, stored.folder),
        "digest": stored.digest,
        "metrics": metrics,
        "sizeBytes": draft.files[ONNX]["sizeBytes"],
    }


# Protobuf has no messages of 2 GiB; what else is in the file needs room too.
MOST_IN_ONE_FILE = (2 << 30) - (64 << 20)


def _weights(proto: Any, folder: Path) -> tuple[bytes | None, tuple[str, ...]]:
    """The model with the weights that lie beside it in one file, if there is room; else the names of these files.

    The exporter of torch writes two files by default. Raises Fault(InvalidModel) where one of them is not there.
    """
    import onnx
    from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_model, uses_external_data

    names = {
        ExternalDataInfo(constant).location for constant in proto.graph.initializer if uses_external_data(constant)
    }
    for name in sorted(names):
        if Path(name).name != name or not (folder / name).is_file():
            raise Fault(
                "InvalidModel",
                f"{folder / ONNX} says that it keeps weights in {name!r}, which is not in {folder}: leave both files "
                "in TRADEWIND_OUTPUT, or save the model as one file (external_data=False).",
            )
    if not names or sum((folder / name).stat().st_size for name in names) > MOST_IN_ONE_FILE:
        return None, tuple(sorted(names))
    try:
        load_external_data_for_model(proto, str(folder))
    except (ValueError, OSError, onnx.checker.ValidationError) as error:
        raise Fault("InvalidModel", f"{folder / ONNX}: its weights can't be read: {error}") from None
    return proto.SerializeToString(), ()
