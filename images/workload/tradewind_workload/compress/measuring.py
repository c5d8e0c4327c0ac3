"""Measures the variants of a job: as replicas where there are stands for them, and the models alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import ONNX
from tradewind_workload.measure import agreement
from tradewind_workload.measure.agreement import Expected
from tradewind_workload.measure.bodies import bodies_of, body_of
from tradewind_workload.measure.figures import Alone, Figures, Replica
from tradewind_workload.measure.loading import loading
from tradewind_workload.measure.measurement import FEWER, ROWS, Unmeasured, measure
from tradewind_workload.measure.replica import Replicas, Unfit
from tradewind_workload.measure.seen import Served
from tradewind_workload.measure.stands import opened
from tradewind_workload.measure.verdict import Measured
from tradewind_workload.train.cluster import amount

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tradewind.api.artefact import Manifest
    from tradewind.api.compressionjob import CompressionJobSpec
    from tradewind_workload.compress.comparing import Comparing
    from tradewind_workload.compress.judged import Judged
    from tradewind_workload.compress.storing import Stored
    from tradewind_workload.measure.replica import Agrees


def gpus(spec: CompressionJobSpec) -> str | None:
    """The GPUs that replicas are measured on, None where they are not. Raises Fault where they are to be, and can't."""
    if not spec.measure.resources.accelerators:
        return None
    with opened(1, gpu=True) as stands:
        if stands is None:
            raise Fault(
                "NotSupported",
                "spec.measure.resources.accelerators asks for a GPU, and nothing here serves models on one: name the "
                "Python of the GPU server's packages in TRADEWIND_SERVER_PYTHON, or leave accelerators out.",
            )
        found: str | None = stands[0].wait()["limits"].get("gpu")
    if found is None:
        raise Fault(
            "NotSupported",
            "spec.measure.resources.accelerators asks for a GPU, and the container of the replicas sees none: check "
            "the node's driver and its device plugin, or leave accelerators out.",
        )
    return found


@dataclass(frozen=True)
class Measuring:
    """What the variants of a job are measured with."""

    spec: CompressionJobSpec
    manifest: Manifest
    judged: Judged
    comparing: Comparing

    def measure(
        self, stored: Sequence[Stored], on_step: Callable[[], None]
    ) -> tuple[list[Stored], dict[str, Measured]]:
        """The variants, the baseline first, of which some may have turned out as failed; the others' numbers, by name.

        `on_step` for each. Raises Fault where the baseline can't be measured.
        """
        whole = [variant for variant in stored if variant.folder is not None]
        print(f"measuring {len(whole)} variant{'' if len(whole) == 1 else 's'}, the baseline among them", flush=True)
        found: dict[str, Figures | Unfit] = dict(self._replicas(whole, on_step))
        alone: Mapping[str, Alone | Unmeasured] = {}
        if not self.spec.measure.resources.accelerators:  # this process has no GPU: the replicas have them
            alone = self._alone(
                [variant for variant in whole if not isinstance(found.get(variant.name), Unfit)],
                *((lambda: None, FEWER) if found else (on_step, None)),
            )
        elif not found:
            raise Fault(
                "NotSupported",
                "on a GPU only replicas are measured, and none can be asked: JSON can say none of the rows that judge. "
                "Leave spec.measure.resources.accelerators out.",
            )
        rows: list[Stored] = []
        measured: dict[str, Measured] = {}
        for variant in stored:
            mine = found.get(variant.name) or alone.get(variant.name)
            beside = alone.get(variant.name) if isinstance(mine, Replica) else None
            if isinstance(mine, Figures) and variant.answers is not None and variant.folder is not None:
                size = (variant.folder / ONNX).stat().st_size
                alone_too = beside if isinstance(beside, Alone) else None
                measured[variant.name] = Measured(*self.comparing.of(variant.answers), size, mine, alone_too)
                rows.append(variant)
            elif variant.folder is None:
                rows.append(variant)
            else:
                rows.append(replace(variant, failure=f"could not be measured: {mine}", verdict="Failed"))
        return rows, measured

    def _replicas(self, whole: Sequence[Stored], on_step: Callable[[], None]) -> dict[str, Replica | Unfit]:
        """By name; empty where no replica can be had or asked."""
        threads = max(1, math.ceil(amount(self.spec.measure.resources.cpu)))
        with opened(threads, gpu=bool(self.spec.measure.resources.accelerators)) as stands:
            if stands is None:
                print("no replica is measured here, only the models alone, without HTTP", flush=True)
                return {}
            some = self.judged.rows.take(np.arange(min(ROWS, len(self.judged.rows))))
            bodies = bodies_of(self.judged.fitted.instances(some.table()), self.manifest.inputs)
            if not bodies:
                print("no replica is measured: JSON can say none of the rows", flush=True)
                return {}
            limits = stands[0].wait()["limits"]
            print(f"a replica has {limits['cpu']:g} CPU and {limits['memoryBytes'] / 1e6:.0f} MB", flush=True)
            served = [Served(variant.folder, variant.digest) for variant in whole if variant.folder is not None]
            with loading(bodies) as ask:
                replicas = Replicas(stands, ask, self.spec.measure, self.spec.goals, agrees=self._agreement(whole))
                figures = replicas.figures(served[0], served[1:], on_step)
                if ask.late:
                    own, late = (float(np.median(found)) / 1e6 for found in (ask.own, ask.late))
                    told = f"the load generator took {own:.3f} ms of its own processor time for a request"
                    print(f"{told}, and sent it {late:.3f} ms after it was due", flush=True)
            return {variant.name: found for variant, found in zip(whole, figures, strict=True)}

    def _agreement(self, whole: Sequence[Stored]) -> Agrees:
        """Whether a replica answers some of the rows that judge as its model did here."""
        every = len(self.judged)
        chosen = np.unique(np.linspace(0, every - 1, min(agreement.ROWS, every)).astype(np.int64))
        instances = self.judged.fitted.instances(self.judged.rows.take(chosen).table())
        bodies: dict[int, str] = {}
        for number, instance in zip(chosen.tolist(), instances, strict=True):
            if instance is not None and sum(map(len, bodies.values())) < agreement.BYTES:
                bodies[number] = body_of(instance, self.manifest.inputs)
        asked, numbers = agreement.Agreement(list(bodies.values())), list(bodies)
        expected = {
            variant.folder: Expected.of(variant.answers.judged[numbers], (variant.folder / ONNX).read_bytes())
            for variant in whole
            if variant.folder is not None and variant.answers is not None
        }
        return lambda served, port, patience: asked.differs(port, expected[served.folder], patience)

    def _alone(
        self, whole: Sequence[Stored], on_step: Callable[[], None], fewer: int | None
    ) -> dict[str, Alone | Unmeasured]:
        """By name. Raises Unmeasured where the baseline has none and it would decide."""
        models = [variant.folder / ONNX for variant in whole if variant.folder is not None]
        asked = self.judged.some(np.arange(min(ROWS, len(self.judged.rows))))
        try:
            figures = measure(models, asked, self.spec.measure, on_step, fewer)
        except Unmeasured as why:
            if fewer is None:
                raise
            print(f"the models alone are not measured: {why}", flush=True)
            return {}
        return {variant.name: found for variant, found in zip(whole, figures, strict=True)}
