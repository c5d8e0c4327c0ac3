"""Where pods run, and on how much: the same block wherever pods are asked for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from tradewind.api.base import Model, Name, Quantity, Rule, Says

Topology = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]+x[0-9]+(x[0-9]+)?$", max_length=20),
    Says("write the shape of a TPU slice, for example 2x4 or 4x4x4"),
]


class Resources(Model):
    """Where a pod runs, and on how much."""

    rules = (
        Rule(
            "!has(self.topology) || (has(self.accelerators) && self.accelerators > 0)",
            "a topology is a TPU slice's: set accelerators to the chips of one host too",
        ),
    )

    pool: Name | None = Field(
        default=None, description="Row of the price table; the table's default pool when left out."
    )
    cpu: Quantity = Field(default="1", description="CPU that is set aside for the pod.")
    cpu_limit: Quantity | None = Field(
        default=None,
        description="Most CPU that the pod may use, where a quota of the namespace asks for a limit; none when left "
        "out, since a throttled pod makes measured times lie.",
    )
    memory: Quantity = Field(default="2Gi", description="Memory of the pod; using more ends it.")
    accelerators: Annotated[int, Field(ge=0, le=64)] = Field(
        default=0, description="GPUs or TPU chips of the pod, of the kind that the pool has."
    )
    topology: Topology | None = Field(
        default=None, description="Shape of a TPU slice, for example 2x4; it must be the pool's."
    )


class ServingResources(Resources):
    """Where a replica runs, and on how much."""

    memory: Quantity = Field(default="512Mi", description="Memory of the pod; using more ends it.")


class ProgramResources(Model):
    """How much the program of a pod has, beside what it measures."""

    cpu: Quantity | None = Field(
        default=None, description="CPU that is set aside for it; that of measure.resources when left out."
    )
    cpu_limit: Quantity | None = Field(
        default=None,
        description="Most CPU that it may use, where a quota of the namespace asks for a limit; that of "
        "measure.resources when left out.",
    )
    memory: Quantity | None = Field(
        default=None,
        description="Memory of it; using more ends it. Left out: 2Gi, or that of measure.resources where that is more.",
    )


PodText = Annotated[str, StringConstraints(max_length=1024)]


class PodMetadata(Model):
    """Labels and annotations of the pods, for a mesh or the allocation of cost.

    The operator's configuration says which may be set.
    """

    rules = (
        Rule(
            "(!has(self.labels) || self.labels.all(k, k.size() <= 317 && self.labels[k].size() <= 63))"
            " && (!has(self.annotations) || self.annotations.all(k, k.size() <= 317))",
            "a label's value has at most 63 characters, the name of a label or an annotation at most 317",
        ),
    )

    labels: Annotated[dict[str, PodText], Field(max_length=16)] = Field(
        default_factory=dict, description="Labels of the pods."
    )
    annotations: Annotated[dict[str, PodText], Field(max_length=16)] = Field(
        default_factory=dict, description="Annotations of the pods."
    )
