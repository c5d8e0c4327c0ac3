"""The rules that a ModelDeployment's alerts become, read by Prometheus' own tool."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tradewind.api.base import ObjectMeta
from tradewind.api.modeldeployment import Alert
from tradewind.deployment.prometheusrule import prometheus_rule

ALERTS = [
    {"name": "errors", "errorRate": {"max": "0.01"}, "severity": "critical", "forSeconds": 60},
    {"name": "slow", "latency": {"milliseconds": "50.5"}},
    {"name": "missing", "replicasMissing": {}},
]
SERVICE = "digits-0a81af5fe0"  # the InferenceService of the revision that serves
NAMES = ["digits", 'a"} or vector(1) #', "{{ .Labels.secret }}", "back\\slash", "new\nline", "ünï", "`tick`", "$(x)"]


def groups(name: str) -> dict[str, Any]:
    metadata = ObjectMeta(name=name, namespace="team", uid="u")
    alerts = tuple(Alert.model_validate(alert) for alert in ALERTS)
    return dict(prometheus_rule("x", {}, metadata, SERVICE, alerts).body["spec"])


def test_each_alert_is_a_rule_with_its_severity_and_patience() -> None:
    (group,) = groups("digits")["groups"]
    rules = group["rules"]
    assert [rule["alert"] for rule in rules] == ["TradewindErrorRate", "TradewindLatency", "TradewindReplicasMissing"]
    assert [rule["for"] for rule in rules] == ["60s", "300s", "300s"]
    assert [rule["labels"]["severity"] for rule in rules] == ["critical", "warning", "warning"]
    assert rules[1]["expr"].endswith("> 50.5")
    assert f'deployment="{SERVICE}-predictor"' in rules[2]["expr"]


def test_requests_are_counted_under_the_name_that_all_revisions_share() -> None:
    for rule in groups("digits")["groups"][0]["rules"][:2]:
        assert 'model="digits"' in rule["expr"]
        assert SERVICE not in rule["expr"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool isn't installed (Debian package prometheus)")
@pytest.mark.parametrize("name", NAMES)
def test_promtool_reads_the_rules_of_any_name(tmp_path: Path, name: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(groups(name), allow_unicode=True))
    done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 rules found" in done.stdout


def series(metric: str, labels: str, values: str) -> dict[str, str]:
    return {"series": f"{metric}{{{labels}}}", "values": values}


SERVED = 'namespace="team",model="digits"'
DEPLOYED = f'namespace="team",deployment="{SERVICE}-predictor"'
# One request of twenty fails, all take up to a second, and one of two replicas is not available.
SERIES = [
    series("tradewind_request_total", f'{SERVED},code="200"', "0+95x20"),
    series("tradewind_request_total", f'{SERVED},code="500"', "0+5x20"),
    series("tradewind_request_seconds_bucket", f'{SERVED},le="0.1"', "0+0x20"),
    series("tradewind_request_seconds_bucket", f'{SERVED},le="1"', "0+100x20"),
    series("tradewind_request_seconds_bucket", f'{SERVED},le="+Inf"', "0+100x20"),
    series("kube_deployment_spec_replicas", DEPLOYED, "2x20"),
    series("kube_deployment_status_replicas_available", DEPLOYED, "1x20"),
]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool isn't installed (Debian package prometheus)")
def test_the_alerts_fire_on_what_they_are_for_and_not_before(tmp_path: Path) -> None:
    spec = groups("digits")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(spec))
    expected: list[dict[str, Any]] = [{"eval_time": "2m", "alertname": "TradewindReplicasMissing", "exp_alerts": []}]
    for rule in spec["groups"][0]["rules"]:
        fired = {"exp_labels": rule["labels"], "exp_annotations": rule["annotations"]}
        expected.append({"eval_time": "15m", "alertname": rule["alert"], "exp_alerts": [fired]})
    case = {"interval": "1m", "input_series": SERIES, "alert_rule_test": expected}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [case]}))
    done = subprocess.run(
        ["promtool", "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
