"""The picture of the benchmark: `python -m e2e.bench.quality.plot JSON SVG` (matplotlib)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from e2e.bench.quality.tables import TABLES

COLOURS = {"linear": "#3a5fcd", "boosting": "#c1440e"}


def main(source: Path, target: Path) -> None:
    """A row for each table, a dot for each reference: what ours is better by, with its interval."""
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "quality"  # the same numbers, the same file
    from matplotlib import pyplot

    document = json.loads(source.read_text())
    lines = document["tables"][::-1]
    figure, panel = pyplot.subplots(figsize=(9, 1.2 + 0.46 * len(lines)))
    names = []
    for at, line in enumerate(lines):
        table = next(table for table in TABLES if table.name == line["table"])
        ours = table.architectures[0]
        unit = scale(line)
        names.append(f"{table.name}\n{ours}, {line['metric']}")
        for kind, found in line["differences"][ours].items():
            value, low, high = (100 * found[name] / unit for name in ("value", "low", "high"))
            height = at + (0.14 if kind == "linear" else -0.14)
            panel.plot([low, high], [height, height], color=COLOURS[kind], linewidth=2, solid_capstyle="round")
            panel.plot([value], [height], "o", color=COLOURS[kind], markersize=6)
    for kind, colour in COLOURS.items():
        panel.plot([], [], "o-", color=colour, label=f"than {kind}")
    panel.axvline(0, color="black", linewidth=0.8)
    panel.set_yticks(range(len(names)), names, fontsize=8.5)
    # Straight about 0, where nearly all is, and by its logarithm beyond.
    panel.set_xscale("symlog", linthresh=5)
    ticks = [-20, -10, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 10, 20, 50]
    left, right = panel.get_xlim()
    panel.set_xticks(shown := [tick for tick in ticks if left <= tick <= right], [str(tick) for tick in shown])
    panel.xaxis.minorticks_off()
    panel.set_xlabel("points of the metric (rmse: per cent); ours is better to the right of 0", fontsize=9)
    panel.grid(axis="x", alpha=0.25)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.tick_params(axis="y", length=0)
    panel.legend(fontsize=8.5, frameon=False, loc="lower right")
    panel.set_title(
        f"How much better ours is than scikit-learn's (defaults, {document['seeds']} seeds, 95 % intervals)",
        loc="left",
        fontsize=11,
    )
    figure.tight_layout()
    for path in (target, source.with_suffix(".png")):
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=110, metadata=metadata)


def scale(line: dict[str, Any]) -> float:
    """One where the metric is a share; for errors in the label's unit, what the best reference has."""
    return 1.0 if line["higher_is_better"] else float(line["values"][line["best"]])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
