"""The node: files and command lines of containerd, kubelet and kube-proxy."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from e2e.cluster import cgroups, network, packages
from e2e.cluster.binaries import binary
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.load_image import SOCKET
from e2e.cluster.places import STATE

NAME = "tradewind"
PAUSE = "tradewind.local/pause:1"
CONTAINERD_STATE = SOCKET.parent
VOLUMES = STATE / "volumes"
POD_LOGS = STATE / "pod-logs"
_CNI = STATE / "cni"
_RESOLVERS = ("/run/systemd/resolve/resolv.conf", "/etc/resolv.conf")


def containerd_config(root: Path, with_pods: bool = True) -> str:
    """The configuration of containerd; without pods it only keeps images."""
    plugin = packages.program("containernetworking-plugins") or Path("/usr/lib/cni/ptp")
    lines = [
        "version = 3",
        f"root = {json.dumps(str(root))}",
        f"state = {json.dumps(str(CONTAINERD_STATE))}",
        f"disabled_plugins = {json.dumps([] if with_pods else ['io.containerd.grpc.v1.cri'])}",
        "[grpc]",
        f"address = {json.dumps(str(SOCKET))}",
        "[plugins.'io.containerd.cri.v1.images']",
        "snapshotter = 'overlayfs'",
        "[plugins.'io.containerd.cri.v1.images'.pinned_images]",
        f"sandbox = {json.dumps(PAUSE)}",
        "[plugins.'io.containerd.cri.v1.runtime']",
        # Without CAP_SYS_RESOURCE nobody may lower an oom_score_adj, and runc would die of it.
        "restrict_oom_score_adj = true",
        # So that they lie where the cleanup looks.
        "netns_mounts_under_state_dir = true",
        "[plugins.'io.containerd.cri.v1.runtime'.cni]",
        f"bin_dirs = {json.dumps([str(plugin.parent)])}",
        f"conf_dir = {json.dumps(str(_CNI))}",
        "[plugins.'io.containerd.cri.v1.runtime'.containerd]",
        "default_runtime_name = 'runc'",
        "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]",
        "runtime_type = 'io.containerd.runc.v2'",
        "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]",
        f"BinaryName = {json.dumps(str(packages.program('runc') or 'runc'))}",
        "SystemdCgroup = false",
        f"Root = {json.dumps(str(CONTAINERD_STATE / 'runc'))}",
    ]
    return "\n".join(lines) + "\n"


def _kubelet_config(plane: ControlPlane) -> dict[str, Any]:
    reserved = f"{round((os.cpu_count() or 1) * 200)}m"  # a fifth of the processors is for what runs beside the pods
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": plane.address,
        "port": 10250,
        "readOnlyPort": 0,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": 10248,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(plane.ca)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(plane.certificate("kubelet-server").crt),
        "tlsPrivateKeyFile": str(plane.certificate("kubelet-server").key),
        "clusterDNS": [network.DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": next(path for path in _RESOLVERS if Path(path).exists()),
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroups.NAME}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "systemReserved": {"cpu": reserved, "memory": "1Gi"},
        "maxPods": 110,
        # The images can't be pulled again; and the kubelet counts blocks as used that `df` calls free.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "nodefs.inodesFree": "1%",
        },
        "makeIPTablesUtilChains": False,
        "podLogsDir": str(POD_LOGS),
        "volumePluginDir": str(STATE / "volume-plugins"),
        "serializeImagePulls": False,
        "syncFrequency": "30s",
        "shutdownGracePeriod": "0s",
        "oomScoreAdj": 0,
        "enforceNodeAllocatable": ["pods"],
    }


def _proxy_config(plane: ControlPlane) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(plane.folder / "proxy.kubeconfig")},
        "mode": "nftables",
        "hostnameOverride": NAME,
        "clusterCIDR": network.POD_RANGE,
        "detectLocalMode": "ClusterCIDR",
        "bindAddress": plane.address,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        # The machine's limit of tracked connections is not ours to change, nor may be changed everywhere.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "oomScoreAdj": 0,
    }


def write_files(plane: ControlPlane, images: Path) -> None:
    """Write the configurations of the node's components."""
    for folder in (_CNI, VOLUMES, POD_LOGS, STATE / "volume-plugins", CONTAINERD_STATE):
        folder.mkdir(parents=True, exist_ok=True)
    VOLUMES.chmod(0o755)
    (_CNI / "10-tradewind.conflist").write_text(json.dumps(network.cni(STATE / "addresses")))
    (STATE / "containerd.toml").write_text(containerd_config(images))
    (STATE / "kubelet.json").write_text(json.dumps(_kubelet_config(plane), indent=1))
    (STATE / "proxy.json").write_text(json.dumps(_proxy_config(plane), indent=1))


def containerd() -> list[str]:
    """The command line of containerd."""
    return [str(binary("containerd")), "--config", str(STATE / "containerd.toml"), "--log-level=info"]


def kubelet(plane: ControlPlane) -> list[str]:
    """The command line of the kubelet."""
    return [
        str(binary("kubelet")),
        f"--config={STATE / 'kubelet.json'}",
        f"--kubeconfig={plane.folder / 'kubelet.kubeconfig'}",
        f"--root-dir={STATE / 'kubelet'}",
        f"--hostname-override={NAME}",
        f"--node-ip={plane.address}",
    ]


def proxy() -> list[str]:
    """The command line of kube-proxy."""
    return [str(binary("kube-proxy")), f"--config={STATE / 'proxy.json'}"]


def environment() -> dict[str, str]:
    """The components find their helpers on this PATH: the shim beside containerd, and what Debian has in sbin."""
    shim = binary("containerd-shim-runc-v2").parent
    return {"PATH": f"{shim}:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"}
