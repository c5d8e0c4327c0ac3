"""What an operator that runs as a process finds in its folder: `config.yaml`, and its certificate in `tls`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tradewind.runtime.certificates import make

CONFIG = """
pools:
  - name: local
    node: {cpu: "8", memory: 32Gi}
    price: {perHour: "1.20"}
images: {workload: "tradewind/workload:dev"}
reporting: {url: "https://tradewind-operator.tradewind-system.svc:8443"}
"""


def equip(folder: Path) -> None:
    """Write a configuration with one pool, and the certificate."""
    certify(folder)
    (folder / "config.yaml").write_text(CONFIG)


def certify(folder: Path) -> None:
    """Write a certificate for this machine, and for the name by which replicas know one another, with its authority."""
    (folder / "tls").mkdir()
    for name, content in make(["localhost", "tradewind-operator.tradewind-system.svc"], datetime.now(UTC)).items():
        (folder / "tls" / name).write_bytes(content)
