"""Servers that several tests ask, one a model, started together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import graphs
import pytest
from process import Process

from tradewind_server.cgroup import refuse_more_memory

# Some of the models here would fill the machine's memory in the process of the tests.
refuse_more_memory()

LIMITS = ("--max_body_bytes=100000", "--max_rows=100")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Process]]:
    """By the name of the model; only the classifier has a manifest."""
    root = tmp_path_factory.mktemp("models")
    models = {
        "classifier": graphs.classifier(),
        "adder": graphs.adder(),
        "embedding": graphs.embedding(),
        "half": graphs.identity(graphs.FLOAT16, ["rows", 2]),
        "text": graphs.identity(graphs.STRING, ["rows"]),
        "bytes": graphs.identity(graphs.TensorProto.INT8, ["rows", "columns"]),
    }
    for name, model in models.items():
        graphs.save(model, root / name / "model.onnx")
    graphs.manifest(root / "classifier")
    processes = {name: Process(root / name, root / f"{name}.log", *LIMITS, name=name) for name in models}
    try:
        for process in processes.values():
            process.ready()
        yield processes
    finally:
        for process in processes.values():
            process.close()


@pytest.fixture(scope="session")
def classifier(servers: dict[str, Process]) -> Process:
    """A server of the classifier."""
    return servers["classifier"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the classifier, without a manifest."""
    graphs.save(graphs.classifier(), tmp_path / "model" / "model.onnx")
    return tmp_path / "model"
