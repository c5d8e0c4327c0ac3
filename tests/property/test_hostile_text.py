"""Text of a user never becomes a part of a shell's line, of a query or of a template: it stays text."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests import objects
from tests.property.checks import pod_templates
from tests.world import START, surroundings
from tradewind.api.base import ObjectMeta
from tradewind.api.modeldeployment import Alert
from tradewind.api.trainingjob import TrainingJob
from tradewind.core.plan import Observed
from tradewind.deployment.prometheusrule import prometheus_rule
from tradewind.deployment.promql import string, template
from tradewind.ray.job import ENTRYPOINT
from tradewind.training.plan import plan

HOSTILE = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            '"; rm -rf / #',
            "$(id)",
            "`id`",
            "a\nb",
            '"} or vector(1) #',
            "\\",
            '\\"',
            "{{ .Labels }}",
            "{{",
            "}}{{ $x }}",
            "$(HOME)",
            "$$(HOME)",
            "\x00",
            "\ud800",
            "'\"'",
            "${IFS}",
            "%s%n",
        ]
    ),
)


def clean(text: str) -> str:
    """What of a text can stand in UTF-8 at all."""
    return text.encode("utf-8", "replace").decode()


@settings(max_examples=150, deadline=None)
@given(st.lists(HOSTILE.map(clean), min_size=1, max_size=4), HOSTILE.map(clean))
def test_arguments_and_variables_travel_as_data(argv: list[str], value: str) -> None:
    env = [{"name": "GREETING", "value": value}, {"name": "HOME", "value": value}]
    item = TrainingJob.read_object(objects.program_job(argv=argv, env=env))
    child = next(c for c in plan(item, Observed(), surroundings(), START).children if c.resource.kind == "RayJob")
    assert child.body["spec"]["entrypoint"] == ENTRYPOINT
    cluster = child.body["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert all(re.fullmatch(r"[0-9.]+", word) for word in group["rayStartParams"].values())
    for pod in pod_templates(child.body):
        (container,) = pod["spec"]["containers"]
        assert not {"command", "args", "lifecycle"} & container.keys()
        document = json.loads(pod["metadata"]["annotations"]["tradewind.dev/job"])
        assert document["spec"]["entrypoint"]["argv"] == argv
        variables = [variable for variable in container["env"] if variable["name"] in ("GREETING", "HOME")]
        by_name = {variable["name"]: variable["value"] for variable in variables}
        assert len(variables) == 2, "a platform's variable was given twice"
        assert by_name["HOME"].startswith("/"), "a platform's variable was taken over"
        assert expanded(by_name["GREETING"]) == value, "the program would not see what the user wrote"


def expanded(value: str) -> str:
    """What the kubelet makes of a variable's value (k8s.io/kubernetes/third_party/forked/golang/expansion)."""
    made, position = "", 0
    while position < len(value):
        if value[position] == "$" and position + 1 < len(value):
            if value[position + 1] == "$":
                made, position = made + "$", position + 2
                continue
            if value[position + 1] == "(" and ")" in value[position:]:
                end = value.index(")", position)
                made, position = made + f"<the value of {value[position + 2 : end]}>", end + 1
                continue
        made, position = made + value[position], position + 1
    return made


LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
ALERTS: dict[str, dict[str, Any]] = {
    "errorRate": {"max": "0.5"},
    "latency": {"milliseconds": "50"},
    "replicasMissing": {},
}


def rule(namespace: str, name: str, kind: str) -> dict[str, Any]:
    metadata = ObjectMeta(name=name, namespace=namespace, uid="u")
    alert = Alert.model_validate({"name": "a", kind: ALERTS[kind]})
    body = prometheus_rule("x", {}, metadata, name, (alert,)).body
    found: dict[str, Any] = body["spec"]["groups"][0]["rules"][0]
    return found


@settings(max_examples=150, deadline=None)
@given(HOSTILE, HOSTILE, st.sampled_from(list(ALERTS)))
def test_names_stay_within_their_literals_in_a_query(namespace: str, name: str, kind: str) -> None:
    expression = rule(namespace, name, kind)["expr"]
    assert LITERAL.sub('""', expression) == LITERAL.sub('""', rule("n", "m", kind)["expr"])
    literals = [json.loads(literal) for literal in LITERAL.findall(expression)]
    assert clean(namespace) in literals
    assert clean(name) in literals or clean(name) + "-predictor" in literals


@settings(max_examples=150, deadline=None)
@given(HOSTILE)
def test_names_stay_text_in_a_template(name: str) -> None:
    for text in (template(name), rule("n", name, "latency")["annotations"]["summary"]):
        assert "{{" not in LITERAL.sub('""', text).replace('{{ "" }}', "")


def test_a_string_literal_has_gos_escapes_only() -> None:
    assert string('a"b\\c\nd\te\x00') == '"a\\"b\\\\c\\nd\\te\\u0000"'
    assert string("ü→") == '"ü→"'
