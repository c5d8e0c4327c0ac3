"""What an installation consists of, once: manifests/base has it with values, the chart with places for them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import yaml

from tradewind.core.security import CONTAINER_SECURITY, POD_SECURITY
from tradewind.deployment.service import GRPC_PORT, SERVER_PORT
from tradewind.generate import rbac
from tradewind.generate.template import Place, When

NAME = "tradewind-operator"
NAMESPACE = "tradewind-system"
CERTIFICATES = "tradewind-certificates"
CONFIG = "tradewind-config"
REPORT_PORT, METRICS_PORT, HEALTH_PORT = 8443, 8080, 8081
RBAC_GROUP = "rbac.authorization.k8s.io"
SEVERAL = "gt (int .Values.replicas) 1"  # the chart's condition for what only several replicas need
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What differs between installations: values, or the places that Helm fills in."""

    namespace: Any
    operator_image: Any
    server_image: Any
    pull_policy: Any
    pull_secrets: Any
    replicas: Any
    spread: Any  # topologySpreadConstraints of the pods
    log_format: Any  # the argument
    resources: Any
    node_selector: Any
    tolerations: Any
    config: Any  # text of config.yaml
    certificates: Any  # name of the Job


def report_url(namespace: str) -> str:
    """Address of the report endpoint."""
    return f"https://{NAME}.{namespace}.svc:{REPORT_PORT}"


def settings(given: Manifest) -> Settings:
    """The settings of manifests/base, from the values of the chart."""
    config = {"reporting": {"url": report_url(NAMESPACE)}} | given["config"]
    config["images"] = {"server": given["images"]["server"]} | config["images"]
    image = given["images"]["operator"]
    return Settings(
        namespace=NAMESPACE,
        operator_image=image,
        server_image=given["images"]["server"],
        pull_policy=given["imagePullPolicy"],
        pull_secrets=given["imagePullSecrets"] or None,
        replicas=given["replicas"],
        spread=SPREAD if given["replicas"] > 1 else None,
        log_format=f"--log-format={given['logFormat']}",
        resources=given["resources"],
        node_selector=given["nodeSelector"] or None,
        tolerations=given["tolerations"] or None,
        config=yaml.safe_dump(config, sort_keys=True),
        certificates=f"{CERTIFICATES}-{hashlib.sha256(image.encode()).hexdigest()[:8]}",
    )


def places() -> Settings:
    """The settings of the chart's templates."""
    url = report_url("%s")
    known = f'dict "reporting" (dict "url" (printf "{url}" .Release.Namespace)) "images" (pick .Values.images "server")'
    config = f"merge (deepCopy .Values.config) ({known})"
    return Settings(
        namespace=Place(".Release.Namespace"),
        operator_image=Place(".Values.images.operator"),
        server_image=Place(".Values.images.server"),
        pull_policy=Place(".Values.imagePullPolicy"),
        pull_secrets=Place(".Values.imagePullSecrets", optional=True),
        replicas=Place(".Values.replicas"),
        spread=When(SEVERAL, SPREAD),
        log_format=Place('printf "--log-format=%s" .Values.logFormat'),
        resources=Place(".Values.resources"),
        node_selector=Place(".Values.nodeSelector", optional=True),
        tolerations=Place(".Values.tolerations", optional=True),
        config=Place(f"toYaml ({config})", lines=True),
        certificates=Place(f'printf "{CERTIFICATES}-%s" (.Values.images.operator | sha256sum | trunc 8)'),
    )


def namespace() -> list[Manifest]:
    """The operator's namespace; in Helm's case whoever installs the chart makes it."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": NAMESPACE,
                "labels": _labels("operator")
                | {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")},
            },
        }
    ]


def rights(given: Settings) -> list[Manifest]:
    """The operator's account and rights, and roles that give users of a namespace rights on our kinds."""
    view, edit = ["get", "list", "watch"], ["create", "delete", "deletecollection", "patch", "update"]
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": given.namespace}
    aggregate = f"{RBAC_GROUP}/aggregate-to-"
    return [
        _namespaced("v1", "ServiceAccount", NAME, given, "operator", {}),
        _role("ClusterRole", _cluster_wide(NAME), rbac.operator_rules()),
        _binding("ClusterRoleBinding", _cluster_wide(NAME), "ClusterRole", account),
        _role("Role", _meta(NAME, given, "operator"), rbac.lease_rules()),
        _binding("RoleBinding", _meta(NAME, given, "operator"), "Role", account),
        _role(
            "ClusterRole",
            _cluster_wide("tradewind-view", **{f"{aggregate}{to}": "true" for to in ("view", "edit", "admin")}),
            rbac.user_rules(view),
        ),
        _role(
            "ClusterRole",
            _cluster_wide("tradewind-edit", **{f"{aggregate}{to}": "true" for to in ("edit", "admin")}),
            rbac.user_rules(edit),
        ),
    ]


def configuration(given: Settings) -> list[Manifest]:
    """The operator's configuration file."""
    return [_namespaced("v1", "ConfigMap", CONFIG, given, "operator", {"data": {"config.yaml": given.config}})]


def certificates(given: Settings) -> list[Manifest]:
    """The one-shot Job that makes the report endpoint's certificate, with rights on that one Secret only."""
    component = "certificates"
    account = {"kind": "ServiceAccount", "name": CERTIFICATES, "namespace": given.namespace}
    container = {
        "name": component,
        "image": given.operator_image,
        "imagePullPolicy": given.pull_policy,
        "args": [
            "certificates",
            "--namespace=$(POD_NAMESPACE)",
            f"--service={NAME}",
            f"--secret={rbac.TLS_SECRET}",
        ],
        "env": [_own("namespace")],
        "resources": {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 -- an emptyDir of the pod's own
    }
    pod = _pod(given, CERTIFICATES, container, [{"name": "tmp", "emptyDir": {}}]) | {"restartPolicy": "OnFailure"}
    job = {
        "backoffLimit": 6,
        "template": {"metadata": {"labels": _labels(component)}, "spec": pod},
    }
    return [
        _namespaced("v1", "ServiceAccount", CERTIFICATES, given, component, {}),
        _role("Role", _meta(CERTIFICATES, given, component), rbac.certificate_rules()),
        _binding("RoleBinding", _meta(CERTIFICATES, given, component), "Role", account),
        # A Job can't be changed, so another image makes another Job, which finds the Secret there.
        _namespaced("batch/v1", "Job", given.certificates, given, component, {"spec": job}),
    ]


def operator(given: Settings) -> list[Manifest]:
    """The operator's Deployment and Service."""
    ports = {"report": REPORT_PORT, "metrics": METRICS_PORT}
    container = {
        "name": "operator",
        "image": given.operator_image,
        "imagePullPolicy": given.pull_policy,
        "args": ["run", "--config=/etc/tradewind/config.yaml", "--tls-dir=/etc/tradewind/tls", given.log_format],
        "env": [_own("namespace"), _own("name"), _own("ip", "status.podIP")],
        "ports": [{"name": name, "containerPort": port} for name, port in {**ports, "health": HEALTH_PORT}.items()],
        "livenessProbe": _probe("/healthz", periodSeconds=10, timeoutSeconds=5, failureThreshold=6),
        # A replica that stands by is ready too: it passes reports on to the active one.
        "readinessProbe": _probe("/readyz", periodSeconds=2, timeoutSeconds=2, failureThreshold=2),
        "resources": given.resources,
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/tradewind", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 -- an emptyDir of the pod's own
        ],
    }
    tls = [{"key": key, "path": f"tls/{key}"} for key in ("tls.crt", "tls.key", "ca.crt")]
    sources = [{"configMap": {"name": CONFIG}}, {"secret": {"name": rbac.TLS_SECRET, "items": tls}}]
    volumes = [{"name": "config", "projected": {"sources": sources}}, {"name": "tmp", "emptyDir": {}}]
    deployment = {
        "replicas": given.replicas,
        # The successor stands by before the old replica goes, and has the lease as soon as that gives it up.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "selector": {"matchLabels": _labels("operator")},
        "template": {
            "metadata": {"labels": _labels("operator")},
            "spec": _given(
                _pod(given, NAME, container, volumes)
                | {"topologySpreadConstraints": given.spread, "terminationGracePeriodSeconds": 30}
            ),
        },
    }
    service = {
        "selector": _labels("operator"),
        "ports": [{"name": name, "port": port, "targetPort": name} for name, port in ports.items()],
    }
    return [
        _namespaced("apps/v1", "Deployment", NAME, given, "operator", {"spec": deployment}),
        _namespaced("v1", "Service", NAME, given, "operator", {"spec": service}),
    ]


def disruption(given: Settings) -> list[Manifest]:
    """What several replicas need besides: that not all of them are evicted at once."""
    spec = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": _labels("operator")},
        # One that can't start must not keep its node from being drained.
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return [_namespaced("policy/v1", "PodDisruptionBudget", NAME, given, "operator", {"spec": spec})]


def serving_runtime(given: Settings) -> list[Manifest]:
    """How KServe runs our server."""
    live, ready = "/v2/health/live", "/v2/health/ready"
    container = {
        "name": "kserve-container",
        "image": given.server_image,
        "imagePullPolicy": given.pull_policy,
        # KServe fills in the name of the InferenceService.
        "args": [
            *("--model_name={{.Name}}", "--model_dir=/mnt/models"),
            *(f"--http_port={SERVER_PORT}", f"--grpc_port={GRPC_PORT}"),
        ],
        # KServe makes a Service with these names of them: the first becomes its port 80, the other keeps its number.
        "ports": [
            {"name": "http", "containerPort": SERVER_PORT, "protocol": "TCP"},
            {"name": "grpc", "containerPort": GRPC_PORT, "protocol": "TCP"},
        ],
        "startupProbe": _probe(live, SERVER_PORT, periodSeconds=2, timeoutSeconds=5, failureThreshold=60),
        "livenessProbe": _probe(live, SERVER_PORT, periodSeconds=10, timeoutSeconds=5, failureThreshold=6),
        "readinessProbe": _probe(ready, SERVER_PORT, periodSeconds=2, timeoutSeconds=2, failureThreshold=2),
        "resources": {"requests": {"cpu": "200m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 -- an emptyDir of the pod's own
    }
    spec = {
        "annotations": {"prometheus.kserve.io/path": "/metrics", "prometheus.kserve.io/port": str(SERVER_PORT)},
        "supportedModelFormats": [{"name": "onnx", "version": "1", "autoSelect": False}],
        "protocolVersions": ["v1", "v2", "grpc-v2"],
        "multiModel": False,
        "imagePullSecrets": given.pull_secrets,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    return [
        {
            "apiVersion": "serving.kserve.io/v1alpha1",
            "kind": "ClusterServingRuntime",
            "metadata": {"name": "tradewind-onnx", "labels": _labels("server")},
            "spec": _given(spec),
        }
    ]


def _pod(given: Settings, account: str, container: Manifest, volumes: list[Manifest]) -> Manifest:
    return _given(
        {
            "serviceAccountName": account,
            "imagePullSecrets": given.pull_secrets,
            "nodeSelector": given.node_selector,
            "tolerations": given.tolerations,
            "enableServiceLinks": False,
            "securityContext": POD_SECURITY,
            "containers": [container],
            "volumes": volumes,
        }
    )


def _given(manifest: Manifest) -> Manifest:
    return {key: value for key, value in manifest.items() if value is not None}


def _own(name: str, path: str = "") -> Manifest:
    return {"name": f"POD_{name.upper()}", "valueFrom": {"fieldRef": {"fieldPath": path or f"metadata.{name}"}}}


def _probe(path: str, port: int | str = "health", **periods: int) -> Manifest:
    return {"httpGet": {"path": path, "port": port}, **periods}


def _labels(component: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": "tradewind", "app.kubernetes.io/component": component}


# Nodes and zones apart where there are several, and on one node where there is no other.
SPREAD = [
    {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _labels("operator")},
        "matchLabelKeys": ["pod-template-hash"],
    }
    for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
]


def _meta(name: Any, given: Settings, component: str) -> Manifest:
    return {"name": name, "namespace": given.namespace, "labels": _labels(component)}


def _cluster_wide(name: str, **labels: str) -> Manifest:
    return {"name": name, "labels": _labels("operator") | labels}


def _namespaced(version: str, kind: str, name: Any, given: Settings, component: str, rest: Manifest) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": _meta(name, given, component), **rest}


def _role(kind: str, metadata: Manifest, rules: list[rbac.Rule]) -> Manifest:
    return {"apiVersion": f"{RBAC_GROUP}/v1", "kind": kind, "metadata": metadata, "rules": rules}


def _binding(kind: str, metadata: Manifest, role: str, account: Manifest) -> Manifest:
    return {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": kind,
        "metadata": metadata,
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": role, "name": metadata["name"]},
        "subjects": [account],
    }
