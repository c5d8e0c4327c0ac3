"""Names of children: the same for the same object and attempt at every pass, and different for different kinds.

A TrainingJob and a CompressionJob of one pipeline often have one name, so the kind is part of a child's name.
"""

from __future__ import annotations

# What the pods are called after; kinds not listed here give their children the object's own name.
SUFFIX = {"TrainingJob": "train", "CompressionJob": "compress"}


def child_name(kind: str, name: str) -> str:
    """Name of the children that an object has one of."""
    suffix = SUFFIX.get(kind)
    return f"{name}-{suffix}" if suffix else name


def attempt_name(kind: str, name: str, attempt: int) -> str:
    """Name of the RayJob of an attempt, counted from 1."""
    return f"{child_name(kind, name)}-{attempt}"
