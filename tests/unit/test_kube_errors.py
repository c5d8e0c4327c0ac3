"""What an answer of the API server means: each text is one that kube-apiserver 1.36 gave."""

from __future__ import annotations

import json

import pytest

from tradewind.kube.errors import Denied, Forbidden, KubeError, Throttled, Unavailable, from_answer

OPERATOR = "system:serviceaccount:tradewind-system:tradewind-operator"


LACKS = f'rayjobs.ray.io "a" is forbidden: User "{OPERATOR}" cannot patch resource "rayjobs" in API group "ray.io" in'
STARTS = f'events.events.k8s.io is forbidden: User "{OPERATOR}" cannot create resource "events" in API group "": RBAC:'
QUOTA = 'rayjobs.ray.io "a" is forbidden: exceeded quota: few, requested: count/rayjobs.ray.io=1, used: 1, limited: 1'
GOING = 'rayjobs.ray.io "a" is forbidden: unable to create new content in namespace a because it is being terminated'


@pytest.mark.parametrize(
    ("message", "kind"), [(LACKS, Denied), (STARTS, Denied), (QUOTA, Forbidden), (GOING, Forbidden)]
)
def test_a_right_that_lacks_is_told_from_what_is_forbidden_to_all(message: str, kind: type[KubeError]) -> None:
    body = json.dumps({"kind": "Status", "reason": "Forbidden", "code": 403, "message": message})
    error = from_answer(403, body)
    assert type(error) is kind
    assert str(error) == message


def test_priority_and_fairness_answers_in_plain_text() -> None:
    error = from_answer(429, b"Too many requests, please try again later.\n", {"Retry-After": "1"})
    assert isinstance(error, Throttled)
    assert error.retry_after == 1.0


def test_an_api_server_that_starts_is_waited_for() -> None:
    message = "the request has been made before all known HTTP paths have been installed, please try again"
    assert isinstance(from_answer(503, json.dumps({"kind": "Status", "code": 503, "message": message})), Unavailable)
    assert isinstance(from_answer(401, b"Unauthorized"), Unavailable)
