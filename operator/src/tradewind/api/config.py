"""The operator's configuration: one file, checked as a whole, read again when it changes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from tradewind.api.base import DecimalString, Model, Name, Quantity


class Toleration(Model):
    """A taint that the pods of the pool tolerate (core/v1 Toleration)."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Accelerator(Model):
    """What a node of the pool computes with besides its CPU."""

    resource: Literal["nvidia.com/gpu", "google.com/tpu"] = Field(
        description="Extended resource that the pods ask for."
    )
    type: str = Field(description="For people, for example nvidia-l4 or tpu-v5-lite-podslice.")
    count: Annotated[int, Field(ge=1)] = Field(description="On each node.")
    topology: Annotated[str, StringConstraints(pattern=r"^[0-9]+x[0-9]+(x[0-9]+)?$")] | None = Field(
        default=None, description="TPU: shape of the slice."
    )
    hosts: Annotated[int, Field(ge=1)] = Field(default=1, description="TPU: nodes that make one slice.")


class NodeSize(Model):
    """Allocatable size of a node; a pod's price is its dominant share of it."""

    cpu: Quantity
    memory: Quantity


class Price(Model):
    """Price of a node."""

    per_hour: DecimalString = Field(description="Of a whole node, in the table's currency.")


class Pool(Model):
    """A group of equal nodes: one row of the price table."""

    name: Name
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    accelerator: Accelerator | None = None
    default: bool = Field(default=False, description="For objects that name no pool; one row has it.")
    node: NodeSize
    price: Price | None = Field(default=None, description="Left out: the cost is Unknown, never 0.")


class Images(Model):
    """Images that the operator's children run."""

    workload: str = Field(description="Training and compression.")
    server: str | None = Field(
        default=None,
        description="What answers predictions: a CompressionJob measures its variants in replicas of it. Left out, it "
        "measures the models alone.",
    )
    server_gpu: str | None = Field(
        default=None,
        description="What answers predictions on GPUs (nvidia.com/gpu). Left out, replicas with accelerators are "
        "refused.",
    )


class Reporting(Model):
    """How pods reach the operator."""

    url: Annotated[str, StringConstraints(pattern=r"^https://[-a-z0-9.]+(:[0-9]+)?$")] = Field(
        description="Base URL of the report endpoint as pods see it."
    )


class PodMetadataSettings(Model):
    """Names of labels and annotations that objects may set on their pods; `prefix/*` stands for all of a prefix."""

    allow: tuple[
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][-A-Za-z0-9_./]*(/\*)?$", max_length=317)], ...
    ] = Field(
        default=(
            "sidecar.istio.io/*",
            "traffic.sidecar.istio.io/*",
            "proxy.istio.io/*",
            "linkerd.io/*",
            "config.linkerd.io/*",
            "team",
            "cost-center",
            "project",
        ),
        description="Allowed names; those of Kubernetes, KubeRay, KServe and Tradewind never are.",
    )


class NetworkPolicySettings(Model):
    """Who may reach Ray's dashboard, which runs what it is asked to."""

    kuberay_namespace: str = Field(
        default="kuberay-system", description="Namespace of the KubeRay operator, which submits the jobs."
    )


class Config(Model):
    """The operator's configuration."""

    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = Field(
        default="USD", description="ISO 4217 code of all prices."
    )
    pools: Annotated[tuple[Pool, ...], Field(min_length=1)] = Field(
        description="The price table. One row has `default: true`; without any, an object has to name its pool."
    )
    images: Images
    reporting: Reporting
    pod_metadata: PodMetadataSettings = Field(
        default_factory=PodMetadataSettings, description="What objects may set on their pods."
    )
    network_policy: NetworkPolicySettings = Field(default_factory=NetworkPolicySettings)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Config:
        names = [pool.name for pool in self.pools]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"pools: the name {doubled[0]} is used twice; give each pool its own name")
        if len(defaults := [pool.name for pool in self.pools if pool.default]) > 1:
            raise ValueError(f"pools: {' and '.join(defaults)} have `default: true`; leave it with one of them")
        return self

    @property
    def default_pool(self) -> Pool | None:
        """The pool for objects that name none: the one that says so, or the only one."""
        if len(self.pools) == 1:
            return self.pools[0]
        return next((pool for pool in self.pools if pool.default), None)

    def pool(self, name: str | None) -> Pool | None:
        """The pool of that name, the default one for None; None where there is no such pool."""
        if name is None:
            return self.default_pool
        return next((pool for pool in self.pools if pool.name == name), None)
