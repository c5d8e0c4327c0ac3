"""etcd and the Kubernetes control plane: files and command lines, for a cluster and for a test's API server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import packages
from e2e.cluster.binaries import binary
from e2e.cluster.pki import Authority, Certificate, kubeconfig

# An event a request, when it is answered: who (user agent, user), what, and with which result.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted", "Panic"],
    "rules": [
        # With what was written: a status that only carries a program's progress is counted apart from a transition.
        {"level": "Request", "resources": [{"group": "tradewind.dev", "resources": ["*/status"]}]},
        {"level": "Metadata"},
    ],
}


@dataclass(frozen=True)
class ControlPlane:
    """A control plane with all its files below one folder."""

    folder: Path
    address: str  # where the API server listens
    port: int
    etcd_port: int
    etcd_peer_port: int
    controllers_port: int = 10257
    scheduler_port: int = 10259
    service_range: str = "10.218.0.0/16"
    service_address: str = "10.218.0.1"  # the first of the range: `kubernetes.default`
    pod_range: str = ""  # where nodes get their pods' addresses from; "" for a control plane without nodes
    # A test's data need not survive the machine.
    volatile: bool = False

    @property
    def pki(self) -> Path:
        """The folder of all certificates."""
        return self.folder / "pki"

    @property
    def url(self) -> str:
        """Where the API server listens, https."""
        return f"https://{self.address}:{self.port}"

    @property
    def ca(self) -> Path:
        """The certificate authority of the servers and their clients, PEM."""
        return self.pki / "ca.crt"

    @property
    def admin(self) -> Path:
        """The kubeconfig of a cluster administrator."""
        return self.folder / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """One JSON object a line, an event a request."""
        return self.folder / "audit.log"

    def certificate(self, name: str) -> Certificate:
        """A certificate that `prepare` made."""
        return Certificate(self.pki / f"{name}.crt", self.pki / f"{name}.key")

    def prepare(self, node: str = "") -> None:
        """Make all certificates and kubeconfigs; those of a node's components too if a node is named."""
        ca = Authority.create(self.pki, "ca")
        front = Authority.create(self.pki, "front-proxy-ca")
        names = (
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "localhost",
        )
        hosts = (
            *(f"DNS:{name}" for name in names),
            *(f"IP:{ip}" for ip in {self.address, "127.0.0.1", self.service_address}),
        )
        ca.issue("apiserver", "kube-apiserver", hosts=hosts)
        ca.issue("apiserver-kubelet", "kube-apiserver-kubelet-client", ("system:masters",))
        ca.issue("service-accounts", "service-accounts")
        front.issue("front-proxy", "front-proxy-client")
        users: dict[str, tuple[str, tuple[str, ...]]] = {"admin": ("tradewind-admin", ("system:masters",))}
        users["controllers"] = ("system:kube-controller-manager", ())
        users["scheduler"] = ("system:kube-scheduler", ())
        if node:
            users["kubelet"] = (f"system:node:{node}", ("system:nodes",))
            users["proxy"] = ("system:kube-proxy", ())
            ca.issue("kubelet-server", f"system:node:{node}", hosts=(f"DNS:{node}", f"IP:{self.address}"))
        for name, (user, groups) in users.items():
            path = self.admin if name == "admin" else self.folder / f"{name}.kubeconfig"
            kubeconfig(path, self.url, self.ca, ca.issue(name, user, groups))
        (self.folder / "audit-policy.json").write_text(json.dumps(_AUDIT_POLICY))

    def etcd(self) -> list[str]:
        """The command line of etcd."""
        peer = f"http://127.0.0.1:{self.etcd_peer_port}"
        client = f"http://127.0.0.1:{self.etcd_port}"
        command = [str(packages.program("etcd-server") or "etcd"), f"--data-dir={self.folder / 'etcd'}", "--name=local"]
        command += [f"--listen-client-urls={client}", f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}"]
        command += [
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=local={peer}",
            "--logger=zap",
            "--log-level=warn",
        ]
        if self.volatile:
            command.append("--unsafe-no-fsync")
        return command

    def apiserver(self) -> list[str]:
        """The command line of kube-apiserver: RBAC, Pod Security, audit, aggregation and tokens of service accounts."""
        pki = self.pki
        return [
            str(binary("kube-apiserver")),
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.port}",
            f"--tls-cert-file={pki / 'apiserver.crt'}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
            f"--client-ca-file={self.ca}",
            f"--service-cluster-ip-range={self.service_range}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={pki / 'service-accounts.crt'}",
            f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
            f"--kubelet-client-certificate={pki / 'apiserver-kubelet.crt'}",
            f"--kubelet-client-key={pki / 'apiserver-kubelet.key'}",
            f"--kubelet-certificate-authority={self.ca}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={pki / 'front-proxy.crt'}",
            f"--proxy-client-key-file={pki / 'front-proxy.key'}",
            f"--audit-policy-file={self.folder / 'audit-policy.json'}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-format=json",
            # One file: who counts requests must not miss those in a rotated one.
            "--audit-log-maxsize=4096",
            # Longer than any run: a check that nothing changes any more would see Events go after an hour.
            "--event-ttl=24h",
            "--profiling=false",
        ]

    def controllers(self) -> list[str]:
        """The command line of kube-controller-manager."""
        config = self.folder / "controllers.kubeconfig"
        command = [
            str(binary("kube-controller-manager")),
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.controllers_port}",
            f"--root-ca-file={self.ca}",
            f"--service-account-private-key-file={self.pki / 'service-accounts.key'}",
            f"--cluster-signing-cert-file={self.ca}",
            f"--cluster-signing-key-file={self.pki / 'ca.key'}",
            f"--service-cluster-ip-range={self.service_range}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--profiling=false",
        ]
        if self.pod_range:
            command += ["--allocate-node-cidrs=true", f"--cluster-cidr={self.pod_range}", "--node-cidr-mask-size=24"]
        return command

    def scheduler(self) -> list[str]:
        """The command line of kube-scheduler."""
        config = self.folder / "scheduler.kubeconfig"
        return [
            str(binary("kube-scheduler")),
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.scheduler_port}",
            "--leader-elect=false",
            "--profiling=false",
        ]
