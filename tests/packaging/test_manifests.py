"""The manifests and the chart: equal, accepted by a real API server, and within Pod Security `restricted`."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import yaml

from e2e.cluster.apiserver import ApiServer
from e2e.cluster.progress import Failed
from tests.packaging.conftest import CHART, NAMESPACE, ROOT, Manifest, chart, find, helm, kustomization
from tradewind.api.config import Config
from tradewind.core.security import POD_SECURITY
from tradewind.deployment.service import service
from tradewind.generate import rbac, values
from tradewind.kube import lease
from tradewind.runtime import app

POOL = {"name": "a", "node": {"cpu": "1", "memory": "1Gi"}}


def _by_name(documents: list[Manifest]) -> dict[tuple[str, str | None, str], Manifest]:
    made = {}
    for document in documents:
        if document["kind"] == "ConfigMap":
            document["data"]["config.yaml"] = yaml.safe_load(document["data"]["config.yaml"])
        metadata = document["metadata"]
        made[document["kind"], metadata.get("namespace"), metadata["name"]] = document
    return made


def _config(documents: list[Manifest]) -> Config:
    return Config.model_validate(yaml.safe_load(find(documents, "ConfigMap", "tradewind")["data"]["config.yaml"]))


def test_what_is_generated_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tradewind.generate", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_kustomize_and_helm_install_the_same() -> None:
    base, rendered = _by_name(kustomization("manifests/base")), _by_name(chart())
    # Helm leaves the namespace to who installs the chart.
    del base["Namespace", None, NAMESPACE]
    assert rendered == base


def test_rendering_twice_gives_the_same() -> None:
    assert chart() == chart()


def test_an_api_server_accepts_the_base(server: ApiServer) -> None:
    server.kubectl("apply", "--server-side", "-k", str(ROOT / "manifests" / "base"))
    again = server.kubectl("diff", "--server-side", "-k", str(ROOT / "manifests" / "base"))
    assert again == ""


@pytest.mark.parametrize("which", ["Deployment", "Job", "ClusterServingRuntime"])
def test_our_pods_are_within_pod_security(server: ApiServer, which: str) -> None:
    server.kubectl("apply", "--server-side", "-k", str(ROOT / "manifests" / "base"))
    document = find(chart(), which, "tradewind")
    spec = document["spec"] if which == "ClusterServingRuntime" else document["spec"]["template"]["spec"]
    fields = ("containers", "volumes", "securityContext", "restartPolicy")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "as-rendered", "namespace": NAMESPACE},
        "spec": {"serviceAccountName": "tradewind-operator"} | {key: spec[key] for key in fields if key in spec},
    }
    if which == "ClusterServingRuntime":
        # A ServingRuntime has no pod's settings: the operator gives them with each InferenceService.
        pod["spec"]["securityContext"] = POD_SECURITY
    server.kubectl("apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(pod))
    for container in pod["spec"]["containers"]:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
    del pod["spec"]["containers"][0]["securityContext"]
    with pytest.raises(Failed, match="violates PodSecurity"):
        server.kubectl("apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(pod))


def test_the_example_values_are_the_defaults_of_the_operator() -> None:
    config = _config(kustomization("manifests/base"))
    assert config.pools[0].name == "local"
    assert all(pool.price is None for pool in config.pools), "a price has to come from the user's bill"
    assert config.reporting.url == "https://tradewind-operator.tradewind-system.svc:8443"


def test_the_overlay_of_the_local_cluster_marks_all_and_changes_the_price_table_alone() -> None:
    overlay, base = _by_name(kustomization("e2e/overlay")), _by_name(kustomization("manifests/base"))
    for item in overlay.values():
        # The mark is how the demo knows what it installed; it stands on every object, and on nothing inside of one.
        assert item["metadata"]["labels"].pop("tradewind.dev/demo") == "true"
    for item in (*overlay.values(), *base.values()):
        item["metadata"]["labels"] = item["metadata"].get("labels") or {}
    different = [name for kind, _, name in overlay if overlay[kind, _, name] != base[kind, _, name]]
    assert different == ["tradewind-config"]
    config = Config.model_validate(overlay["ConfigMap", NAMESPACE, "tradewind-config"]["data"]["config.yaml"])
    assert config.pools[0].name == "local" and config.pools[0].price


def test_the_commented_pools_of_the_values_are_good_once_they_have_a_price() -> None:
    lines = (CHART / "values.yaml").read_text().replace('"..."', '"1.25"').splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("    - name: local"))
    rows = [line.replace("    # ", "    ", 1).replace("      # price", "      price") for line in lines[start:]]
    clouds = ("    Google", "    Amazon", "    Azure")
    pools = yaml.safe_load("\n".join(line for line in rows if not line.startswith(clouds)))
    given = values.read(CHART / "values.yaml")
    given["config"]["pools"] = pools
    config = _config(chart(given))
    assert [pool.name for pool in config.pools] == ["local", "gke-l4", "gke-tpu-v5e", "eks-g5", "aks-a100"]
    assert all(pool.price for pool in config.pools)


def test_values_reach_the_manifests() -> None:
    documents = chart(
        {
            "images": {"operator": "registry.example.com/operator:1", "server": "registry.example.com/server:1"},
            "imagePullSecrets": [{"name": "registry"}],
            "replicas": 2,
            "logFormat": "text",
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "infra", "operator": "Exists"}],
            "resources": {"requests": {"cpu": "1"}},
            "config": {
                "currency": "EUR",
                "images": {"serverGpu": "registry.example.com/server-gpu:1"},
                "pools": [{"name": "only", "node": {"cpu": 2, "memory": "8Gi"}}],
            },
        },
        namespace="elsewhere",
    )
    deployment = find(documents, "Deployment", "tradewind")["spec"]
    pod = deployment["template"]["spec"]
    assert deployment["replicas"] == 2
    assert pod["containers"][0]["image"] == "registry.example.com/operator:1"
    assert "--log-format=text" in pod["containers"][0]["args"]
    assert pod["containers"][0]["resources"]["requests"] == {"cpu": "1", "memory": "128Mi"}
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert pod["tolerations"] == [{"key": "infra", "operator": "Exists"}]
    runtime = find(documents, "ClusterServingRuntime", "tradewind")["spec"]
    assert runtime["containers"][0]["image"] == "registry.example.com/server:1"
    assert pod["imagePullSecrets"] == runtime["imagePullSecrets"] == [{"name": "registry"}]
    config = _config(documents)
    assert (config.currency, config.pools[0].name) == ("EUR", "only")
    assert (config.images.server, config.images.server_gpu) == (
        "registry.example.com/server:1",
        "registry.example.com/server-gpu:1",
    )
    assert config.reporting.url == "https://tradewind-operator.elsewhere.svc:8443"
    assert {document["metadata"].get("namespace", "elsewhere") for document in documents} == {"elsewhere"}


def test_a_deployments_service_leads_to_the_ports_of_the_server() -> None:
    [container] = find(chart(), "ClusterServingRuntime", "tradewind")["spec"]["containers"]
    ports = {port["containerPort"]: port["name"] for port in container["ports"]}
    flags = {flag for flag in container["args"] if "_port=" in flag}
    assert flags == {f"--{name}_port={number}" for number, name in ports.items()}
    body = service("digits", {}, "revision").body
    assert {port["targetPort"]: port["name"] for port in body["spec"]["ports"]} == ports


def test_several_replicas_are_spread_and_not_evicted_at_once(server: ApiServer) -> None:
    server.kubectl("apply", "--server-side", "-k", str(ROOT / "manifests" / "base"))
    one, several = chart(), chart({"replicas": 2})
    assert not [document for document in one if document["kind"] == "PodDisruptionBudget"]
    assert "topologySpreadConstraints" not in find(one, "Deployment", "tradewind")["spec"]["template"]["spec"]
    budget, deployment = find(several, "PodDisruptionBudget", "tradewind"), find(several, "Deployment", "tradewind")
    pods = deployment["spec"]["template"]
    assert budget["spec"]["selector"]["matchLabels"] == pods["metadata"]["labels"]
    assert budget["spec"]["maxUnavailable"] == 1
    spread = pods["spec"]["topologySpreadConstraints"]
    assert {one["topologyKey"] for one in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert all(one["labelSelector"]["matchLabels"] == pods["metadata"]["labels"] for one in spread)
    for document in (budget, deployment):
        server.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(document))


def test_another_image_makes_another_job_for_the_certificate() -> None:
    one = find(chart(), "Job", "tradewind")["metadata"]["name"]
    other = find(chart({"images": {"operator": "other:1"}}), "Job", "tradewind")["metadata"]["name"]
    assert one != other


def test_parts_can_be_left_out() -> None:
    kinds = {one["kind"] for one in chart({"crds": {"install": False}, "servingRuntime": {"install": False}})}
    assert not kinds & {"CustomResourceDefinition", "ClusterServingRuntime"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"replica": 2}, "replica"),
        ({"replicas": 0}, "replicas"),
        ({"logFormat": "xml"}, "logFormat"),
        ({"config": {"currency": "dollars"}}, "currency"),
        ({"config": {"pools": []}}, "pools"),
        ({"config": {"pools": [POOL | {"price": {"perHour": 1.5}}]}}, "perHour"),
        ({"config": {"pools": [POOL | {"name": "A b"}]}}, "name"),
        ({"config": {"pools": [POOL | {"accelerator": {"resource": "amd.com/gpu"}}]}}, "resource"),
    ],
)
def test_helm_refuses_bad_values_by_name(given: dict[str, Any], says: str) -> None:
    done = helm("template", "tradewind", str(CHART), values=given)
    assert done.returncode != 0
    assert says in done.stderr


def test_the_definitions_stay_when_the_chart_is_removed() -> None:
    definitions = [one for one in chart() if one["kind"] == "CustomResourceDefinition"]
    assert len(definitions) == 3
    assert all(one["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for one in definitions)


def test_the_argo_cd_application_has_values_that_the_chart_takes() -> None:
    application = yaml.safe_load((ROOT / "manifests" / "argocd" / "application.yaml").read_text())
    source = application["spec"]["source"]
    assert (ROOT / source["path"] / "Chart.yaml").exists()
    assert _config(chart(source["helm"]["valuesObject"]))


def test_no_role_has_more_than_it_should() -> None:
    forbidden_verbs = {"*", "escalate", "bind", "impersonate", "deletecollection"}
    for document in chart():
        if document["kind"] not in ("Role", "ClusterRole") or "edit" in document["metadata"]["name"]:
            continue
        for rule in document["rules"]:
            assert not forbidden_verbs & set(rule["verbs"]), rule
            assert not {"*"} & {*rule["resources"], *rule["apiGroups"]}, rule
            assert not {"pods/exec", "pods/attach", "pods/portforward"} & set(rule["resources"]), rule
            if "secrets" in rule["resources"]:
                assert document["metadata"]["name"] == "tradewind-certificates", rule
                assert rule["verbs"] == ["create"]


def test_the_lease_that_may_be_renewed_is_the_one_that_is_taken() -> None:
    assert app.LEASE == rbac.LEASE
    assert (lease.API.split("/")[0], lease.PLURAL) == ("coordination.k8s.io", "leases")
