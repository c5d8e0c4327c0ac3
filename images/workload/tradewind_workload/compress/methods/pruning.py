"""prune: whole channels and hidden units are taken out of the network, and the rest is trained a little more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tradewind_workload.compress.model import Model
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import WEIGHTS
from tradewind_workload.train.judging import head_of

if TYPE_CHECKING:
    from tradewind.api.trainingjob import Recipe
    from tradewind_workload.compress.model import Context
    from tradewind_workload.train.training import Loss


@dataclass(frozen=True)
class Pruning:
    """Takes that share of the channels of each layer, the least important ones."""

    sparsity: float
    epochs: int

    def told(self, context: Context) -> str:
        """See Method."""
        return f"prune {self.sparsity} of the channels, fine-tune {self.epochs} epochs"

    def refuses(self, model: Model) -> str | None:
        """See Method."""
        try:
            recipe = model.source.recipe()
        except Fault as fault:
            return fault.message
        if recipe is None:
            return (
                "prune takes units out of the network of a recipe, and this model was made by a program: use quantize."
            )
        if recipe.model.architecture == "trees":
            return (
                "boosted trees have no channels to prune: deploy the model as it is, or train one with a smaller "
                "spec.recipe.model.trees (rounds, maxDepth)."
            )
        if recipe.model.architecture == "linear":
            return "a linear model has no hidden units to prune: use quantize."
        if model.network is None and WEIGHTS not in model.files:
            return (
                "the model has been quantised, and 8-bit weights can't be trained: prune the model that it was made of."
            )
        return None

    def apply(self, model: Model, context: Context) -> Model:
        """See Method."""
        from tradewind_workload.compress.methods.channels import without_channels
        from tradewind_workload.train import allocator, determinism
        from tradewind_workload.train.learning import loss_of

        determinism.require(context.threads)
        source = model.source
        allocator.keep(source.room.held)
        recipe = source.recipe()
        assert recipe is not None
        recipe = recipe.model_copy(update={"precision": "fp32"})  # it runs on CPUs
        network = model.network if model.network is not None else source.network(recipe)
        loss = loss_of(head_of(source.prepared), recipe, "cpu")
        smaller = without_channels(network, *context.sample, loss, self.sparsity)
        if self.epochs:
            self._tune(smaller, recipe, loss, context)
        smaller.eval()
        made = source.fitted.model(smaller, source.answer)
        source.require_same(smaller, made.onnx, "the pruned model")
        return Model(source, made.onnx, {**model.files, **made.weights}, smaller)

    def _tune(self, network: Any, recipe: Recipe, loss: Loss, context: Context) -> None:
        """Train as the recipe did, on the training rows alone."""
        from tradewind_workload.train.training import Training

        fitted = context.source.fitted
        training = Training(
            network,
            recipe,
            context.training,
            epochs=self.epochs,
            loss=loss,
            augment=fitted.augment(),
            scaled=fitted.scaled,
        )
        for epoch in range(self.epochs):
            found = training.epoch(epoch)
            print(f"  fine-tuning epoch {epoch + 1}/{self.epochs}: loss {found:.4f}", flush=True)
