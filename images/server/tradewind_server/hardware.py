"""GPUs, as the driver tells of them. It imports nothing of the server's, for the stand."""

from __future__ import annotations

from pathlib import Path

_NVIDIA = Path("/proc/driver/nvidia")


def gpus(root: Path = _NVIDIA) -> str | None:
    """The GPUs that this container sees, and their driver; None without any."""
    names = []
    for file in sorted(root.glob("gpus/*/information")):
        fields = dict(line.split(":", 1) for line in file.read_text().splitlines() if ":" in line)
        names.append(fields.get("Model", "unknown GPU").strip())
    if not names:
        return None
    version = (root / "version").read_text().split() if (root / "version").exists() else []
    # As in: NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build
    numbers = [word for word in version if word[0].isdigit() and "." in word]
    return f"{', '.join(names)} (driver {numbers[0] if numbers else 'unknown'})"
