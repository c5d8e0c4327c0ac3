"""The report endpoint with the API server's own tokens of pods: who may speak, and when it is written."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.apiserver.cluster import Cluster
from tests.apiserver.process import OperatorProcess, until
from tests.apiserver.program import Program, first_attempt, pod_with_token, token_of
from tests.objects import model
from tradewind.api.report import report_path
from tradewind.core.labels import RUN, labels

PROGRESS = {"trainerStatus": {"progressPercentage": 40, "estimatedRemainingSeconds": 60}}


@pytest.fixture
def program(cluster: Cluster, operator: OperatorProcess, namespace: str) -> Program:
    """A program of the first attempt of the TrainingJob digits."""
    return first_attempt(cluster, operator, namespace)


def sent(program: Program, body: Any) -> int:
    """The code of the answer to a report that is sent again, as programs do it, while the operator is not ready for it.

    It asks for that, or does not see the program's pod yet.
    """
    later = (403, 429, 503)
    return until(lambda: [code for code in [program.post(body)[0]] if code not in later], "it is not taken")[0]


def test_an_answer_of_200_means_that_the_status_has_it(cluster: Cluster, program: Program, namespace: str) -> None:
    assert sent(program, PROGRESS) == 200
    job = cluster.get("TrainingJob", "digits", namespace)
    assert job is not None and job["status"]["trainerStatus"]["progressPercentage"] == 40


def test_reports_at_once_are_all_answered(cluster: Cluster, program: Program, namespace: str) -> None:
    bodies = [{"trainerStatus": {"progressPercentage": number}} for number in range(12)]
    with ThreadPoolExecutor(12) as senders:
        codes = list(senders.map(lambda body: sent(program, body), bodies))
    assert codes == [200] * 12


def test_who_reports_too_often_is_told_to_wait_and_its_result_is_taken_all_the_same(
    cluster: Cluster, program: Program, namespace: str
) -> None:
    codes: set[int] = set()

    def flooded() -> bool:
        with ThreadPoolExecutor(12) as senders:
            codes.update(code for code, _ in senders.map(program.post, [PROGRESS] * 36))
        return 429 in codes

    until(flooded, "every report of a flood was taken")
    assert codes == {200, 429}
    assert program.post({"run": "attempt-1", "model": model()})[0] == 200
    assert cluster.phase("TrainingJob", "digits", namespace) == "Complete"


def test_the_last_report_completes_the_job_and_may_come_again(
    cluster: Cluster, program: Program, namespace: str
) -> None:
    since = time.time()
    final = {"run": "attempt-1", "model": model()}
    assert sent(program, final) == 200
    job = cluster.get("TrainingJob", "digits", namespace)
    assert job is not None and job["status"]["phase"] == "Complete"
    assert job["status"]["model"]["digest"] == model()["digest"]
    cluster.quiet()
    before = cluster.written(since, namespace)
    assert sent(program, final) == 200, "the answer to the first was lost on the way, as far as the program knows"
    code, message = program.post(PROGRESS)
    assert code == 409 and "ended" in message
    assert cluster.written(since, namespace) == before


def test_who_may_not_speak(cluster: Cluster, operator: OperatorProcess, program: Program, namespace: str) -> None:
    other = cluster.namespace()
    marks = labels("TrainingJob", "digits") | {RUN: "attempt-1"}
    cases: list[tuple[int, str | None]] = [
        (401, None),
        (401, "not-a-token"),
        (400, "x" * 100_000),
        (401, token_of(cluster, namespace, "digits-head", audience="someone-else")),
        (401, token_of(cluster, namespace, "")),  # not bound to a pod
        (403, pod_with_token(cluster, other, "digits-head", marks)),  # the same names in another namespace
        (403, pod_with_token(cluster, namespace, "other-head", labels("TrainingJob", "other"))),
        (403, pod_with_token(cluster, namespace, "kind-head", labels("CompressionJob", "digits"))),
        (403, pod_with_token(cluster, namespace, "stranger", {"app": "shop"})),
        (403, pod_with_token(cluster, namespace, "labelled", marks, ray_job="")),  # nobody made it for the job
        (403, pod_with_token(cluster, namespace, "of-another", marks, ray_job="other-train-1")),
    ]
    for expected, token in cases:
        code, message = program.post(PROGRESS, token=token)
        assert code == expected, (expected, code, message, token)
        assert expected in (400, 401) or "does not work for" in message or "was not made by" in message
    job = cluster.get("TrainingJob", "digits", namespace)
    assert job is not None and "trainerStatus" not in job["status"]


@pytest.mark.parametrize(
    ("code", "body", "words"),
    [
        (400, b"{", "not JSON"),
        (400, b"\xff\xfe", "not JSON"),
        (400, b"[" * 200_000, "not JSON"),
        (422, b"[]", "can't be read"),
        (422, {"trainerStatus": {"progressPercentage": 400}}, "trainerStatus.progressPercentage"),
        (422, {"model": model(), "failure": {"reason": "InvalidData", "message": "x"}}, "ends in one way"),
        (413, b" " * (2 << 20), "at most"),
        (409, {"run": "attempt-7"}, "attempt-7"),
        (422, {"lastCheckpoint": {"step": 2**70, "time": "2026-11-25T12:00:00Z"}}, "lastCheckpoint.step"),
        (422, {"lastCheckpoint": {"step": 1, "time": "yesterday"}}, "lastCheckpoint.time"),
        (422, {"trainerStatus": {"estimatedRemainingSeconds": 2**63}}, "estimatedRemainingSeconds"),
        (422, {"model": model(storageUri="file:///etc/passwd")}, "model.storageUri"),
        (422, {"model": model(sizeBytes=2**64)}, "model.sizeBytes"),
    ],
)
def test_hostile_reports_get_a_sentence(
    cluster: Cluster, operator: OperatorProcess, program: Program, code: int, body: Any, words: str
) -> None:
    assert sent(program, b"{") == 400
    found, message = program.post(body)
    assert (found, words in message) == (code, True), (found, message)
    assert operator.ready()


def test_other_paths_are_not_there(cluster: Cluster, program: Program, namespace: str) -> None:
    assert program.post(PROGRESS, path="/")[0] == 404
    assert program.post(PROGRESS, path=report_path(namespace, "secrets", "digits"))[0] == 403
    assert program.post(PROGRESS, path=report_path(namespace, "trainingjobs", "other"))[0] == 403


def test_what_a_suspended_job_still_reports_is_in_the_status(
    cluster: Cluster, program: Program, namespace: str
) -> None:
    assert program.post(PROGRESS)[0] == 200
    cluster.merge("TrainingJob", "digits", namespace, {"spec": {"runPolicy": {"suspend": True}}})
    until(lambda: cluster.phase("TrainingJob", "digits", namespace) == "Suspended", "it is not suspended")
    saved = {"lastCheckpoint": {"step": 120, "time": "2026-11-25T12:00:00Z"}}
    assert program.post(saved)[0] == 200
    job = cluster.get("TrainingJob", "digits", namespace)
    assert job is not None and job["status"]["lastCheckpoint"]["step"] == 120
    assert (job["status"]["phase"], job["status"]["attempt"]["state"]) == ("Suspended", "Stopped")
    assert program.post({"model": model()})[0] == 200
    assert cluster.phase("TrainingJob", "digits", namespace) == "Complete"


def test_a_run_that_is_over_is_told_so(cluster: Cluster, program: Program, namespace: str) -> None:
    cluster.merge("Pod", "digits-head", namespace, {"status": {"phase": "Failed"}}, subresource="status")
    for suspended in (True, False):
        cluster.merge("TrainingJob", "digits", namespace, {"spec": {"runPolicy": {"suspend": suspended}}})
        state = "Stopped" if suspended else "Starting"
        until(lambda state=state: _attempt(cluster, namespace).get("state") == state, f"it is not {state}")  # type: ignore[misc]
    assert _attempt(cluster, namespace)["runName"] == "attempt-2"
    code, message = program.post({"model": model()})
    assert (code, "attempt-1 is over" in message) == (409, True), message
    assert cluster.phase("TrainingJob", "digits", namespace) == "Starting"


def _attempt(cluster: Cluster, namespace: str) -> dict[str, Any]:
    job = cluster.get("TrainingJob", "digits", namespace) or {}
    return dict((job.get("status") or {}).get("attempt") or {})
