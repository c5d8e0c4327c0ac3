"""What a frontier shows: each variant where its numbers say, what is served, and what is refused and why."""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from tests import objects
from tradewind.api.compressionjob import Variant
from tradewind.api.modeldeployment import ChosenVariant
from tradewind_cli import picture
from tradewind_cli.drawing import WIDTH, drawn, say_all
from tradewind_cli.frontier import Frontier


def row(name: str, loss: str | None, ends: tuple[str, str] | None, rate: str, **changes: Any) -> Variant:
    quality = objects.quality("0.97") | {"part": "Test", "rows": 360}
    quality |= {} if loss is None else {"loss": loss}
    quality |= {} if ends is None else {"lossLow": ends[0], "lossHigh": ends[1]}
    measured = {"quality": quality, "throughputPerSecond": rate, "latencies": objects.latencies("0.10", "0.20")}
    replica = {"within": {"percentile": 95, "milliseconds": "1"}, "startSeconds": "1"}
    return Variant.model_validate(objects.variant(name, **(measured | {"replica": replica} | changes)))


ROWS = [
    row("baseline", "0", None, "250"),
    row("int8", "0.01", ("-0.01", "0.02"), "500"),
    row("half", "0.02", ("0.01", "0.04"), "1000"),
    row("dynamic", "-0.01", ("-0.02", "0.01"), "400", verdict="NotFaster"),
    Variant.model_validate(
        {"name": "broken", "methods": "prune", "verdict": "Failed", "reason": "The server can't load it."}
    ),
]
WHY = "accuracy 0.93 on 360 test rows is below where.quality.min 0.95, which is more than a line of a terminal has"
CHOSEN = ChosenVariant(
    name="int8",
    storage_uri="pvc://models/int8",
    reason="The cheapest.",
    rejected=[{"name": "half", "reason": WHY}, {"name": "dynamic", "reason": "NotFaster (slower)"}],
)
PICTURE = """\
loss of accuracy on 360 test rows, with its 95 % interval
    0.04 ┤                 ┬
         │                 │
         │                 │
         │                 │
         │                 │
    0.02 ┤                 a                ┬
         │                 │                │
         │                 ┴                ●┈┈┈┈┈┈┈┈┬┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┊
         │                                  │        │                         ┊
       0 ┤──────────────────────────────────│────────│─────────────────────────D
         │                                  │        │
         │                                  │        │
         │                                  ┴        c
         │                                           │
   -0.02 ┤                                           ┴
         └┬────────────────┬────────────────┬─────────────────┬────────────────┬
          0              1000             2000              3000            4000
                                     seconds of a replica for a million requests
Down and to the left is better; ┈ is the best that can be served.
  a  half: 1000, loss 0.02 [0.01, 0.04]; accuracy 0.93 on 360 test rows is below
     where.quality.min 0.95, which is more than a line of a terminal has
  ●  int8: 2000, loss 0.01 [-0.01, 0.02]; served
  c  dynamic: 2500, loss -0.01 [-0.02, 0.01]; NotFaster
  D  baseline: 4000, loss 0; Accepted
  -  broken: not drawn; Failed
"""


def text(frontier: Frontier) -> str:
    return "".join(f"{line}\n" for line in drawn(frontier))


def test_on_a_terminal() -> None:
    assert text(Frontier.of(ROWS, "Cost", CHOSEN)) == PICTURE


def test_on_a_terminal_that_has_other_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "latin-1"))
    say_all()
    print(text(Frontier.of(ROWS, "Cost", CHOSEN)), flush=True)
    assert b"  ?  int8: 2000, loss 0.01 [-0.01, 0.02]; served" in written.getvalue()


@pytest.mark.parametrize(
    ("minimize", "across", "x"),
    [
        ("Cost", "seconds of a replica for a million requests", 2000),
        ("Latency", "95th percentile of the latency of a request that comes now and then, ms", 0.2),
        ("Size", "MB of model.onnx", 0.002),
    ],
)
def test_what_is_minimised_is_across(minimize: str, across: str, x: float) -> None:
    found = Frontier.of([row("baseline", "0", None, "500", sizeBytes=2000)], minimize, None)
    assert (found.across, found.points[0].x) == (across, x)


def test_a_cost_is_money_only_where_all_have_a_price() -> None:
    known, unknown = (
        row(name, "0", None, "500", costPerMillion=cost) for name, cost in (("a", "0.5"), ("b", "Unknown"))
    )
    assert Frontier.of([known], "Cost", None, "EUR").across == "EUR for a million requests at full use"
    assert Frontier.of([known, unknown], "Cost", None, "EUR").across == "seconds of a replica for a million requests"


def test_the_edge_is_the_best_that_can_be_served() -> None:
    """`half` costs less and `dynamic` loses less, but neither is served."""
    assert [point.name for point in Frontier.of(ROWS, "Cost", CHOSEN).edge] == ["int8", "baseline"]
    assert [point.name for point in Frontier.of(ROWS, "Cost", None).edge] == ["half", "int8", "baseline"]


def test_a_row_without_a_loss_is_named() -> None:
    """As a job of an earlier version has them."""
    assert text(Frontier.of([row("baseline", None, None, "500")], "Cost", None)) == (
        "  -  baseline: not drawn; not measured\n"
    )


def test_as_many_variants_as_a_job_has_are_all_seen() -> None:
    rows = [row(f"v{number}", "0.01", ("0", "0.02"), "500", verdict="NotFaster") for number in range(31)]
    lines = text(Frontier.of([row("baseline", "0", None, "500"), *rows], "Cost", None)).splitlines()
    marks = [line[2] for line in lines if line.startswith("  ") and line[3:5] == "  " and line[2] != " "]
    assert len(set(marks)) == 32
    plot = "".join(line[10:] for line in lines[1:16])
    assert all(plot.count(mark) == 1 for mark in marks)
    assert max(map(len, lines)) <= WIDTH


def test_as_a_picture() -> None:
    """What is served, could be, and is refused is there in its colour."""
    image = Image.open(io.BytesIO(picture.png(Frontier.of(ROWS, "Cost", CHOSEN))))
    pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    for colour in (picture.SERVED, picture.COULD, picture.REFUSED):
        assert (pixels == ImageColor.getrgb(colour)).all(1).any(), colour
