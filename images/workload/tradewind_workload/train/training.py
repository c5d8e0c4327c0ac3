"""Optimisation of a network, alone or with other processes; an epoch depends on nothing but the seed and its number.

Every row is seen once an epoch. A step's gradient is that of the mean loss over the rows of all workers, so that a
worker with a row more than another does not weigh more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from tradewind_workload.io.fault import Fault
from tradewind_workload.tasks.augmentation import mixed
from tradewind_workload.train.beginning import steps_of
from tradewind_workload.train.checkpoint import State
from tradewind_workload.train.optimizer import optimizer
from tradewind_workload.train.reduction import Reduction

if TYPE_CHECKING:
    from tradewind.api.trainingjob import Recipe
    from tradewind_workload.train.best import Best
    from tradewind_workload.train.history import Lap


@dataclass(frozen=True)
class Share:
    """The part of one process: its rows, and how many rows each process has."""

    inputs: np.ndarray  # [n, *row shape], of the type that the network takes
    targets: np.ndarray  # [n, ...]; what the loss compares the outputs with
    sizes: tuple[int, ...]  # rows of every process, by rank
    rank: int = 0

    def batches(self, seed: list[int], steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The rows in an order by the seed, with their targets, in so many parts; all of one size but for a row."""
        inputs, targets = torch.from_numpy(self.inputs), torch.from_numpy(self.targets)
        order = np.random.default_rng(seed).permutation(len(targets))
        for i in range(steps):
            chosen = torch.from_numpy(order[part_of(len(order), steps, i)])
            yield inputs[chosen], targets[chosen]


class Source(Protocol):
    """See Share, which is one: where the rows of a process come from."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """See Share."""
        ...

    @property
    def rank(self) -> int:
        """See Share."""
        ...

    def batches(self, seed: list[int], steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """See Share."""
        ...


class Held(Protocol):
    """Rows that are asked, in memory or not: [n, *row shape]."""

    def __len__(self) -> int:
        """How many."""

    def __getitem__(self, numbers: slice) -> np.ndarray:
        """Some of them."""


def shares(rows: int, world: int, seed: int) -> list[np.ndarray]:
    """Numbers of the rows that each process trains on: a permutation by the seed, dealt out."""
    order = np.random.default_rng([seed, 1]).permutation(rows)
    return [order[rank::world] for rank in range(world)]


Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # of outputs [n, width] and targets, summed over the rows


def summed_cross_entropy(
    logits: torch.Tensor, classes: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Loss of all rows together, of logits [n, classes]; the weights are of the classes."""
    return nn.functional.cross_entropy(logits, classes, weight=weights, reduction="sum")


def summed_binary_cross_entropy(
    logits: torch.Tensor, sets: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Loss of all rows together, of logits and 0 and 1 [n, labels], the mean over the labels.

    The weights [2, labels] are of rows without each label, and of those with it.
    """
    of = None if weights is None else torch.where(sets > 0, weights[1], weights[0])
    return nn.functional.binary_cross_entropy_with_logits(logits, sets, weight=of, reduction="sum") / sets.shape[1]


def summed_squares(values: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Squared error of all rows together, of values [n, 1] and standardised labels [n]."""
    return nn.functional.mse_loss(values.squeeze(1), targets, reduction="sum")


class Training:
    """Trains `model` in place. All processes of a group make the same calls."""

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        share: Source,
        *,
        epochs: int,
        loss: Loss = summed_cross_entropy,
        augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
        mixup: float = 0.0,  # parameter of the Beta distribution of weights; 0: no row is blended with another
        scaled: bool = True,  # whether the network sees its inputs on one scale, for messages
        device: str = "cpu",
    ) -> None:
        self.model = model.to(device)
        self._recipe = recipe
        self._share = share
        self._device = device
        self.steps_per_epoch = steps_of(sum(share.sizes), recipe.batch_size)
        self.steps = epochs * self.steps_per_epoch
        self.step = 0
        self._augment = augment
        self._mixup = mixup
        self._scaled = scaled
        self._loss = loss
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._optimizer = optimizer(parameters, recipe.optimizer, float(recipe.learning_rate))
        self._reduction = Reduction(parameters) if len(share.sizes) > 1 else None
        smallest = min(share.sizes) // self.steps_per_epoch
        if smallest < 2 and any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
            raise Fault(
                "NotSupported",
                f"spec.recipe.batchSize {recipe.batch_size} over {len(share.sizes)} workers and {sum(share.sizes)} "
                "rows leaves less than "
                "2 rows per step and worker, and a cnn normalises over them: raise batchSize or lower "
                "spec.workers.",
            )

    def epoch(self, number: int, on_step: Callable[[], None] = lambda: None) -> float:
        """Train epoch `number` (from 0) and return its mean loss over the rows of all processes."""
        seed = [self._recipe.seed, 2, number, self._share.rank]
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        self.model.train()
        total = torch.zeros((), dtype=torch.float64, device=self._device)  # nobody waits for a GPU at each step
        for i, (inputs, targets) in enumerate(self._share.batches(seed, self.steps_per_epoch)):
            everyone = sum(
                len(range(*part_of(size, self.steps_per_epoch, i).indices(size))) for size in self._share.sizes
            )
            total += self._step(inputs, targets, everyone)
            self.step += 1
            on_step()
        self._average_buffers()
        loss = self._sum(float(total)) / sum(self._share.sizes)
        if not math.isfinite(loss):
            raise Fault(
                "ProgramFailed",
                f"the loss is not finite in epoch {number + 1}: lower spec.recipe.optimizer.lr (it is "
                f"{self._recipe.learning_rate})"
                f"{'' if self._scaled else ', or add standardize to spec.data.prepare'}.",
            )
        return loss

    def _step(self, inputs: torch.Tensor, targets: torch.Tensor, everyone: int) -> torch.Tensor:
        """One step of the optimiser. Returns the sum of the losses of this process's rows, float64, on the device."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate()
        if self._reduction is not None:
            self._reduction.begin()
        else:
            self._optimizer.zero_grad()
        loss = torch.zeros((), device=self._device)
        if len(targets):
            if self._augment is not None:
                inputs = self._augment(inputs)
            loss = self._loss_of(inputs, targets.to(self._device))
            (loss / everyone).backward()
        if self._reduction is not None:
            self._reduction.end()
        self._optimizer.step()
        return loss.detach().double()

    def _loss_of(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The loss of these rows together, with mixed precision where the recipe says so."""
        if not self._mixup:
            return self._loss(self._outputs(inputs), targets)
        # One weight for all rows of a step, as in the paper's own program (Zhang et al., 2018).
        weight = float(torch.distributions.Beta(self._mixup, self._mixup).sample())
        order = torch.randperm(len(inputs))
        outputs = self._outputs(mixed(inputs, weight, order))
        return weight * self._loss(outputs, targets) + (1 - weight) * self._loss(outputs, targets[order])

    def _outputs(self, inputs: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cuda", torch.bfloat16, enabled=self._recipe.precision == "bf16"):
            return self.model(inputs.to(self._device)).float()  # type: ignore[no-any-return]

    def _rate(self) -> float:
        start = float(self._recipe.learning_rate)
        if self._recipe.optimizer.schedule == "constant":
            return start
        return start * 0.5 * (1 + math.cos(math.pi * self.step / self.steps))

    def _average_buffers(self) -> None:
        """Each process has normalised by its own batches: all go on with the mean of what they found."""
        if len(self._share.sizes) == 1:
            return
        for module in self.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                for buffer in (module.running_mean, module.running_var):
                    assert buffer is not None
                    dist.all_reduce(buffer)
                    buffer.div_(len(self._share.sizes))

    def _sum(self, value: float) -> float:
        if len(self._share.sizes) == 1:
            return value
        tensor = torch.tensor([value], dtype=torch.float64, device=self._device)
        dist.all_reduce(tensor)
        return float(tensor[0])

    def agree(self, *, over: bool) -> bool:
        """What the first process says, which alone knows."""
        return self._sum(float(over and self._share.rank == 0)) > 0

    def outputs(self, inputs: Held, rows: int, width: int) -> np.ndarray | None:
        """What the network gives for all processes' rows, float32 [rows, width], in the first; None in the others.

        Each process gives the inputs of its own rows: of number `rank`, `rank` + processes, and so on.
        """
        world = len(self._share.sizes)
        if world == 1:
            return outputs_of(self.model, inputs, self._device)
        # One exchange of one size: the shorter shares are filled up with a row that is cut off again.
        padded = torch.zeros(math.ceil(rows / world), width, device=self._device)
        if len(inputs):
            padded[: len(inputs)] = torch.from_numpy(outputs_of(self.model, inputs, self._device))
        if self._share.rank:
            dist.gather(padded)
            return None
        parts = [torch.empty_like(padded) for _ in range(world)]
        dist.gather(padded, parts)
        return torch.stack(parts, 1).reshape(-1, width)[:rows].cpu().numpy()

    def mean_loss(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        """Mean loss of rows that were asked, float32 [n, width] and what they should give, [n, ...]."""
        device = self._device
        summed = self._loss(torch.from_numpy(outputs).to(device), torch.from_numpy(targets).to(device))
        return float(summed) / len(targets)

    def state(self, epoch: int, best: Best | None = None, laps: tuple[Lap, ...] = ()) -> State:
        """All that training goes on from after `epoch` epochs, the best of them, and what was measured after each."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for number, fields in self._optimizer.state_dict()["state"].items():
            tensors |= {
                f"optimizer.{number}.{name}": torch.as_tensor(value)
                for name, value in fields.items()
                if value is not None
            }
        return State(epoch, self.step, tensors, best, laps)

    def restore(self, state: State) -> None:
        """Go on from a state of a training with the same settings."""
        self.model.load_state_dict(
            {k.removeprefix("model."): v for k, v in state.tensors.items() if k.startswith("model.")}
        )
        whole = self._optimizer.state_dict()
        whole["state"] = {}
        for name, tensor in state.tensors.items():
            if name.startswith("optimizer."):
                _, number, field = name.split(".", 2)
                whole["state"].setdefault(int(number), {})[field] = tensor
        self._optimizer.load_state_dict(whole)
        self.step = state.step


def outputs_of(model: nn.Module, inputs: Held, device: str = "cpu", batch: int = 256) -> np.ndarray:
    """What a network gives, float32 [n, outputs], in evaluation mode, of at least one row."""
    model.eval()
    with torch.inference_mode():
        return np.concatenate(
            [
                model(torch.from_numpy(inputs[start : start + batch]).to(device)).cpu().numpy()
                for start in range(0, len(inputs), batch)
            ]
        )


def part_of(rows: int, parts: int, number: int) -> slice:
    """The numbers of the rows in a part, of parts of one size but for a row."""
    return slice(rows * number // parts, rows * (number + 1) // parts)
