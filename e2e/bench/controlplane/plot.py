"""The plot of the benchmark: `python -m e2e.bench.controlplane.plot JSON` writes PNG and SVG beside it (matplotlib)."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

COLOURS = {"tradewind": "#0b6e4f", "kuberay": "#c1440e", "trainer": "#3a5fcd"}


def main(path: Path) -> None:
    """Draw what the JSON says."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    document = json.loads(path.read_text())
    figure, axes = pyplot.subplots(2, 2, figsize=(12, 8.4))
    measured = document["measured"]
    settled = measured["settled"]
    number = document["settings"]["settled"]
    _requests(axes[0][0], settled, number)
    _latency(axes[0][1], settled, measured.get("rate", []))
    _cpu(axes[1][0], settled, measured.get("rate", []))
    _memory(axes[1][1], settled, number)
    for row in axes:
        for panel in row:
            panel.set_xlabel("settled objects")
            panel.xaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:,.0f}"))
            panel.set_ylim(0, 1.05 * panel.get_ylim()[1])
            panel.grid(alpha=0.25)
            panel.spines[["top", "right"]].set_visible(False)
            panel.legend(fontsize=8.5, frameon=False)
    figure.suptitle(
        f"{document['machine']['cpu']}, {document['machine']['cpus']} CPUs; * client limits raised", fontsize=9
    )
    figure.tight_layout()
    for suffix in (".png", ".svg"):
        figure.savefig(path.with_suffix(suffix), dpi=110)


def _beside(panel: Any, rate: list[dict[str, Any]], of: Any) -> None:
    """What the others need where nothing is settled, as lines across."""
    for system in ("kuberay*", "trainer*"):
        values = [of(turn) for turn in rate if turn["system"] == system]
        if values:
            label = f"{system}, nothing settled"
            panel.axhline(statistics.median(values), color=COLOURS[system.rstrip("*")], linestyle=":", label=label)


def _requests(panel: Any, settled: dict[str, Any], number: int) -> None:
    panel.set_title("idle requests a second", loc="left", fontsize=11)
    for system, colour in COLOURS.items():
        ends = [settled[at][system] for at in ("idle at 0", "idle at all")]
        panel.plot([0, number], [end["requests"] / end["seconds"] for end in ends], "o-", color=colour, label=system)
    live = settled["live"]
    label = f"tradewind, {number // 10:,} live instead"
    panel.plot(
        [number / 10], [live["requests"] / live["seconds"]], "s", color=COLOURS["tradewind"], label=label, mfc="none"
    )


def _latency(panel: Any, settled: dict[str, Any], rate: list[dict[str, Any]]) -> None:
    panel.set_title("apply to child created, 10 a second, ms", loc="left", fontsize=11)
    probes = settled["probes"]
    for share, style in (("0.5", "o-"), ("0.99", "o--")):
        values = [probe["latencies"][share] * 1e3 for probe in probes]
        panel.plot(
            [probe["n"] for probe in probes],
            values,
            style,
            color=COLOURS["tradewind"],
            label=f"tradewind, p{float(share) * 100:.0f}",
        )
    _beside(panel, rate, lambda turn: turn["latencies"]["0.5"] * 1e3)


def _cpu(panel: Any, settled: dict[str, Any], rate: list[dict[str, Any]]) -> None:
    panel.set_title("CPU an object at 10 a second, ms", loc="left", fontsize=11)
    probes = settled["probes"]

    def each(turn: dict[str, Any]) -> float:
        return float(turn["cpu"]) / float(turn["objects"]) * 1e3

    values = [each(probe) for probe in probes]
    panel.plot([probe["n"] for probe in probes], values, "o-", color=COLOURS["tradewind"], label="tradewind")
    _beside(panel, rate, each)


def _memory(panel: Any, settled: dict[str, Any], number: int) -> None:
    panel.set_title("resident memory, MB", loc="left", fontsize=11)
    for system in ("tradewind", "trainer*"):
        grown = [entry for entry in settled["growth"] if entry["system"] == system and "restarted" not in entry]
        label = f"{system}, without a restart"
        style = {"color": COLOURS[system.rstrip("*")], "label": label}
        panel.plot([entry["n"] for entry in grown], [entry["memory"] for entry in grown], "o-", **style)
    again = [entry for entry in settled["growth"] if "restarted" in entry]
    hollow: dict[str, Any] = {
        "color": COLOURS["tradewind"],
        "mfc": "none",
        "markersize": 8,
        "label": "tradewind, restarted",
    }
    panel.plot([entry["n"] for entry in again], [entry["memory"] for entry in again], "s:", **hollow)
    for system in ("kuberay", "trainer"):
        ends = [settled[at][system]["memory"] for at in ("idle at 0", "idle at all")]
        panel.plot([0, number], ends, "s:", color=COLOURS[system], mfc="none", label=f"{system}, restarted")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
