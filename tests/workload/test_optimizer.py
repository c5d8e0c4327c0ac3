"""Optimisers without torch's compiler: the same numbers, and none of its modules."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from tradewind.api.trainingjob import Optimizer
from tradewind_workload.train.optimizer import KINDS, optimizer

# As in a worker, with images that are varied; in a process of its own, since others here import what they like.
TRAINED = """
import sys
import test_training
from tradewind.api.data import Augment
run = test_training.training(test_training.recipe(), Augment(shift_pixels=1, rotate_degrees=10))
run.epoch(0)
run.restore(run.state(1))
run.epoch(1)
assert "torch.optim" in sys.modules
print(*(name for name in sys.modules if name.startswith(("torch._dynamo", "torch._inductor"))))
"""


@pytest.mark.parametrize("name", KINDS)
def test_the_same_weights_as_by_torch(name: str) -> None:
    settings = Optimizer.model_validate({"name": name, "lr": "0.05", "weightDecay": "0.01"})
    ours, theirs = (torch.nn.Linear(3, 2, bias=False) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    reference = KINDS[name](theirs.parameters(), lr=0.05, weight_decay=0.01)
    chosen = optimizer(list(ours.parameters()), settings, 0.05)
    inputs = torch.rand(5, 3)
    for _ in range(4):
        for model, algorithm in ((ours, chosen), (theirs, reference)):
            algorithm.zero_grad()
            model(inputs).square().sum().backward()
            algorithm.step()
    assert torch.equal(ours.weight, theirs.weight)
    assert str(chosen.state_dict()) == str(reference.state_dict())


def test_a_training_does_not_import_the_compiler() -> None:
    paths = [path for path in sys.path if path]
    program = f"import sys; sys.path[:] = {paths!r}\n{TRAINED}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
