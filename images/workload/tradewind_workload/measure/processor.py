"""The processor that is measured on, in words that explain a number later."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

_TOLD = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm", "sve")


@dataclass(frozen=True)
class Processor:
    """Name, architecture, and those of its instruction sets that matter for neural networks."""

    name: str
    machine: str
    instructions: tuple[str, ...]

    @property
    def reduce_range(self) -> bool:
        """Whether 8-bit weights must keep to 7 bits: without VNNI, sums of two products overflow 16 bits."""
        simd = {"avx2", "avx512f"} & set(self.instructions)
        return bool(simd) and not {"avx_vnni", "avx512_vnni"} & set(self.instructions)

    def __str__(self) -> str:
        return f"{self.name} ({self.machine}; {' '.join(self.instructions) or 'no SIMD for int8'})"[:256]


def processor(cpuinfo: str | None = None) -> Processor:
    """This machine's, from /proc/cpuinfo."""
    if cpuinfo is None:
        path = Path("/proc/cpuinfo")
        cpuinfo = path.read_text() if path.exists() else ""
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    name = fields.get("model name") or fields.get("CPU part") or "unknown processor"
    return Processor(name, platform.machine(), tuple(flag for flag in _TOLD if flag in flags))
