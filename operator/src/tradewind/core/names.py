"""Names of children: the same for the same object and attempt at every pass, and different for different kinds.

A TrainingJob and a CompressionJob of one pipeline often have one name, so the kind is part of a child's name.
"""

from __future__ import annotations

import hashlib
import re

# What the pods are called after; kinds not listed here give their children the object's own name.
SUFFIX = {"TrainingJob": "train", "CompressionJob": "compress"}

# A RayCluster's name is the RayJob's and six characters, and KubeRay refuses more than 53 for it.
ATTEMPT_LENGTH = 47
# KServe makes `<name>-predictor` of an InferenceService's name, which has to stay a DNS label.
CHILD_LENGTH = 53

# KubeRay and KServe want a name that starts with a letter, where an object's own may start with a digit.
_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def child_name(kind: str, name: str) -> str:
    """Name of the children that an object has one of."""
    suffix = SUFFIX.get(kind)
    return _fitted(name, f"-{suffix}" if suffix else "", CHILD_LENGTH)


def attempt_name(kind: str, name: str, attempt: int) -> str:
    """Name of the RayJob of an attempt, counted from 1."""
    suffix = SUFFIX.get(kind)
    return _fitted(name, f"-{suffix}-{attempt}" if suffix else f"-{attempt}", ATTEMPT_LENGTH)


def run_name(attempt: int) -> str:
    """Name of the run that an attempt is, counted from 1."""
    return f"attempt-{attempt}"


def attempt_of(run: str) -> int | None:
    """The attempt whose run has that name; None where it is no attempt's."""
    number = run.removeprefix("attempt-")
    return int(number) if run.startswith("attempt-") and number.isdecimal() and len(number) < 16 else None


def fingerprint(*parts: str) -> str:
    """Ten characters that stand for the texts, good in a label or a name."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]


def _fitted(name: str, suffix: str, limit: int) -> str:
    plain = name + suffix
    if len(plain) <= limit and _DNS_1035.fullmatch(plain):
        return plain
    mark = f"-{fingerprint(name)}{suffix}"
    head = re.sub(r"[^-a-z0-9]", "-", name.lower())[: limit - len(mark) - 2].strip("-")
    return f"t-{head}{mark}" if head else f"t{mark}"
