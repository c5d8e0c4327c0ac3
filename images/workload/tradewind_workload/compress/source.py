"""The model that is compressed, with the rows that it learnt from and is judged by, read as its training read them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind.api.artefact import MANIFEST
from tradewind.api.data import ColumnChoice
from tradewind_workload.data.division import groups_of
from tradewind_workload.data.headers import read_headers
from tradewind_workload.data.labels import Known
from tradewind_workload.data.preparation import prepare
from tradewind_workload.export.inference import ask, open_session
from tradewind_workload.heads.answer import LABEL, LABELS, PREDICTION, PROBABILITIES
from tradewind_workload.io.artefacts import address
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import ONNX, WEIGHTS
from tradewind_workload.io.places import local_path, stream_folder
from tradewind_workload.io.store import data_of, locate, open_model, recipe_of
from tradewind_workload.train import cluster, families
from tradewind_workload.train.judging import answer_of, head_of, judging_part

if TYPE_CHECKING:
    from pathlib import Path

    from tradewind.api.artefact import Manifest
    from tradewind.api.compressionjob import CompressionJobSpec
    from tradewind.api.data import Data
    from tradewind.api.report import JobDocument
    from tradewind.api.trainingjob import Recipe
    from tradewind_workload.data.preparation import Prepared, Room
    from tradewind_workload.data.rows import Rows
    from tradewind_workload.heads.answer import Answer
    from tradewind_workload.heads.head import Head
    from tradewind_workload.tasks.family import Fitted
    from tradewind_workload.train.place import Place

COMPARED = 256  # rows that two forms of one network are compared on


@dataclass(frozen=True)
class Source:
    """A finished model and its data."""

    folder: Path
    uri: str
    manifest: Manifest
    digest: str
    prepared: Prepared  # rows load as a network takes them; their classes are numbered by the model's own labels
    fitted: Fitted
    room: Room  # what there is for rows
    by_group: bool = False  # whether the data was split so that groups of rows stay together

    @property
    def answer(self) -> Answer:
        """What the model gives."""
        return answer_of(self.prepared)

    @property
    def head(self) -> Head:
        """What the answers are measured by."""
        return head_of(self.prepared)

    @property
    def primary(self) -> str:
        """Name of the metric that the model was judged by."""
        evaluation = self.manifest.evaluation
        return self.head.primary(None).name if evaluation is None else evaluation.metric

    @property
    def judging(self) -> tuple[str, Rows]:
        """Name and rows of the part that judges the variants."""
        return "Validation", self.prepared.validation

    @property
    def showing(self) -> tuple[str, Rows]:
        """Name and rows of the part that the model was judged by, and whose numbers are shown of its variants."""
        return judging_part(self.prepared)

    def groups(self, rows: Rows) -> np.ndarray | None:
        """Numbers that rows of one group share, where the data was split by groups and the rows have theirs."""
        return groups_of(rows) if self.by_group else None

    @property
    def seed(self) -> int:
        """That of the model's recipe."""
        return seed_of(self.manifest)

    def recipe(self) -> Recipe | None:
        """The recipe, None for a model of a program. Raises Fault(NotSupported) where this version can't read it."""
        return recipe_of(self.manifest, self.folder)

    def network(self, recipe: Recipe) -> Any:
        """The trained network, a torch.nn.Module.

        Raises Fault(InvalidModel) where the weights are not those of the recipe, and Fault(NotSupported) where what
        this version builds of them is not what model.onnx computes.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        weights = self.folder / WEIGHTS
        try:
            tensors = load_file(weights)
        except (SafetensorError, OSError, ValueError) as error:
            raise Fault("InvalidModel", f"{weights} can't be read as safetensors: {error}.") from None
        try:
            network = self.fitted.stored(recipe.model, self.answer.width, tensors)
        except ValueError as error:
            raise Fault("InvalidModel", f"{weights} does not fit the recipe in {MANIFEST}: {error}") from None
        try:
            self.require_same(network, (self.folder / ONNX).read_bytes(), str(weights))
        except RuntimeError:
            raise Fault(
                "NotSupported",
                f"the network that this version builds of the recipe in {self.folder / MANIFEST}, with the rows that "
                f"it reads now, is not that of {ONNX}: train the model with this version, give spec.data the data that "
                "it was trained on, or leave out prune.",
            ) from None
        return network

    def require_same(self, network: Any, onnx: bytes, where: str) -> None:
        """Raises RuntimeError where a network and a graph answer training rows in another way."""
        from tradewind_workload.train.result import require_same
        from tradewind_workload.train.training import outputs_of

        some = self.prepared.train.take(np.arange(min(COMPARED, len(self.prepared.train))))
        served = self.answer.among(ask(open_session(onnx), self.fitted.feeds(some.table())))
        require_same(self.answer, self.answer.decoded(outputs_of(network, some.load())), served, where)


def seed_of(manifest: Manifest) -> int:
    """The seed of the model's recipe, also of a recipe that this version can't read; 0 without one."""
    seed = (manifest.recipe or {}).get("seed", 0)
    return seed if isinstance(seed, int) and seed >= 0 else 0


def labels_of(manifest: Manifest) -> tuple[str, ...]:
    """Names of the classes, by index: those of a program, which says none, are their numbers. Empty for a number."""
    probabilities = next((tensor for tensor in manifest.outputs if tensor.name == PROBABILITIES), None)
    if manifest.labels or probabilities is None:
        return manifest.labels
    return tuple(str(number) for number in range(probabilities.shape[-1]))


def _gives_sets(manifest: Manifest) -> bool:
    """Whether it gives a row any number of labels."""
    return any(tensor.name == LABELS and tensor.datatype == "BOOL" for tensor in manifest.outputs)


def open_source(job: JobDocument, spec: CompressionJobSpec, place: Place) -> Source:
    """The model that a job names, checked, with its rows. Raises Fault in a sentence that says what to do."""
    if job.source is None:
        raise Fault("InvalidModel", "the job names no model: set spec.model.")
    named = local_path(job.source.storage_uri)
    folder, expected = locate(named, job.source.digest)
    manifest, digest = open_model(folder, expected)
    _require_known(manifest, folder)
    data = spec.data or data_of(manifest, folder)
    if data is None:
        raise Fault("InvalidData", "the model does not say what data it was trained on: set spec.data.")
    data = _with_formats(data, manifest)
    task = manifest.task
    if task == "custom":
        kind = "multilabel-classification" if _gives_sets(manifest) else "classification"
        task = f"tabular-{kind}" if labels_of(manifest) else "tabular-regression"
    headers = read_headers(data, task, families.read_by(manifest))
    rows = stream_folder(local_path(spec.output.storage_uri), job.uid)
    memory, field = spec.resources.memory, "spec.resources.memory"
    if memory is None:  # without a cluster, and of an operator that does not know the field
        memory, field = spec.measure.resources.memory, "spec.measure.resources.memory"
    room = cluster.room(memory, field, rows, families.side_of(manifest))
    labels = labels_of(manifest)
    known = Known(labels, by_number=not manifest.labels) if labels else None
    prepared = families.trimmed(prepare(data, headers, seed_of(manifest), place.start(1), room, known), data)
    _require_inputs(manifest, prepared)
    if manifest.split is not None and manifest.split.digest != prepared.split_digest:
        print(
            "the rows are not those that the model was trained on: its data has changed since, or spec.data names "
            "other data",
            flush=True,
        )
    prepared = replace(prepared, judged_by=_judged_by(manifest))
    fitted = families.read(manifest, folder, prepared)
    uri = address(job.source.storage_uri, named, folder)
    by_group = data.split is not None and data.split.by == "Group"
    return Source(folder, uri, manifest, digest, families.encoded(prepared, fitted), fitted, room, by_group)


def _with_formats(data: Data, manifest: Manifest) -> Data:
    """The data, whose times are read as those of the training were, whatever the order of day and month looks like."""
    told = {choice.name for choice in data.columns}
    formats = tuple(
        ColumnChoice(name=tensor.name, type="datetime", format=tensor.format)
        for tensor in manifest.inputs
        if tensor.format is not None and tensor.name not in told
    )
    return data.model_copy(update={"columns": (*data.columns, *formats)})


def _judged_by(manifest: Manifest) -> int | None:
    """The positive class that the model was judged by; None where its evaluation names none."""
    positive = manifest.evaluation.positive if manifest.evaluation is not None else None
    return next((i for i, label in enumerate(manifest.labels) if label[:256] == positive), None)


def _require_known(manifest: Manifest, folder: Path) -> None:
    """Raises Fault(NotSupported) for a model whose inputs or outputs are not those of a recipe's."""
    names = {tensor.name for tensor in manifest.outputs}
    decides = LABEL in names or _gives_sets(manifest)
    if (decides and PROBABILITIES in names and labels_of(manifest)) or PREDICTION in names:
        if manifest.inputs and (manifest.task != "custom" or len(manifest.inputs) == 1):
            return
        told = f"takes {len(manifest.inputs)} inputs"
    else:
        told = f"has the outputs {', '.join(sorted(names))}"
    raise Fault(
        "NotSupported",
        f"{folder / ONNX} {told}: a model to compress is a recipe's, or takes one input and gives label (or "
        "labels, true or false of each) and probabilities, of a fixed number of classes, or prediction, as a recipe's "
        "model does. Deploy it as it is (spec.model of a ModelDeployment).",
    )


def _require_inputs(manifest: Manifest, prepared: Prepared) -> None:
    """Raises Fault(InvalidData) where rows are not what the model takes."""
    if prepared.schema is not None:
        there = {column.name: column for column in prepared.schema.inputs}
        if lacking := [tensor.name for tensor in manifest.inputs if tensor.name not in there]:
            raise Fault(
                "InvalidData",
                f"the model takes {', '.join(repr(name) for name in lacking[:5])}, and the data has no such column "
                "among its inputs: give spec.data the data that the model is for.",
            )
        for tensor in manifest.inputs:
            column = there[tensor.name]
            if "datetime" in (tensor.kind, column.kind) and tensor.kind != column.kind:
                raise Fault(
                    "InvalidData",
                    f"the model takes a {tensor.kind} in {tensor.name!r}, which is a {column.kind} in the data "
                    f"({column.why}): say in spec.data.columns what the column is, or give the data that the model is "
                    "for.",
                )
        return
    taken = tuple(manifest.inputs[0].shape[1:])
    if taken != prepared.row_shape:
        raise Fault(
            "InvalidData",
            f"a row of the data has the shape {list(prepared.row_shape)}, and the model takes {list(taken)}: "
            "give spec.data the data that the model is for.",
        )
