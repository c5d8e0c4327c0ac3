"""The CustomResourceDefinitions of our kinds."""

from __future__ import annotations

import inspect
from typing import Any

from tradewind.api import GROUP, VERSION
from tradewind.api.base import Model
from tradewind.api.compressionjob import CompressionJob
from tradewind.api.modeldeployment import ModelDeployment
from tradewind.api.trainingjob import TrainingJob
from tradewind.generate.schema import RULES, structural

Kind = type[TrainingJob] | type[CompressionJob] | type[ModelDeployment]

KINDS: tuple[Kind, ...] = (TrainingJob, CompressionJob, ModelDeployment)


def parts(kind: Kind) -> tuple[type[Model], type[Model]]:
    """The models of the kind's spec and status."""
    spec, status = (kind.model_fields[name].annotation for name in ("spec", "status"))
    assert isinstance(spec, type) and issubclass(spec, Model)
    assert isinstance(status, type) and issubclass(status, Model)
    return spec, status


def definition(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{GROUP}",
            "labels": {"app.kubernetes.io/name": "tradewind"},
            # With a definition all its objects would go; Argo CD knows the same of Helm.
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [kind.short_name],
                "categories": ["tradewind"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _columns(kind),
                    "schema": {"openAPIV3Schema": _schema(kind)},
                }
            ],
        },
    }


def _columns(kind: Kind) -> list[dict[str, Any]]:
    columns = []
    for column in kind.columns:
        made: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.json_path}
        if column.description:
            made["description"] = column.description
        if column.priority:
            made["priority"] = column.priority
        columns.append(made)
    return columns


def _schema(kind: Kind) -> dict[str, Any]:
    spec, status = parts(kind)
    return {
        "type": "object",
        "description": inspect.cleandoc(kind.__doc__ or ""),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}."},
            "kind": {"type": "string", "description": f"{kind.kind}."},
            "metadata": {"type": "object"},
            "spec": structural(spec, by_user=True),
            "status": structural(status, by_user=False),
        },
        RULES: [
            {"rule": rule.rule, "message": rule.message} | ({"fieldPath": rule.field_path} if rule.field_path else {})
            for rule in kind.rules
        ],
    }
