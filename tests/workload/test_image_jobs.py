"""Whole jobs on pictures, from folders of files to a stored model that takes such files."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from jobs import alone, finish, start, training_job
from test_images import job, put, stripes

from tradewind_processors import Picturing
from tradewind_workload.export.inference import ask, open_session
from tradewind_workload.io.store import locate, open_model

if TYPE_CHECKING:
    from pathlib import Path

    from endpoint import Endpoint


@pytest.mark.parametrize("workers", [1, 2])
def test_pictures_become_a_model_that_takes_their_files(
    workers: int, operator: Endpoint, volumes: Path, request: pytest.FixtureRequest
) -> None:
    """By two workers on Ray, and by one without it."""
    put(volumes / "claim/photos")
    recipe = {"epochs": 8, "batchSize": 8, "optimizer": {"lr": "0.01"}}
    augment = {"flip": "Both", "color": {"brightness": "0.1"}, "noise": "0.02", "mixup": "0.1"}
    spec = job(recipe=recipe, data={"prepare": [{"dropDuplicates": {}}, {"augment": augment}]}, workers=workers)
    if workers == 1:
        _, output = alone(training_job(spec))
    else:
        request.getfixturevalue("ray_cluster")
        code, output = finish(start(training_job(spec, url=operator.url), volumes, TRADEWIND_MOUNT=str(operator.mount)))
        assert code == 0, output
    assert "training pictures of 12 x 12 to 12 x 16 pixels, in colours; the model sees 12 x 16 x 3" in output
    manifest, _ = open_model(volumes / "claim/model")
    folder, _ = locate(volumes / "claim/model")
    (taken,) = manifest.inputs
    assert (taken.name, taken.datatype, taken.shape, taken.kind) == ("image", "BYTES", (-1,), "image")
    picture = {"height": 12, "width": 16, "channels": 3, "resize": "Stretch"}
    assert taken.dump()["processor"] == {"picture": picture}
    assert manifest.labels == ("lying", "upright")
    assert manifest.evaluation is not None and manifest.evaluation.better_than_guessing
    assert float(manifest.evaluation.value) > 0.9

    # Files that the job never saw, asked as the server asks.
    contents = [stripes(1000 + number, upright=bool(number % 2)) for number in range(60)]
    pixels = Picturing(12, 16, 3, "Stretch")(contents)
    session = open_session(folder / "model.onnx")
    label, _ = session.run(["label", "probabilities"], {"image": pixels})
    assert np.mean(label == np.arange(60) % 2) > 0.9
    samples = json.loads((folder / "samples.json").read_bytes())
    sent = [base64.b64decode(row["image"]["b64"]) for row in samples["instances"]]
    again = ask(session, {"image": Picturing(12, 16, 3, "Stretch")(sent)})
    assert again["label"].tolist() == samples["outputs"]["label"]
    np.testing.assert_allclose(again["probabilities"], samples["outputs"]["probabilities"], atol=1e-6)
