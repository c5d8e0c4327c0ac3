"""What the command line says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """The command line of `run`."""

    config: Path
    tls_dir: Path
    namespace_of_lease: str
    identity: str
    host: str = "localhost"  # where the other replicas reach this one
    report_port: int = 8443
    metrics_port: int = 8080
    health_port: int = 8081
    resync_seconds: float = 3600.0

    @property
    def address(self) -> str:
        """Host and port at which this replica takes reports."""
        return f"[{self.host}]:{self.report_port}" if ":" in self.host else f"{self.host}:{self.report_port}"
