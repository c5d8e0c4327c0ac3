"""What fields are built of: models with camel-case names, CEL rules, decimals, quantities and store addresses."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel


@dataclass(frozen=True)
class Rule:
    """A CEL rule that the API server checks at apply, and the sentence that a user reads when it refuses."""

    rule: str
    message: str
    field_path: str | None = None


class Model(BaseModel):
    """A part of a spec: unknown fields are refused, values can't be changed after reading."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid", frozen=True
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    def dump(self) -> dict[str, Any]:
        """The JSON form as it stands in a manifest, without fields that were not given."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Observed(Model):
    """A part of a status, or what another program wrote: fields that we don't know are passed over."""

    model_config = ConfigDict(extra="ignore")


class OneOf(Model):
    """An object of which exactly one field is given; the CRD generator makes the rule from the fields' names."""

    def chosen(self) -> tuple[str, Any]:
        """The name (as in the manifest) and the value of the field that is given."""
        for name, field in type(self).model_fields.items():
            if (value := getattr(self, name)) is not None:
                return field.alias or name, value
        raise ValueError(f"{type(self).__name__}: give exactly one of {', '.join(type(self).model_fields)}")


class Empty(Model):
    """A choice without settings, written `{}`."""


def _decimal(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError("write the number as a string, for example '0.001'")
    return value


def _quantity(value: Any) -> Any:
    return str(value) if isinstance(value, int) else value


DECIMAL = r"^[0-9]{1,12}(\.[0-9]{1,12})?$"
SIGNED_DECIMAL = r"^-?[0-9]{1,12}(\.[0-9]{1,12})?$"
FRACTION = r"^(0(\.[0-9]{1,12})?|1(\.0{1,12})?)$"


def _decimal_type(pattern: str, what: str) -> Any:
    schema = {"type": "string", "pattern": pattern, "description": what}
    return Annotated[
        Decimal,
        BeforeValidator(_decimal),
        PlainSerializer(lambda value: format(value, "f"), return_type=str),
        WithJsonSchema(schema),
    ]


# Custom resources have no floating-point numbers: clients of different languages would round them differently.
DecimalString = _decimal_type(DECIMAL, "A decimal number of at least 0, as a string.")
SignedDecimalString = _decimal_type(SIGNED_DECIMAL, "A decimal number, as a string.")
FractionString = _decimal_type(FRACTION, "A number from 0 to 1, as a string.")

QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
Quantity = Annotated[
    str,
    BeforeValidator(_quantity),
    StringConstraints(pattern=QUANTITY, max_length=20),
    WithJsonSchema(
        {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True, "pattern": QUANTITY}
    ),
]

NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
Name = Annotated[str, StringConstraints(pattern=NAME, max_length=63)]
ObjectName = Annotated[str, StringConstraints(pattern=NAME, max_length=40)]

# A path never climbs out of its volume, and has no character that a shell, a query or a URL would read as its own.
STORAGE_URI = r"^pvc://[a-z0-9]([-a-z0-9]*[a-z0-9])?(/[A-Za-z0-9_=+-][A-Za-z0-9_.=+-]*)*$"
StorageUri = Annotated[str, StringConstraints(pattern=STORAGE_URI, max_length=512)]

Column = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class KeyValue(Observed):
    """A named measurement."""

    name: Annotated[str, StringConstraints(max_length=63)] = Field(
        description="Name of the metric, for example accuracy."
    )
    value: Annotated[str, StringConstraints(max_length=63)] = Field(description="Its value, as a decimal string.")


class Condition(Observed):
    """One aspect of the object's state (metav1.Condition)."""

    type: Annotated[str, StringConstraints(max_length=316)] = Field(description="Aspect that this condition is about.")
    status: Annotated[str, StringConstraints(pattern="^(True|False|Unknown)$")] = Field(
        description="True, False, or Unknown."
    )
    reason: Annotated[str, StringConstraints(max_length=1024)] = Field(description="Why, as one word.")
    message: Annotated[str, StringConstraints(max_length=32768)] = Field(
        default="", description="What happened and what to do next."
    )
    last_transition_time: str | None = Field(default=None, description="When the status last changed (RFC 3339).")
    observed_generation: int | None = Field(default=None, description="Generation of the spec that it speaks of.")


class Cost(Observed):
    """An estimate of what the object's pods cost: allocated share of a node, times time, times the pool's price."""

    accrued: str = Field(description="Money so far as a decimal, or Unknown where the pool has no price.")
    lost: str | None = Field(
        default=None, description="The part of it that ran after the last checkpoint before an interruption."
    )
    currency: str | None = Field(default=None, description="Currency of the price table.")
    price_source: str | None = Field(default=None, description="Row of the price table that it was computed with.")
    as_of: str | None = Field(default=None, description="Up to when the pods' time was counted (RFC 3339).")


class Status(Observed):
    """What all three kinds report."""

    observed_generation: int | None = Field(
        default=None, description="Generation of the spec that this status speaks of."
    )
    phase: str | None = Field(default=None, description="One word computed from the conditions, for people.")
    conditions: tuple[Condition, ...] = Field(
        default=(),
        description="The truth about the object.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type, if it was ever written."""
        return next((condition for condition in self.conditions if condition.type == kind), None)


@dataclass(frozen=True)
class PrinterColumn:
    """A printer column of `kubectl get`."""

    name: str
    json_path: str
    type: str = "string"
    description: str = ""
    priority: int = 0


class ObjectMeta(Observed):
    """The part of metav1.ObjectMeta that planners read."""

    name: str
    namespace: str
    uid: str
    generation: int = 1
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
