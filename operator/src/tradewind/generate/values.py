"""The values of the Helm chart: declared here, documented in values.yaml, which also feeds manifests/base."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field

from tradewind.api.base import Model, Quantity
from tradewind.api.config import Config, Reporting, Toleration


class Images(Model):
    """Images; config.images has those of the workload and of the server for GPUs, and its server is the one of here."""

    operator: str = Field(description="The operator, and the Job that makes its certificate.")
    server: str = Field(description="What answers predictions.")


class Amounts(Model):
    """CPU and memory."""

    cpu: Quantity | None = Field(default=None, description="Cores.")
    memory: Quantity | None = Field(default=None, description="Bytes.")


class Resources(Model):
    """Requests and limits of the operator's container."""

    requests: Amounts = Field(description="What is set aside.")
    limits: Amounts = Field(description="What it may use at most.")


class Install(Model):
    """Whether a part is installed."""

    install: bool = Field(description="True installs it.")


class PullSecret(Model):
    """A Secret with a registry's credentials."""

    name: str = Field(description="Its name.")


class ChartConfig(Config):
    """The operator's configuration; the chart knows the address of the report endpoint."""

    reporting: Reporting | None = Field(  # type: ignore[assignment]
        default=None, description="How pods reach the operator; the address of its Service when left out."
    )


class Values(Model):
    """The values of the chart."""

    images: Images = Field(description="Images.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(description="When images are pulled.")
    image_pull_secrets: tuple[PullSecret, ...] = Field(description="Secrets of the registry.")
    replicas: Annotated[int, Field(ge=1, le=5)] = Field(
        description="One is active; the others stand by, pass reports on to it, and take over."
    )
    log_format: Literal["json", "text"] = Field(description="Form of the log.")
    resources: Resources = Field(description="Of the operator's container.")
    node_selector: dict[str, str] = Field(description="Nodes for the operator.")
    tolerations: tuple[Toleration, ...] = Field(description="Taints that the operator tolerates.")
    crds: Install = Field(description="The definitions of the three kinds; they stay when the chart is uninstalled.")
    serving_runtime: Install = Field(description="The ClusterServingRuntime for ONNX; it needs KServe.")
    config: ChartConfig = Field(description="The operator's configuration: price table, images, network.")


def read(path: Path) -> dict[str, Any]:
    """The values of a file, as they stand there; raises pydantic's ValidationError naming the field that is wrong."""
    given: dict[str, Any] = yaml.safe_load(path.read_text())
    Values.model_validate(given)
    return given


def json_schema() -> dict[str, Any]:
    """The JSON schema of the values, which `helm install` checks them with."""
    made = Values.model_json_schema(by_alias=True)
    # Helm merges the user's values over values.yaml, so that nothing that has a value there needs to be given.
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_plain(made)}


def _plain(schema: Any) -> Any:
    """The schema without what only our generator of definitions understands."""
    if isinstance(schema, dict):
        return {
            key: _plain(value)
            for key, value in schema.items()
            if not key.startswith("x-") and not (key == "title" and isinstance(value, str))
        }
    return [_plain(value) for value in schema] if isinstance(schema, list) else schema
