"""The cluster's part of the machine's network: an address for the node, and a way out for the pods."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from e2e.cluster.progress import Failed, run
from e2e.cluster.record import Record

LINK = "tradewind0"
NODE_ADDRESS = "10.217.0.1"
POD_RANGE = "10.217.0.0/24"
SERVICE_RANGE = "10.218.0.0/16"
DNS_ADDRESS = "10.218.0.10"
TABLE = ("ip", "tradewind-cluster")
PROXY_TABLES = (("ip", "kube-proxy"), ("ip6", "kube-proxy"))
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def cni(addresses: Path) -> dict[str, Any]:
    """The configuration of the pods' network; the folder holds which addresses are given away."""
    ranges = [[{"subnet": POD_RANGE, "gateway": NODE_ADDRESS}]]
    ipam = {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}], "dataDir": str(addresses)}
    # Point to point and routed, so that also traffic between two pods passes the rules of Services.
    return {"cniVersion": "1.0.0", "name": "tradewind", "plugins": [{"type": "ptp", "ipMasq": False, "ipam": ipam}]}


def create(record: Record) -> None:
    """Make the link, the rules and the forwarding. Raise `Failed` where another cluster has rules here."""
    for family, name in PROXY_TABLES:
        if subprocess.run(["nft", "list", "table", family, name], capture_output=True).returncode == 0:
            raise Failed(f"another Kubernetes runs on this machine: there is a table `{family} {name}` of nftables")
    record.add("link", LINK)
    run("ip", "link", "add", LINK, "type", "bridge")
    run("ip", "address", "add", f"{NODE_ADDRESS}/32", "dev", LINK)
    run("ip", "link", "set", LINK, "up")
    # Where the machine has no default route, a Service's address would be unreachable before it is translated.
    run("ip", "route", "add", SERVICE_RANGE, "dev", LINK)
    if (value := _FORWARDING.read_text().strip()) != "1":
        record.add("sysctl", "ip_forward", path=str(_FORWARDING), value=value)
        _FORWARDING.write_text("1")
    for family, name in (TABLE, *PROXY_TABLES):
        record.add("nft", f"{family} {name}", family=family, table=name)
    rules = f"""table {TABLE[0]} {TABLE[1]} {{
      chain postrouting {{
        type nat hook postrouting priority 100;
        ip saddr {POD_RANGE} ip daddr != {{ {POD_RANGE}, {SERVICE_RANGE} }} masquerade
      }}
    }}"""
    run("nft", "-f", "-", stdin=rules)
