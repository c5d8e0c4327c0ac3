"""Makes the variants: each method takes the model as the one before left it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind.api.artefact import MANIFEST
from tradewind_workload.compress.methods.quantisation import dynamic_int8, static_int8
from tradewind_workload.heads.answer import Classes
from tradewind_workload.heads.classification import Classification
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import ONNX, WEIGHTS
from tradewind_workload.io.store import recipe_of
from tradewind_workload.tasks.matrix import family as matrix

if TYPE_CHECKING:
    from pathlib import Path

    from tradewind.api.artefact import Manifest
    from tradewind.api.compressionjob import Candidate, Method
    from tradewind.api.trainingjob import Recipe
    from tradewind_workload.data.preparation import Prepared
    from tradewind_workload.measure.processor import Processor


@dataclass(frozen=True)
class Made:
    """A model on its way through the methods."""

    onnx: bytes
    weights: bytes | None  # safetensors; None where the network can't be built again from the recipe alone
    recipe: dict[str, Any] | None  # as it stands in the manifest
    network: Any | None = None  # Classifier


def seed_of(manifest: Manifest) -> int:
    """The seed of the model's recipe, also of a recipe that this version can't read; 0 without one."""
    seed = (manifest.recipe or {}).get("seed", 0)
    return seed if isinstance(seed, int) and seed >= 0 else 0


def told(methods: tuple[Method, ...], processor: Processor) -> tuple[str, ...]:
    """The methods in words, with every setting that the result depends on."""
    words = []
    for method in methods:
        if method.prune is not None:
            words.append(
                f"prune {method.prune.sparsity} of the channels, fine-tune {method.prune.fine_tune_epochs} epochs"
            )
        elif method.quantize is not None:
            details = (
                [f"{method.quantize.calibration_rows} calibration rows"]
                if method.quantize.scheme == "static-int8"
                else []
            )
            details += ["7-bit weights"] if processor.reduce_range else []
            words.append(method.quantize.scheme + (f" ({', '.join(details)})" if details else ""))
    return tuple(words)


@dataclass
class Workshop:
    """Makes candidates of one source model. What several candidates begin with is made once."""

    folder: Path  # of the source
    manifest: Manifest
    prepared: Prepared
    classes: np.ndarray  # int64, of the training rows, by the source's labels
    processor: Processor
    threads: int
    _made: dict[str, Made] = field(default_factory=dict)
    _rows: np.ndarray | None = None

    def make(self, candidate: Candidate) -> Made:
        """The variant. Raises Fault where the model does not allow a method."""
        made = Made((self.folder / ONNX).read_bytes(), None, self.manifest.recipe)
        for i, method in enumerate(candidate.methods):
            key = json.dumps([step.dump() for step in candidate.methods[: i + 1]])
            if key not in self._made:
                self._made[key] = self._apply(method, made)
            made = self._made[key]
        return made

    @property
    def rows(self) -> np.ndarray:
        """The training rows, float32 [n, *row shape]."""
        if self._rows is None:
            self._rows = self.prepared.train.load()
        return self._rows

    @property
    def _answer(self) -> Classes:
        return Classes(self.manifest.labels)

    def _apply(self, method: Method, made: Made) -> Made:
        if method.prune is not None:
            return self._prune(made, float(method.prune.sparsity), method.prune.fine_tune_epochs)
        assert method.quantize is not None
        if method.quantize.scheme == "dynamic-int8":
            quantised = dynamic_int8(made.onnx, reduce_range=self.processor.reduce_range)
        else:
            rows = self._calibration(method.quantize.calibration_rows)
            quantised = static_int8(made.onnx, rows, reduce_range=self.processor.reduce_range)
        if len(quantised) >= len(made.onnx) and b"Linear" not in quantised and b"Integer" not in quantised:
            raise Fault(
                "NotSupported", "the model has no layer that this scheme can compute in 8 bits: use another method."
            )
        return Made(quantised, None, made.recipe)

    def _calibration(self, count: int) -> np.ndarray:
        """Training rows by the recipe's seed, none of which stands in the validation data too."""
        seen = {row.tobytes() for row in self.prepared.validation.load()}
        order = np.random.default_rng([seed_of(self.manifest), 3]).permutation(len(self.rows))
        chosen = [number for number in order if self.rows[number].tobytes() not in seen][:count]
        if not chosen:
            raise Fault(
                "InvalidData", "every training row is also in the validation data: there is nothing to calibrate on."
            )
        return self.rows[np.sort(np.array(chosen))]

    def _prune(self, made: Made, sparsity: float, epochs: int) -> Made:
        from safetensors.torch import save

        from tradewind_workload.compress.methods.pruning import prune
        from tradewind_workload.tasks.matrix.graph import to_onnx
        from tradewind_workload.train.recipe import loss_of
        from tradewind_workload.train.result import require_same
        from tradewind_workload.train.training import Share, Training, outputs_of

        recipe = recipe_of(self.manifest.model_copy(update={"recipe": made.recipe}), self.folder)
        if recipe is None:
            raise Fault(
                "NotSupported",
                "prune takes units out of the network of a recipe, and this model was made by a program: use quantize.",
            )
        if recipe.model.architecture == "linear":
            raise Fault("NotSupported", "a linear model has no hidden units to prune: use quantize.")
        _settle(self.threads)
        shape = self.manifest.inputs[0].shape[1:]
        network = made.network or self._network(recipe)
        smaller, architecture = prune(network, recipe.model, int(np.prod(shape)), self.rows, self.classes, sparsity)
        pruned = recipe.model_copy(update={"model": architecture})
        if epochs:
            share = Share(self.rows, self.classes, (len(self.rows),))
            head = Classification.of(self.classes, len(self.manifest.labels))
            fitted = matrix.fit(self.prepared)
            training = Training(
                smaller,
                pruned,
                share,
                epochs=epochs,
                loss=loss_of(head, recipe, "cpu"),
                augment=fitted.augment(),
                scaled=fitted.scaled,
            )
            for epoch in range(epochs):
                loss = training.epoch(epoch)
                print(f"  fine-tuning epoch {epoch + 1}/{epochs}: loss {loss:.4f}", flush=True)
        smaller.eval()
        content = to_onnx(smaller, shape, self._answer)
        from tradewind_workload.export.inference import open_session, predict

        some = self.rows[:256]
        served = predict(open_session(content), some).probabilities
        require_same(self._answer, self._answer.decoded(outputs_of(smaller, some)), served, "the pruned model")
        weights = save({k: v.contiguous() for k, v in smaller.state_dict().items()})
        return Made(content, weights, pruned.written(), smaller)

    def _network(self, recipe: Recipe) -> Any:
        """The source's network. Raises Fault(NotSupported) where what is built of the recipe is another one."""
        from tradewind_workload.compress.methods.pruning import load
        from tradewind_workload.export.inference import open_session, predict
        from tradewind_workload.train.result import require_same
        from tradewind_workload.train.training import outputs_of

        network = load(self.folder / WEIGHTS, self.manifest, recipe, self.prepared.image)
        some = self.rows[:256]
        try:
            served = predict(open_session(self.folder / ONNX), some)
            expected = self._answer.decoded(outputs_of(network, some))
            require_same(self._answer, expected, served.probabilities, str(self.folder / WEIGHTS))
        except RuntimeError:
            raise Fault(
                "NotSupported",
                f"the network that this version builds of the recipe in {self.folder / MANIFEST} is not that of "
                f"{ONNX}: train the model with this version, or leave out prune.",
            ) from None
        return network


def _settle(threads: int) -> None:
    import torch

    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(threads)
