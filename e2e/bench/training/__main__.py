"""The benchmarks of training, one after the other."""

from __future__ import annotations

import sys

from e2e.bench.training import checkpoints, environment, first_step, steps

if __name__ == "__main__":
    benchmarks = {"steps": steps.main, "first_step": first_step.main, "checkpoints": checkpoints.main}
    sys.exit(max(environment.run(module, main) for module, main in benchmarks.items()))
