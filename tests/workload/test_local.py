"""`tradewind run`: a file from data to an answer on this machine, where Ray can't even be imported."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from conftest import digits_spec
from jobs import ROOT, SOURCES, alone, digits, finish, start, training_job

from e2e import venv
from tradewind.api.artefact import MANIFEST
from tradewind_cli import volumes as volumes_of
from tradewind_workload.io.files import REPORT, REPORT_PAGE
from tradewind_workload.io.store import locate, open_model

if TYPE_CHECKING:
    from pathlib import Path

# Ray is in this environment: whoever asks for it is refused here as where it is not. At the line $STOP_AT the process
# is stopped as by Ctrl-C, and at one with $TERMINATE_AT it gets SIGTERM.
WITHOUT_RAY = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in a shell's background
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "ray":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
printed = sys.stdout.write
def write(text):
    printed(text)
    if text.startswith(os.environ.get("STOP_AT", "never")):
        signal.raise_signal(signal.SIGINT)
    if os.environ.get("TERMINATE_AT", "\\0") in text:
        signal.raise_signal(signal.SIGTERM)
sys.stdout.write = write
from tradewind_cli.__main__ import main
# How sure the numbers are is what test_measurement.py and test_replica.py ask.
from tradewind_workload.measure import measurement, replica, sweep
measurement.PROCESSES = replica.PROCESSES = replica.PAIRS = (2, 2)
sweep.SECONDS, replica.LONGER = 0.1, 2
sys.exit(main(sys.argv[1:]))
"""


def write_digits(volumes: Path, rows: int = 600) -> None:
    images, classes = digits()
    data = volumes / "claim" / "data"
    data.mkdir(parents=True)
    np.savez(data / "train.npz", image=images[:rows], digit=classes[:rows])
    np.savez(data / "validation.npz", image=images[1200:1500], digit=classes[1200:1500])


def manifest(file: Path, epochs: int = 3) -> Path:
    """A file with all three kinds, and what is ignored here."""
    training = digits_spec("pvc://claim/model")
    training["recipe"]["epochs"] = epochs
    compression = {
        "model": {"trainingJobRef": {"name": "job"}},
        "candidates": [{"name": "static", "methods": [{"quantize": {"scheme": "static-int8"}}]}],
        "measure": {"repeats": 10},
        "output": {"storageUri": "pvc://claim/variants"},
    }
    deployment = {"model": {"compressionJobRef": {"name": "job"}}, "select": {"minimize": "Size"}}
    bodies = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}}]
    for kind, spec in (("ModelDeployment", deployment), ("CompressionJob", compression), ("TrainingJob", training)):
        body = {"apiVersion": "tradewind.dev/v1alpha1", "kind": kind, "metadata": {"name": "job"}, "spec": spec}
        bodies.append(body)
    file.write_text(yaml.safe_dump_all(bodies))
    return file


def tradewind(file: Path, volumes: Path, **environment: str) -> tuple[int, str]:
    sources = os.pathsep.join([SOURCES, str(ROOT / "images/server")])
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT_RAY, "run", "-f", file, "--data-dir", volumes, "--once"],
        env=os.environ | {"PYTHONPATH": sources, "TRADEWIND_SERVER_PYTHON": str(venv.python("server"))} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    return finish(process)


@dataclass(frozen=True)
class Ran:
    volumes: Path
    file: Path
    output: str


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Stopped in its training, and run again to the end."""
    volumes = tmp_path_factory.mktemp("volumes")
    write_digits(volumes)
    file = manifest(volumes / "digits.yaml")
    code, output = tradewind(file, volumes, STOP_AT="epoch 2/3")
    assert code == 130, output
    code, output = tradewind(file, volumes)
    assert code == 0, output
    return Ran(volumes, file, output)


def test_a_file_becomes_an_answer(ran: Ran) -> None:
    """The golden sample is asked by HTTP, and its label is the one that is stored with the model."""
    assert "ignored here: ConfigMap other" in ran.output
    assert "spec.workers is 2; here one worker trains" in ran.output
    said = ("loading PyTorch", "measuring 2 variants, the baseline among them", "  starting the server")
    lines = ran.output.splitlines()
    assert [line for line in lines if line in said] == [*said], "before each that takes seconds"
    assert re.search(r"^TrainingJob job: Complete, accuracy 0\.\d+", ran.output, re.MULTILINE)
    assert re.search(r"^  static +Accepted|^  static +Not", ran.output, re.MULTILINE)
    chosen = re.search(r"^ModelDeployment job: (\w+)$", ran.output, re.MULTILINE)
    assert chosen is not None
    assert f"  ●  {chosen[1]}: " in ran.output
    picture = ran.volumes / "claim/variants/frontier-job.png"
    assert f"  {picture}" in lines and picture.read_bytes().startswith(b"\x89PNG")
    trained = chosen[1] == "baseline"
    folder, _ = locate(ran.volumes / "claim" / ("model" if trained else "variants/static"))
    samples = json.loads((folder / "samples.json").read_bytes())
    (asked,) = (number for number, line in enumerate(lines) if line.startswith("$ curl http://127.0.0.1:"))
    assert json.loads(lines[asked + 1])["predictions"] == [str(samples["outputs"]["label"][0])]


def test_replicas_are_measured_on_this_machine(ran: Ran) -> None:
    """By the server that serves afterwards."""
    report = json.loads((ran.volumes / "claim/variants/report.json").read_text())
    for row in report["variants"]:
        within, alone = row["replica"]["within"], row["runtime"]["latencies"]
        latencies = {found["percentile"]: float(found["milliseconds"]) for found in row["latencies"]}
        assert within["percentile"] == 95 and float(within["milliseconds"]) > 0
        assert 0 < float(alone[0]["milliseconds"]) < latencies[50] <= latencies[95]
        swept = report["sweeps"][row["name"]]
        rates = [swept["rate"], *swept["others"]]
        assert float(row.get("throughputPerSecond", 0)) == pytest.approx(np.median(rates), abs=0.1)
        ends = row.get("throughputInterval", {"low": 0, "high": 0})
        assert [float(end) for end in ends.values()] == pytest.approx([min(rates), max(rates)], abs=0.1)
        parts = {found["part"]: float(found["milliseconds"]) for found in row["replica"]["parts"]}
        assert 0 < parts["model"] < sum(parts.values())
    assert re.search(r"^the load generator took 0\.\d+ ms", ran.output, re.MULTILINE)


def test_it_goes_on_where_it_was_stopped(ran: Ran) -> None:
    """The signal came before the checkpoint of epoch 2, or after it."""
    assert re.search(r"continuing after epoch [12]", ran.output)
    assert "epoch 1/3" not in ran.output


def test_what_is_finished_is_not_done_again_and_sigterm_ends_the_server_too(ran: Ran) -> None:
    code, output = tradewind(ran.file, ran.volumes, TERMINATE_AT=" is ready; ")
    assert code == 143, output
    (port,) = re.findall(r"http://127.0.0.1:(\d+) is ready", output)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)), timeout=5)
    assert "epoch" not in output
    assert "finished by an earlier attempt" in output


def test_data_that_changed_is_trained_on_anew(ran: Ran) -> None:
    with np.load(ran.volumes / "claim/data/train.npz") as data:
        arrays = dict(data)
    np.savez(ran.volumes / "claim/data/train.npz", **{name: array[:-20] for name, array in arrays.items()})
    code, output = tradewind(ran.file, ran.volumes, STOP_AT="epoch 1/3")
    assert code == 130, output
    assert "Traceback" not in output


def test_pictures_that_a_table_names_are_data_too(volumes: Path) -> None:
    """Else a model of other pictures would count as finished."""
    claim = volumes / "claim"
    (claim / "photos").mkdir(parents=True)
    (claim / "photos/1").write_bytes(b"one")
    (claim / "t.csv").write_text("photo,label\nphotos/1,a\n../../1,b\n,c\nphotos/9,d\n")
    data = {"train": {"storageUri": "pvc://claim/t.csv"}, "validationFraction": "0.5"}
    told = {"data": data | {"columns": [{"name": "photo", "type": "image"}, {"name": "other", "type": "image"}]}}
    before = volumes_of.state(volumes, told)
    (claim / "other").touch()
    assert volumes_of.state(volumes, told) == before
    (claim / "photos/1").write_bytes(b"two")
    assert volumes_of.state(volumes, told) != before


def test_data_that_is_missing_is_named(tmp_path: Path) -> None:
    code, output = tradewind(manifest(tmp_path / "digits.yaml"), tmp_path)
    assert code == 1
    assert "Traceback" not in output
    assert output.splitlines()[-1] == (
        f"error: pvc://claim/data/train.npz is {tmp_path}/claim/data/train.npz here, and that does not exist: put it "
        "there."
    )


@pytest.mark.parametrize("below", ["", "below"])
def test_a_data_folder_that_can_not_be_made_is_named(below: str, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.touch()
    code, output = tradewind(manifest(tmp_path / "digits.yaml"), taken / below)
    assert code == 1
    assert "Traceback" not in output
    assert output.startswith(f"error: {taken / below}: ")
    assert "choose another folder with --data-dir" in output


def test_a_recipe_gives_the_same_model_with_and_without_ray(
    ray_cluster: None, volumes: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker, the same object: not a byte of what is served differs, though each report has times of its own."""
    write_digits(volumes)
    spec = digits_spec("pvc://claim/model") | {"workers": 1}
    spec["recipe"]["epochs"] = 2
    document = training_job(spec)
    code, output = finish(start(document, volumes))
    assert code == 0, output
    here = tmp_path_factory.mktemp("alone")
    monkeypatch.setenv("TRADEWIND_PVC_ROOT", str(here))
    write_digits(here)
    reports, _ = alone(document)
    models = [locate(root / "claim/model")[0] for root in (volumes, here)]
    assert open_model(models[1])[1] == reports[-1]["model"]["digest"]
    contents = [
        {path.name: path.read_bytes() for path in model.iterdir() if path.name not in (MANIFEST, REPORT, REPORT_PAGE)}
        for model in models
    ]
    assert contents[0] == contents[1]
    assert {"model.onnx", "model.safetensors", "samples.json"} <= contents[0].keys()
    percent = [report["trainerStatus"]["progressPercentage"] for report in reports[:-1]]
    assert percent == sorted(percent)
    assert percent[-1] == 99
