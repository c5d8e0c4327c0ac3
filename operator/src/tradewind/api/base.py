"""What fields are built of: models with camel-case names, CEL rules, decimals, quantities and store addresses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel


@dataclass(frozen=True)
class Rule:
    """A CEL rule that the API server checks at apply, and the sentence that a user reads when it refuses."""

    rule: str
    message: str
    field_path: str | None = None


@dataclass(frozen=True)
class Says:
    """The sentence that a user reads where a text does not have the form of its pattern."""

    message: str

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(core_schema), "x-message": self.message}


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

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(getattr(self, name) is not None for name in type(self).model_fields) != 1:
            raise ValueError(f"give exactly one of {', '.join(self.choices())}")
        return self

    @classmethod
    def choices(cls) -> tuple[str, ...]:
        """The names of the fields, as in the manifest."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())

    def chosen(self) -> tuple[str, Any]:
        """The name (as in the manifest) and the value of the field that is given."""
        for name, field in type(self).model_fields.items():
            if (value := getattr(self, name)) is not None:
                return field.alias or name, value
        raise ValueError(f"{type(self).__name__}: give exactly one of {', '.join(self.choices())}")


class Empty(Model):
    """A choice without settings, written `{}`."""


DECIMAL = r"^[0-9]{1,12}(\.[0-9]{1,12})?$"
SIGNED_DECIMAL = r"^-?[0-9]{1,12}(\.[0-9]{1,12})?$"
FRACTION = r"^(0(\.[0-9]{1,12})?|1(\.0{1,12})?)$"


def _decimal_type(pattern: str, message: str) -> Any:
    def check(value: Any) -> Any:
        if isinstance(value, bool | float) or (isinstance(value, str) and not re.fullmatch(pattern, value)):
            raise ValueError(message)
        return value

    return Annotated[
        Decimal,
        BeforeValidator(check),
        PlainSerializer(lambda value: format(value, "f"), return_type=str),
        WithJsonSchema({"type": "string", "maxLength": 26, "pattern": pattern, "x-message": message}),
    ]


# Custom resources have no floating-point numbers: clients of different languages would round them differently.
DecimalString = _decimal_type(DECIMAL, "write a decimal number as a string, for example '0.001'")
SignedDecimalString = _decimal_type(SIGNED_DECIMAL, "write a decimal number as a string, for example '-0.5'")
FractionString = _decimal_type(FRACTION, "write a number from 0 to 1 as a string, for example '0.25'")

QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
Quantity = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    StringConstraints(pattern=QUANTITY, max_length=20),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "maxLength": 20,
            "pattern": QUANTITY,
            "x-message": "write a quantity of Kubernetes, for example 500m, 2 or 1500Mi",
        }
    ),
]

NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_NAME = Says("a name has lower-case letters, digits and '-', and starts and ends with a letter or digit")
Name = Annotated[str, StringConstraints(pattern=NAME, max_length=63), _NAME]
ObjectName = Annotated[str, StringConstraints(pattern=NAME, max_length=40), _NAME]

# A path never climbs out of its volume, and has no character that a shell, a query or a URL would read as its own.
STORAGE_URI = r"^pvc://[a-z0-9]([-a-z0-9]*[a-z0-9])?(/[A-Za-z0-9_=+-][A-Za-z0-9_.=+-]*)*$"
StorageUri = Annotated[
    str,
    StringConstraints(pattern=STORAGE_URI, max_length=512),
    Says(
        "write pvc://<claim>/<path>: a PersistentVolumeClaim of the object's own namespace (other stores are not "
        "supported yet), and a path of letters, digits and _ . = + - in which no part starts with a dot"
    ),
]

# References have at most as many characters; a name with a dot could not be the name of a Service.
NAME_RULE = Rule(
    f"self.metadata.name.size() <= 40 && self.metadata.name.matches(r'{NAME}')",
    "metadata.name: at most 40 lower-case letters, digits and '-', starting and ending with a letter or digit",
)


def fixed(kind: str, *fields: str) -> tuple[Rule, ...]:
    """Rules that refuse a change of the spec's fields after creation."""
    return tuple(
        Rule(
            f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
            f"spec.{field} can't be changed after creation: make another {kind}, or delete this one first",
        )
        for field in fields
    )


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
    earlier: str | None = Field(default=None, description="The part of it from the attempts before the present one.")
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
