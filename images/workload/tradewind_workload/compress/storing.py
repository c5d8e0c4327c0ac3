"""A variant in the store: written, loaded back and judged; or taken over from an earlier attempt that finished it."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tradewind.api.artefact import File, Lineage, Manifest
from tradewind_workload.compress.candidates import NotApplicable, told
from tradewind_workload.export.inference import batch_of, open_session
from tradewind_workload.export.samples import TOLERANCE, TOLERANCE_8_BITS, Asked, candidates, golden_of
from tradewind_workload.heads.answer import Value, undecided
from tradewind_workload.io.artefacts import Draft, address, point
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import ONNX, SAMPLES
from tradewind_workload.io.places import local_path
from tradewind_workload.io.store import files_of, find, finish
from tradewind_workload.train.judging import evaluate, split_of, written

if TYPE_CHECKING:
    from pathlib import Path

    import onnxruntime

    from tradewind.api.compressionjob import Candidate, CompressionJobSpec
    from tradewind.api.report import JobDocument
    from tradewind_workload.compress.candidates import Workshop
    from tradewind_workload.compress.judged import Answers, Judged, Parts
    from tradewind_workload.compress.model import Model
    from tradewind_workload.compress.source import Source
    from tradewind_workload.measure.verdict import Verdict


@dataclass(frozen=True)
class Stored:
    """A variant in the store, or why there is none."""

    name: str
    methods: tuple[str, ...]
    folder: Path | None
    uri: str
    digest: str | None
    failure: str | None = None
    verdict: Verdict = "Failed"  # where there is none
    answers: Answers | None = None


@dataclass
class Storage:
    """Where the variants of a job go."""

    job: JobDocument
    spec: CompressionJobSpec
    workshop: Workshop
    parts: Parts

    @property
    def source(self) -> Source:
        """What they are made of."""
        return self.workshop.context.source

    def answers(self, model: Path) -> Answers:
        """What a stored model answers to the rows of each part.

        Raises Fault(InvalidModel) where it names something else than its probabilities, which are judged.
        """
        session, batch = open_session(model, self.spec.measure.threads), batch_of(model.read_bytes())

        def of(part: Judged) -> np.ndarray:
            served = part.outputs(session, batch)
            if (wrong := undecided(served)) is not None:
                raise Fault(
                    "InvalidModel",
                    f"{model} {wrong}, and a variant is judged by its probabilities: export the model so that both "
                    "agree.",
                )
            return self.source.answer.among(served)

        return self.parts.answers(of)

    def store(self, candidate: Candidate) -> Stored:
        """Make a variant, write it, load it back and see that it gives the same outputs; or take over a finished one.

        One that can't be made is a row of the report, not the end of the job. Raises Fault(StorageFailed).
        """
        uri = f"{self.spec.output.storage_uri}/{candidate.name}"
        words = told(candidate.methods, self.workshop.context)
        try:
            return self._finished(candidate, words, uri) or self._made(candidate, words, uri)
        except NotApplicable as why:
            return Stored(candidate.name, words, None, uri, None, failure=str(why), verdict="NotApplicable")
        except Fault as fault:
            if fault.reason == "StorageFailed":
                raise
            return Stored(candidate.name, words, None, uri, None, failure=fault.message)
        except Exception as error:  # noqa: BLE001 -- see above
            traceback.print_exc()
            said = " ".join(str(error).split())[:500]
            return Stored(candidate.name, words, None, uri, None, failure=f"could not be made: {said}")

    def _finished(self, candidate: Candidate, words: tuple[str, ...], uri: str) -> Stored | None:
        output = local_path(uri)
        methods = (*self.source.manifest.methods, *words)
        if (found := find(output, lambda made: self._is_same(made, methods))) is None:
            return None
        model, _ = found
        answers = self.answers(model.folder / ONNX)
        point(output, model)
        print(f"{candidate.name}: finished by an earlier attempt", flush=True)
        where = address(uri, output, model.folder)
        return Stored(candidate.name, words, model.folder, where, model.digest, answers=answers)

    def _is_same(self, found: Manifest, methods: tuple[str, ...]) -> bool:
        """Whether this job made that variant, from this very model, by these methods and with these very rows.

        The rows are read again by each attempt, and a variant that learnt from others, or was judged on others, is not
        the one that this attempt reports.
        """
        lineage = found.lineage
        return lineage is not None and (lineage.uid, lineage.source_digest, found.methods, found.split) == (
            self.job.uid,
            self.source.digest,
            methods,
            split_of(self.source.prepared),
        )

    def _made(self, candidate: Candidate, words: tuple[str, ...], uri: str) -> Stored:
        output, started = local_path(uri), time.monotonic()
        made = self.workshop.make(candidate)
        answer, threads = self.source.answer, self.spec.measure.threads
        in_memory = open_session(made.onnx, threads)
        batch = batch_of(made.onnx)
        with Draft.begin(output) as draft:
            draft.write(ONNX, made.onnx)
            for name, content in sorted(made.files.items()):
                draft.write(name, content)
            session = open_session(draft.folder / ONNX, threads)

            def of(part: Judged) -> np.ndarray:
                expected, loaded = (part.outputs(one, batch) for one in (in_memory, session))
                if any(not np.array_equal(expected[name], loaded[name]) for name in expected):
                    raise RuntimeError("the file gives other outputs than the model that was written")
                if not np.isfinite(found := answer.among(loaded)).all():
                    raise RuntimeError("the model gives answers that are no finite numbers")
                return found

            answers = self.parts.answers(of)
            rough = any(step.quantize for step in candidate.methods)
            if samples := self._samples(session, answers.shown, TOLERANCE_8_BITS if rough else TOLERANCE):
                draft.write(SAMPLES, samples)
            model = finish(draft, self._manifest(made, words, answers.shown, files_of(draft)))
        point(output, model)
        print(f"{candidate.name}: made in {time.monotonic() - started:.1f} s", flush=True)
        where = address(uri, output, model.folder)
        return Stored(candidate.name, words, model.folder, where, model.digest, answers=answers)

    def _samples(self, session: onnxruntime.InferenceSession, answers: np.ndarray, tolerance: float) -> bytes | None:
        """Golden samples with the variant's own answers; None where no row is fit for it."""
        source = self.source
        _, rows = source.showing
        numbers = np.arange(len(rows))
        if isinstance(source.answer, Value):  # near 0, a part of the value would be less than a step of 8 bits
            numbers = np.flatnonzero(np.abs(answers) >= source.answer.deviation)
        some = rows.take(numbers[candidates(rows.targets[numbers])])
        if not len(some):
            return None
        table = some.table()
        asked = Asked(source.fitted.feeds(table), lambda chosen: source.fitted.instances(table.take(chosen)))
        return golden_of(session, asked, some.targets, tolerance)

    def _manifest(self, made: Model, words: tuple[str, ...], answers: np.ndarray, files: dict[str, File]) -> Manifest:
        source, prepared, job = self.source.manifest, self.source.prepared, self.job
        try:
            recipe = self.source.recipe()
        except Fault:  # of another version; prune says so
            recipe = None
        if recipe is None:
            metrics, evaluation = (
                self.source.head.measured(answers, self.parts.shown.targets, self.source.primary),
                None,
            )
        else:
            # Other rows may suit another metric; a variant is compared by the one of its model.
            same = recipe.model_copy(update={"primary_metric": self.source.primary})
            metrics, evaluation = evaluate(prepared, same, answers)
        return Manifest(
            task=source.task,
            inputs=source.inputs,
            outputs=source.outputs,
            unused=source.unused,
            labels=source.labels,
            metrics=written(metrics),
            evaluation=evaluation,
            split=split_of(prepared),
            methods=(*source.methods, *words),
            recipe=source.recipe,
            data=source.data,
            lineage=Lineage(
                kind=job.kind,
                namespace=job.namespace,
                name=job.name,
                uid=job.uid,
                source_digest=self.source.digest,
            ),
            files=files,
        )
