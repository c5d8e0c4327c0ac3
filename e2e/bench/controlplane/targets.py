"""The rows of the targets with what was measured, and the tables. In all rows less is better."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from e2e.bench.serving import interval, ratio

Measured = dict[str, Any]
Targets = tuple[tuple[float | None, float | None], tuple[float | None, float | None]]  # must and aim of two rows


@dataclass(frozen=True)
class Row:
    """One number beside its targets; `low` and `high`: its 95 % bootstrap interval where it is from rounds."""

    name: str
    unit: str
    must: float | None  # None: nothing is demanded, it stands there to be compared
    aim: float | None
    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether what must be is so."""
        return self.must is None or self.value <= self.must

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "met": self.met}


def rows(measured: Measured) -> list[Row]:
    """All rows for which there are measurements."""
    makers: dict[str, Callable[[Any], Iterator[Row]]] = {
        "lives": _lives,
        "rate": _rate,
        "burst": _burst,
        "settled": _settled,
        "takeover": _takeover,
    }
    return [row for part, make in makers.items() if part in measured for row in make(measured[part])]


def _lives(lives: Measured) -> Iterator[Row]:
    for kind, must, aim, aim_events in (
        ("TrainingJob", 5, 4, 2),
        ("CompressionJob", 5, 4, 3),
        ("ModelDeployment", 8, 6, 3),
    ):
        found = lives[kind]
        apart = f"{found['progress']} of progress apart, {found.get('shared', 0)} with the first of a namespace"
        yield Row(f"{kind}: writes in its life", "", must, aim, found["writes"], note=apart)
        yield Row(f"{kind}: Events", "", 3, aim_events, found["events"])
        yield Row(f"{kind}: writes on re-apply", "", 0, 0, found["reapplied"])
    reads = lives["reads"]
    yield Row("GET and LIST after start", "", 0, 0, reads["count"], note=", ".join(reads["of"]))


def _pairs(turns: list[Measured], system: str, other: str, of: Callable[[Measured], float]) -> list[tuple[float, ...]]:
    """By round: the number of `other` and that of `system`."""
    by_round: dict[int, dict[str, Measured]] = {}
    for turn in turns:
        by_round.setdefault(turn["round"], {})[turn["system"]] = turn
    # What ran once stands beside every round of the other.
    once = {name: turn for turn in by_round[0].values() for name in [turn["system"]]}
    return [
        (of(names.get(other, once[other])), of(names.get(system, once[system])))
        for _, names in sorted(by_round.items())
    ]


def _compared(
    turns: list[Measured],
    name: str,
    other: str,
    targets: tuple[float | None, float | None],
    of: Callable[[Measured], float],
) -> Row:
    pairs = _pairs(turns, "tradewind", other, of)
    value, low, high = interval(pairs, ratio)
    first, mine = interval(pairs, lambda them, _: them)[0], interval(pairs, lambda _, us: us)[0]
    note = f"{mine:.3g} s against {first:.3g} s"
    return Row(name, f"of {other}", *targets, value, low, high, note)


def _quantile(share: float) -> Callable[[Measured], float]:
    return lambda turn: float(turn["latencies"][str(share)])


def _rate(turns: list[Measured]) -> Iterator[Row]:
    # Trainer makes one JobSet, where ours makes a NetworkPolicy, a RayJob and a status.
    kuberay: Targets = ((0.7, 0.4), (0.5, 0.1))
    trainer: Targets = ((3.0, 1.5), (3.0, 1.5))
    for other, both in (("kuberay*", kuberay), ("kuberay", kuberay), ("trainer*", trainer), ("trainer", trainer)):
        for targets, share in zip(both, (0.5, 0.99), strict=True):
            name = f"apply to child, 10/s, p{share * 100:.0f}"
            yield _compared(turns, name, other, targets, _quantile(share))


def _burst(turns: list[Measured]) -> Iterator[Row]:
    count = f"{turns[0]['objects']:,} at once"
    for other, demanded in (("kuberay*", True), ("kuberay", True), ("trainer*", False), ("trainer", False)):
        targets: Targets = ((0.5, 0.25), (1.0, 0.5)) if demanded else ((None, None), (None, None))
        wall, cpu = targets
        yield _compared(turns, f"{count}: until all children", other, wall, lambda turn: float(turn["wall"]))
        yield _compared(turns, f"{count}: its CPU", other, cpu, lambda turn: float(turn["cpu"]))


def _settled(settled: Measured) -> Iterator[Row]:
    number = max(entry["n"] for entry in settled["growth"])
    nothing, everything = settled["idle at 0"], settled["idle at all"]
    for at, found in (("0", nothing), (f"{number:,}", everything)):
        mine = found["tradewind"]
        note = _by_verb(mine["of"])
        yield Row(f"idle requests, {at} settled", "a second", 0.2, 0.1, mine["requests"] / mine["seconds"], note=note)
        for other in ("kuberay", "trainer"):
            value = found[other]["requests"] / found[other]["seconds"]
            yield Row(f"... {other}", "a second", None, None, value)
    restarts = settled["restart"]
    writes = max(entry["writes"] for entry in restarts)
    what = ", ".join(sorted({what for entry in restarts for what in entry["written"]}))
    yield Row(f"restart, {number:,} settled: writes", "", 0, 0, writes, note=what)
    pairs: list[tuple[float, ...]] = [(entry["raw"], entry["ready"]) for entry in restarts]
    value, low, high = interval(pairs, ratio)
    ready, raw = interval(pairs, lambda _, us: us)[0], interval(pairs, lambda them, _: them)[0]
    note = f"{ready:.2f} s against {raw:.2f} s"
    yield Row(f"restart, {number:,} settled: ready", "of raw LIST", 6, 3, value, low, high, note)
    for other, found in settled["restart of others"].items():
        yield Row(f"... {other}", "of raw LIST", None, None, found["ready"] / raw, note=f"{found['ready']:.2f} s")
    if (kuberay := settled["restart of others"].get("kuberay")) is not None:
        note = f"{ready:.2f} s against {kuberay['ready']:.2f} s"
        yield Row(f"restart, {number:,} settled: ready", "of kuberay", 2.5, 1.0, ready / kuberay["ready"], note=note)
    for cause in restarts[0]["held"]:
        longest = max(entry["held"][cause] for entry in restarts)
        yield Row(f"event loop held at most, {cause}", "ms", 50, 20, longest, note="processor time of one turn")
    yield Row("memory, nothing there", "MB", 85, 75, nothing["tradewind"]["memory"])
    for other in ("kuberay", "trainer"):
        yield Row(f"... {other}", "MB", None, None, nothing[other]["memory"])
    yield from _memory(settled, number)


def _by_verb(of: dict[str, int]) -> str:
    """Requests by what they are, such as `watch pods`, in a few words: the watches are of a dozen resources."""
    verbs: dict[str, dict[str, int]] = {}
    for what, count in of.items():
        verb, _, resource = what.partition(" ")
        verbs.setdefault(verb, {})[resource] = count
    return ", ".join(
        f"{sum(found.values())} {verb} {next(iter(found)) if len(found) == 1 else f'of {len(found)} resources'}"
        for verb, found in verbs.items()
    )


def _memory(settled: Measured, number: int) -> Iterator[Row]:
    nothing, everything = settled["idle at 0"], settled["idle at all"]

    def slope(more: float, less: float) -> float:
        return (more - less) / number * 1000

    empty = nothing["tradewind"]["memory"]
    pairs: list[tuple[float, ...]] = [(empty, entry["memory"]) for entry in settled["restart"]]
    value, low, high = interval(pairs, lambda less, more: slope(more, less))
    yield Row("memory per 1,000 settled, restarted", "MB", 5, 3, value, low, high)
    lived = [entry for entry in settled["growth"] if entry["system"] == "tradewind" and "restarted" not in entry]
    _, first, *_, last = [(entry["n"], entry["memory"]) for entry in lived]
    value = (last[1] - first[1]) / (last[0] - first[0]) * 1000
    note = f"{empty:.0f} MB empty, {first[1]:.0f} MB at {first[0]:,}, {last[1]:.0f} MB at {last[0]:,}"
    yield Row("... without a restart", "MB", 5, 3, value, note=note)
    for other in ("kuberay", "trainer"):
        found = everything[other]["memory"]
        note = f"{found:.0f} MB in all"
        yield Row(f"... {other}, restarted", "MB", None, None, slope(found, nothing[other]["memory"]), note=note)


def _takeover(takeover: Measured) -> Iterator[Row]:
    for name, must, aim in (("SIGKILL", 15.0, 10.0), ("SIGTERM", 2.0, 1.0), ("SIGSTOP", None, None)):
        if name not in takeover:
            continue
        found = takeover[name]
        value, low, high = interval([(entry["work"],) for entry in found], lambda work: work)
        slowest = max(entry["work"] for entry in found)
        lease = interval([(entry["lease"],) for entry in found], lambda lease: lease)[0]
        note = f"lease after {lease:.2f} s, slowest {slowest:.2f} s"
        yield Row(f"takeover after {name}", "s", must, aim, value, low, high, note)
        late = [what for entry in found for what in entry["late writes"]]
        yield Row("... writes by the old one", "", 0, 0, len(late), note=", ".join(late))


def table(found: list[Row]) -> str:
    """The rows beside their targets."""
    lines = [f"{'':40}{'':14}{'value':>9}  {'95 % interval':18}{'must':>6}{'aim':>6}"]
    for row in found:
        span = "" if row.low is None else f"{row.low:.3f} .. {row.high:.3f}"
        must, aim = ("" if target is None else f"{target:g}" for target in (row.must, row.aim))
        verdict = "" if row.must is None else "  met   " if row.met else "  MISSED"
        lines.append(
            f"{row.name:39} {row.unit:14}{row.value:9.3f}  {span:18}{must:>6}{aim:>6}{verdict:8}  {row.note}".rstrip()
        )
    return "\n".join(lines)


def turns_table(measured: Measured) -> str:
    """What each system needed an object: the medians of its turns."""
    heads = ("p50 ms", "p99 ms", "wall s", "requests", "writes", "CPU ms", "server ms")
    lines = [f"{'':12}{'system':12}" + "".join(f"{head:>11}" for head in heads)]
    for part in ("rate", "burst"):
        turns = measured.get(part, [])
        for system in dict.fromkeys(turn["system"] for turn in turns):
            mine = [turn for turn in turns if turn["system"] == system]

            def median(of: Callable[[Measured], float], mine: list[Measured] = mine) -> float:
                return statistics.median(of(turn) for turn in mine)

            values = (
                median(lambda turn: turn["latencies"]["0.5"] * 1e3),
                median(lambda turn: turn["latencies"]["0.99"] * 1e3),
                median(lambda turn: turn["wall"]),
                median(lambda turn: turn["requests"] / turn["objects"]),
                median(lambda turn: turn["writes"] / turn["objects"]),
                median(lambda turn: turn["cpu"] / turn["objects"] * 1e3),
                median(lambda turn: turn["server_cpu"] / turn["objects"] * 1e3),
            )
            lines.append(f"{part:12}{system:12}" + "".join(f"{value:11.1f}" for value in values))
    return "\n".join(lines)
