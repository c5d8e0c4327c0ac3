"""What a manifest declares of a model's inputs and outputs, beside what its graph has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tradewind.api.artefact import Manifest, Tensor
from tradewind_server.folder import Unservable
from tradewind_server.tensors import TensorSpec

Specs = Mapping[str, TensorSpec]


def check(manifest: Manifest, inputs: Specs, outputs: Specs) -> None:
    """Refuses a graph that is not what the manifest says. Raises Unservable."""
    plain = [tensor for tensor in manifest.inputs if not tensor.processor]
    for declared, found in ((plain, inputs), (manifest.outputs, outputs)):
        for tensor in declared:
            spec = found.get(tensor.name)
            if spec is None or spec.datatype != tensor.datatype or len(spec.shape) != len(tensor.shape):
                has = f"{spec.datatype} {spec.shape}" if spec else f"only {', '.join(found)}"
                says = f"{tensor.datatype} {list(tensor.shape)}"
                raise Unservable(f"model.json declares {tensor.name!r} as {says}, but the model has {has}")
            if tensor.columns and (
                len(spec.axes) != 2 or (isinstance(spec.axes[1], int) and spec.axes[1] != len(tensor.columns))
            ):
                raise Unservable(
                    f"model.json names {len(tensor.columns)} columns of {tensor.name!r}, but the model has {spec.shape}"
                )


def as_users_know(specs: Specs, declared: Sequence[Tensor]) -> dict[str, TensorSpec]:
    """With the columns, kinds and units of the manifest."""
    known = {tensor.name: tensor for tensor in declared}
    return {
        name: replace(
            spec, columns=found.columns, nullable=found.nullable, kind=found.kind, unit=found.unit, format=found.format
        )
        if (found := known.get(name))
        else spec
        for name, spec in specs.items()
    }
