"""The digits path: apply one file, follow it to the service, ask it, and hold the answers against the promise."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2e.demo.progress import Table
from e2e.installation import ROOT, Failed, Kubernetes, condition, say
from tradewind.api.bounds import MeasuredQuality
from tradewind.api.compressionjob import Variant
from tradewind.api.modeldeployment import ChosenVariant
from tradewind_cli.drawing import drawn, lost, rate
from tradewind_cli.frontier import Frontier
from tradewind_cli.picture import png

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE = "digits"
EXAMPLES = ROOT / "manifests" / "examples"
PROMISED_ACCURACY = 0.95
HEADER = ("", "VARIANT", "VERDICT", "ACCURACY", "LOSS", "P50 MS", "P95 MS", "A SECOND", "BYTES", "SPEED-UP", "COST/1M")
WORDS = 3  # columns that are words
KINDS = "trainingjobs.tradewind.dev,compressionjobs.tradewind.dev,modeldeployments.tradewind.dev"


def apply(kubernetes: Kubernetes) -> None:
    """Apply the example's one file."""
    say("kubectl apply -f manifests/examples/digits.yaml")
    kubernetes.apply((EXAMPLES / "digits.yaml").read_text())


def follow(kubernetes: Kubernetes, timeout: float = 900) -> dict[str, dict[str, Any]]:
    """Show progress until the service is ready; the objects by kind. `Failed` when one fails or time is up."""
    table, end = Table(), time.monotonic() + timeout
    while time.monotonic() < end:
        items = kubernetes.get(KINDS, "-n", NAMESPACE)["items"]
        table.show(items)
        for item in items:
            if (failed := condition(item, "Failed")).get("status") == "True":
                raise Failed(f"{item['kind']} {item['metadata']['name']} failed: {failed.get('message')}")
        objects = {item["kind"]: item for item in items}
        if condition(objects.get("ModelDeployment", {}), "Ready").get("status") == "True":
            return objects
        time.sleep(2)
    raise Failed(f"the service was not ready within {timeout:.0f} s; see `kubectl -n {NAMESPACE} get tradewind,pods`")


def ask(kubernetes: Kubernetes, url: str) -> dict[str, Any]:
    """Ask the service for every held-out digit, from a pod of the cluster; what it measured."""
    manifest = (
        (EXAMPLES / "digits-ask.yaml")
        .read_text()
        .replace('name: URL, value: ""', f"name: URL, value: {json.dumps(url)}")
    )
    kubernetes.run("-n", NAMESPACE, "delete", "job", "digits-ask", "--ignore-not-found", "--wait=true")
    kubernetes.apply(manifest)
    end = time.monotonic() + 180
    while time.monotonic() < end:
        status = kubernetes.get("job", "digits-ask", "-n", NAMESPACE).get("status", {})
        if status.get("succeeded"):
            answers: dict[str, Any] = json.loads(_log(kubernetes).splitlines()[-1])
            return answers
        if status.get("failed"):
            raise Failed(f"asking {url} failed: {_log(kubernetes)[-500:]}")
        time.sleep(1)
    raise Failed(f"asking {url} did not end within 180 s")


def _log(kubernetes: Kubernetes) -> str:
    return kubernetes.run("-n", NAMESPACE, "logs", "job/digits-ask", "--tail=20").stdout.strip()


def missing(objects: dict[str, dict[str, Any]], answers: dict[str, Any]) -> list[str]:
    """What the path promises and this run did not show, as sentences; empty when all is there."""
    training, compression, deployment = (
        objects.get(kind, {}).get("status", {}) for kind in ("TrainingJob", "CompressionJob", "ModelDeployment")
    )
    wanted = {
        "the trained model's digest": training.get("model", {}).get("digest"),
        "the variants of the frontier": len(compression.get("variants", [])) > 1,
        "a variant on the frontier": any(variant.get("pareto") for variant in compression.get("variants", [])),
        "what a variant loses of quality, with its interval": any(
            "lossHigh" in variant.get("quality", {}) for variant in compression.get("variants", [])
        ),
        "the chosen variant and why": deployment.get("variant", {}).get("reason"),
        "the service's URL": deployment.get("url"),
        "latencies of the served predictions": answers.get("p50Ms"),
    }
    for kind, status in (("training", training), ("compression", compression), ("service", deployment)):
        wanted[f"the cost of the {kind}"] = status.get("cost", {}).get("accrued") not in (None, "Unknown")
    gaps = [f"missing: {what}" for what, there in wanted.items() if not there]
    if answers.get("accuracy", 0) < PROMISED_ACCURACY:
        gaps.append(f"served accuracy {answers.get('accuracy')} is below {PROMISED_ACCURACY}")
    return gaps


def describe(objects: dict[str, dict[str, Any]], answers: dict[str, Any]) -> str:
    """The result, for people."""
    compression, deployment = objects["CompressionJob"]["status"], objects["ModelDeployment"]["status"]
    processor = compression.get("processor", "an unknown processor")
    lines = [
        "",
        f"The frontier (measured on {processor}; *: no other is at least as good in quality, latency and size)",
        *_table(compression.get("variants", [])),
        "",
        *drawn(frontier(objects)),
    ]
    chosen = deployment.get("variant", {})
    lines += [
        "",
        f"Served: {chosen.get('name')}",
        f"  why: {chosen.get('reason')}",
        f"  next: {chosen.get('runnerUp', 'none')}",
    ]
    asked = f"Asked over HTTP at {deployment.get('url')}: {answers.get('right')} of {answers.get('requests')}"
    asked_in = ", ".join(f"{name} {answers.get(f'{name}Ms', 0):.2f}" for name in ("p50", "p95", "p99"))
    lines += [
        "",
        f"{asked} held-out digits right, accuracy {answers.get('accuracy', 0):.4f}",
        f"  latency of a request that comes now and then, in ms: {asked_in}",
        *_predicted(compression.get("variants", []), chosen.get("name")),
        "",
        "Cost so far (an estimate of allocation)",
    ]
    for kind in ("TrainingJob", "CompressionJob", "ModelDeployment"):
        cost = objects[kind]["status"].get("cost", {})
        hour = f", {cost['perHour']} an hour, {cost.get('perMillion')} a million requests" if "perHour" in cost else ""
        lines.append(f"  {kind:<16} {cost.get('accrued')} {cost.get('currency', '')}{hour}")
    return "\n".join(lines)


def _table(variants: list[dict[str, Any]]) -> Iterator[str]:
    """A line a variant: words to the left, numbers to the right."""
    rows = [HEADER, *(_row(variant) for variant in variants)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    for row in rows:
        cells = (
            cell.ljust(width) if column < WORDS else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield " ".join(cells).rstrip()


def _row(variant: dict[str, Any]) -> tuple[str, ...]:
    speedup, quality = variant.get("speedup"), variant.get("quality")
    latencies = {found["percentile"]: found["milliseconds"] for found in variant.get("latencies", [])}
    return (
        "*" if variant.get("pareto") else "",
        variant["name"],
        variant["verdict"],
        quality["value"] if quality else "-",
        lost(MeasuredQuality.read(quality)) if quality else "-",
        *(latencies.get(percentile, "-") for percentile in (50, 95)),
        rate(Variant.read(variant)) or "-",
        str(variant.get("sizeBytes", "-")),
        f"{speedup['value']} [{speedup['low']}, {speedup['high']}]" if speedup else "",
        variant.get("costPerMillion", "-"),
    )


def frontier(objects: dict[str, dict[str, Any]]) -> Frontier:
    """What the variants lose of quality over what the deployment minimises, and which one it chose."""
    variants = [Variant.read(variant) for variant in objects["CompressionJob"]["status"].get("variants", [])]
    deployment = objects["ModelDeployment"]
    chosen, cost = deployment["status"].get("variant"), deployment["status"].get("cost", {})
    return Frontier.of(
        variants,
        deployment["spec"]["select"]["minimize"],
        ChosenVariant.read(chosen) if chosen else None,
        cost.get("currency", ""),
    )


def _predicted(variants: list[dict[str, Any]], chosen: str | None) -> list[str]:
    """A line with the latency that the choice was made by, where it is that of a replica."""
    row = next((variant for variant in variants if variant["name"] == chosen), {})
    if "replica" not in row:
        return []
    latencies = ", ".join(f"p{found['percentile']} {float(found['milliseconds']):.2f}" for found in row["latencies"])
    return [f"  of the replica that was measured: {latencies}"]


def run(kubernetes: Kubernetes) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """The whole path on an installation that is ready: the three objects at the end, and what asking measured."""
    apply(kubernetes)
    follow(kubernetes)
    deployment = kubernetes.get("modeldeployments.tradewind.dev", "digits", "-n", NAMESPACE)
    answers = ask(kubernetes, deployment["status"]["url"])
    objects = {item["kind"]: item for item in kubernetes.get(KINDS, "-n", NAMESPACE)["items"]}
    return objects, answers


def write(folder: Path, objects: dict[str, dict[str, Any]], answers: dict[str, Any]) -> tuple[Path, Path]:
    """Keep the result as JSON in that folder, and the frontier as a picture; both files."""
    folder.mkdir(parents=True, exist_ok=True)
    path, picture = folder / "digits.json", folder / "frontier.png"
    path.write_text(json.dumps({"objects": objects, "answers": answers}, indent=2))
    picture.write_bytes(png(frontier(objects)))
    return path, picture
