"""What fields are built of: models with camel-case names, CEL rules, decimals, quantities and store addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError


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
    """A part of a spec: values can't be changed after reading, and what is written anew has no unknown fields.

    What was written by another program, perhaps of another version, is read by `read`.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid", frozen=True
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def read(cls, content: Any) -> Self:
        """Read what another version of us may have written: fields that this one does not know are passed over.

        Raises ValidationError.
        """
        return cls.model_validate(content, extra="ignore")

    def dump(self) -> dict[str, Any]:
        """The JSON form as it stands in a manifest, without fields that have no value."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def written(self) -> dict[str, Any]:
        """The JSON form of what was given: defaults are left out, which an older reader may not know."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)


class Observed(Model):
    """A part of a status, or what another program wrote.

    Fields that this version does not know stay: a newer operator may have written them into a status, and finds them
    again after this one wrote it. `read` passes them over.
    """

    model_config = ConfigDict(extra="allow")


class Kind(Observed):
    """One of our kinds; `spec` and `status` are declared by each."""

    @classmethod
    def read_object(cls, body: Mapping[str, Any]) -> Self:
        """Read an object of the API server, whose definition may be of another version than this program.

        Raises ValidationError where a field has a value that can't be read.
        """
        parts: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            part = field.annotation
            if isinstance(part, type) and issubclass(part, Model) and body.get(name) is not None:
                try:
                    parts[name] = part.model_validate(body[name]) if name == "status" else part.read(body[name])
                except ValidationError as error:
                    raise _below(name, error) from None
        return cls.model_validate(parts)


def _below(name: str, error: ValidationError) -> ValidationError:
    """The same error, of the object that has the part as its field `name`."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError(mistake["type"], mistake["msg"].replace("{", "{{").replace("}", "}}"))
            if mistake["type"] == "value_error"
            else mistake["type"],
            loc=(name, *mistake["loc"]),
            input=mistake["input"],
            ctx=mistake.get("ctx", {}),
        )
        for mistake in error.errors(include_url=False)
    ]
    return ValidationError.from_exception_data(error.title, details)


class OneOf(Model):
    """An object of which exactly one field is given; the CRD generator makes the rule from the fields' names."""

    besides: ClassVar[tuple[str, ...]] = ()  # fields that are no choice

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(getattr(self, name) is not None for name in self._choices()) != 1:
            raise ValueError(f"give exactly one of {', '.join(self.choices())}")
        return self

    @classmethod
    def _choices(cls) -> tuple[str, ...]:
        return tuple(name for name in cls.model_fields if name not in cls.besides)

    @classmethod
    def choices(cls) -> tuple[str, ...]:
        """The names of the fields to choose from, as in the manifest."""
        return tuple(cls.model_fields[name].alias or name for name in cls._choices())

    def chosen(self) -> tuple[str, Any]:
        """The name (as in the manifest) and the value of the field that is given."""
        for name in self._choices():
            if (value := getattr(self, name)) is not None:
                return type(self).model_fields[name].alias or name, value
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

# What kube-apiserver takes (resource.Quantity), but for a sign and for exponents, which nobody asks a node for.
QUANTITY = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
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

# Of a model below an output folder that has the longest address itself.
StoredUri = Annotated[str, StringConstraints(pattern=STORAGE_URI, max_length=640)]

TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"


def _is_time(text: str) -> str:
    # The API server checks the form and the calendar, and would refuse the whole status for one bad time in it.
    if not re.fullmatch(TIME, text):
        raise ValueError("write a time as 2026-11-25T12:00:00Z")
    datetime.fromisoformat(text)
    return text


Timestamp = Annotated[str, AfterValidator(_is_time), WithJsonSchema({"type": "string", "format": "date-time"})]

LARGEST_INTEGER = 2**53 - 1  # what every reader of JSON takes as it is
Count = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]

# References have at most as many characters; a name with a dot could not be the name of a Service.
NAME_RULE = Rule(
    f"self.metadata.name.size() <= 40 && self.metadata.name.matches(r'{NAME}')",
    "metadata.name: at most 40 lower-case letters, digits and '-', starting and ending with a letter or digit",
)


def fixed_once_started(kind: str, *fields: str, resources: str, quantities: tuple[str, ...] = ()) -> tuple[Rule, ...]:
    """Rules of the whole object: its spec's fields can be corrected until the first attempt started, not afterwards.

    `resources` is the path of the block whose quantities are compared as quantities, as `quantities` are: 0.5 is 500m.
    """
    waits = "!has(oldSelf.status) || !has(oldSelf.status.attempt)"
    remedy = f"delete this {kind} and create it again, or create one of another name"
    return tuple(
        Rule(
            f"{waits} || ({same})",
            f"spec.{field} is fixed since the first attempt started; to run it with the change, {remedy}",
            ".spec",
        )
        for field, same in [
            *((field, _same(field)) for field in fields),
            *((field, _same_quantity(field)) for field in quantities),
            (resources, _same_resources(resources)),
        ]
    )


def _same(path: str) -> str:
    """CEL: whether a field of the spec is as before."""
    new, old = f"self.spec.{path}", f"oldSelf.spec.{path}"
    return f"has({new}) == has({old}) && (!has({new}) || {new} == {old})"


def _same_quantity(path: str) -> str:
    """CEL: whether a quantity of the spec is as before, however it is written."""
    new, old = f"self.spec.{path}", f"oldSelf.spec.{path}"
    equal = f"quantity(string({new})).compareTo(quantity(string({old}))) == 0"
    return f"has({new}) == has({old}) && (!has({new}) || {equal})"


def _same_resources(path: str) -> str:
    """CEL: whether a block of resources asks for the same as before."""
    parts = [_same(f"{path}.{name}") for name in ("pool", "accelerators", "topology")]
    parts += [_same_quantity(f"{path}.{name}") for name in ("cpu", "cpuLimit", "memory")]
    return " && ".join(parts)


class Reference(Model):
    """Another object of the same namespace."""

    name: ObjectName = Field(description="Its name.")


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
    reason: Annotated[str, StringConstraints(min_length=1, max_length=1024)] = Field(description="Why, as one word.")
    message: Annotated[str, StringConstraints(max_length=32768)] = Field(
        description="What happened and what to do next."
    )
    last_transition_time: Timestamp = Field(description="When the status last changed.")
    observed_generation: int | None = Field(default=None, ge=0, description="Generation of the spec that it speaks of.")


class Unpriced(Observed):
    """Time on a pool that has no price yet; it becomes money when the price table has one."""

    pool: str = Field(description="Row of the price table, or empty where the pods carry no pool.")
    node_seconds: str = Field(description="Seconds, each times the pod's share of a node, as a decimal.")


class Cost(Observed):
    """An estimate of what the object's pods cost: allocated share of a node, times time, times the pool's price."""

    accrued: str = Field(description="Money so far as a decimal, or Unknown while a part of it has no price.")
    lost: str | None = Field(
        default=None, description="The part of it that ran after the last checkpoint before an interruption."
    )
    currency: str | None = Field(default=None, description="Currency of the price table.")
    priced: str | None = Field(
        default=None, description="The part of accrued that has a price, where another part has none."
    )
    unpriced: tuple[Unpriced, ...] | None = Field(
        default=None,
        description="The part that has none.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["pool"]},
    )
    as_of: Timestamp | None = Field(default=None, description="Up to when the pods' time was counted.")


class Columns(Observed):
    """Texts for the columns of `kubectl get`, made of other fields of the status."""

    metric: str | None = Field(default=None, description="The metric that counts, with its name.")
    cost: str | None = Field(default=None, description="Money so far, with its currency.")
    replicas: str | None = Field(default=None, description="Replicas that are ready, of those wanted.")


class Status(Observed):
    """What all three kinds report."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="Generation of the spec that this status speaks of."
    )
    phase: str | None = Field(default=None, description="One word computed from the conditions, for people.")
    conditions: tuple[Condition, ...] = Field(
        default=(),
        description="The truth about the object.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    columns: Columns | None = Field(default=None, description="Texts for the columns of `kubectl get`.")

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
