"""Quantities of Kubernetes (cores, bytes) as exact numbers."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Context, Decimal, localcontext
from functools import lru_cache

_SUFFIXES = {"n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1)}
_SUFFIXES |= {letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)}
_SUFFIXES |= {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)}
# Decimal's own 28 digits are fewer than the longest quantity of a spec has in billionths.
_EXACT = Context(prec=100)
_FORM = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)([numkMGTPE]|[KMGTPE]i)?")


@lru_cache(maxsize=4096)
def parse(quantity: str) -> Decimal:
    """The number of units (cores, bytes, devices) that a quantity stands for.

    Raises ValueError where it isn't one. Our dependency `kubernetes` has such a function, but core is free of clients.
    """
    number, suffix = _parts(quantity)
    return _EXACT.multiply(number, _SUFFIXES[suffix])


def _parts(quantity: str) -> tuple[Decimal, str]:
    match = _FORM.fullmatch(quantity)
    if match is None:
        raise ValueError(f"{quantity!r} is not a quantity such as 500m, 2 or 1500Mi")
    return Decimal(match[1]), match[2] or ""


def times(count: int, quantity: str) -> str:
    """So many times the quantity, as Kubernetes writes it."""
    number, suffix = _parts(quantity)
    return canonical(f"{_EXACT.multiply(Decimal(count), number):f}{suffix}")


def added(one: str, other: str) -> str:
    """Both together, as Kubernetes writes it."""
    return canonical(f"{_EXACT.add(parse(one), parse(other)):f}")


def canonical(quantity: str) -> str:
    """The form that Kubernetes itself writes: 1000m is 1, 0.5 is 500m, 1024Mi is 1Gi.

    A webhook that reads and writes the object turns it into this form; planned like that, it finds nothing to change.
    """
    with localcontext(_EXACT):
        return _written(parse(quantity), binary=quantity.endswith("i"))


def _written(value: Decimal, *, binary: bool) -> str:
    if value == 0:
        return "0"
    if binary and value >= 1024:
        names, base, value = (
            ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"],
            Decimal(1024),
            value.to_integral_value(ROUND_CEILING),
        )
    else:
        names, base = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"], Decimal(1000)
        value = (value * 10**9).to_integral_value(ROUND_CEILING)
    power = 0
    while power + 1 < len(names) and value % base == 0:
        value, power = value / base, power + 1
    return f"{value:f}{names[power]}"
