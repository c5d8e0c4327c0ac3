"""The structural OpenAPI v3 schema of a model, as a CustomResourceDefinition wants it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import ModelSchema, WithDefaultSchema

from tradewind.api.base import Model, OneOf, Rule

Schema = dict[str, Any]

RULES = "x-kubernetes-validations"
INT_OR_STRING = "x-kubernetes-int-or-string"
# Ours, between the model and the CRD: the sentence of a pattern.
_MESSAGE = "x-message"


class _Generator(GenerateJsonSchema):
    """pydantic's JSON schema, with the rules of our models in it."""

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        if issubclass(cls := schema["cls"], Model) and (rules := _rules(cls)):
            made[RULES] = rules
        return made

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        factory = schema.get("default_factory")
        if isinstance(factory, type) and issubclass(factory, Model):
            # Whole, since the API server checks the rules on a default before it fills in the fields within.
            default = {key: value for key, value in factory().dump().items() if value not in ([], {})}
            made = {"allOf": [made], "default": default} if "$ref" in made else made | {"default": default}
        return made


def structural(model: type[BaseModel], *, by_user: bool) -> Schema:
    """The schema of a model: no references and no alternatives.

    What the user writes gets the defaults, and rules that speak in sentences in the place of patterns. A status, which
    only we write, does without both: a rule counts in the API server's budget.
    """
    made = model.model_json_schema(by_alias=True, schema_generator=_Generator)
    return _Structure(made.get("$defs", {}), by_user).of(made)


class _Structure:
    """The way from a JSON schema to a structural one."""

    def __init__(self, definitions: Schema, by_user: bool) -> None:
        self.definitions = definitions
        self.by_user = by_user

    def of(self, schema: Schema) -> Schema:
        merged = self._merged(schema)
        made: Schema = {}
        if description := merged.get("description"):
            made["description"] = description
        if merged.get(INT_OR_STRING):
            made |= {INT_OR_STRING: True, "anyOf": merged["anyOf"], "minimum": 0}
        elif "type" in merged:
            made["type"] = merged["type"]
        else:
            raise TypeError(f"a field of a custom resource needs one type: {schema}")
        if merged.get("type") == "integer":
            made["format"] = "int64"
        elif "format" in merged:
            made["format"] = merged["format"]
        keys = ["enum", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"]
        if not self.by_user:
            keys.append("pattern")
        made |= {key: merged[key] for key in keys if key in merged}
        if "const" in merged:
            made["enum"] = [merged["const"]]
        made |= {key: value for key, value in merged.items() if key.startswith("x-kubernetes-list-")}
        if self.by_user and merged.get("default") not in (None, [], ()):
            made["default"] = merged["default"]
        if "items" in merged:
            made["items"] = self.of(merged["items"])
        if isinstance(extra := merged.get("additionalProperties"), dict):
            made["additionalProperties"] = self.of(extra)
        if properties := merged.get("properties"):
            made["properties"] = {name: self.of(field) for name, field in properties.items()}
        if required := merged.get("required"):
            made["required"] = required
        rules = [*_pattern_rule(merged), *merged.get(RULES, [])]
        if rules and self.by_user:
            # pydantic sorts the keys of what it passes on; a rule reads better before its message.
            order = ("rule", "message", "fieldPath")
            made[RULES] = [{key: rule[key] for key in order if key in rule} for rule in rules]
        return made

    def _merged(self, schema: Schema) -> Schema:
        """The schema with what it refers to; what stands nearer to the field wins."""
        nearer = {key: value for key, value in schema.items() if key not in ("$ref", "allOf", "$defs", "title")}
        further: list[Schema] = list(schema.get("allOf", []))
        if "$ref" in schema:
            further.append(self.definitions[schema["$ref"].rsplit("/", 1)[1]])
        if "anyOf" in schema and not schema.get(INT_OR_STRING):
            further += [choice for choice in nearer.pop("anyOf") if choice.get("type") != "null"]
        if len(further) > 1:
            raise TypeError(f"a field of a custom resource is of one type: {schema}")
        return self._merged(further[0]) | nearer if further else nearer


def _rules(model: type[Model]) -> list[Schema]:
    if issubclass(model, OneOf):
        given = ", ".join(f"has(self.{name})" for name in model.choices())
        message = f"give exactly one of {', '.join(model.choices())}"
        return [_rule(Rule(f"[{given}].exists_one(given, given)", message)), *map(_rule, model.rules)]
    return [_rule(rule) for rule in model.rules]


def _rule(rule: Rule) -> Schema:
    made: Schema = {"rule": rule.rule, "message": rule.message}
    if rule.field_path:
        made["fieldPath"] = rule.field_path
    return made


def _pattern_rule(schema: Schema) -> list[Schema]:
    """The pattern as a rule: what the API server says of a `pattern` is the expression itself, no sentence."""
    if "pattern" not in schema:
        return []
    matches = f"self.matches(r'{schema['pattern']}')"
    rule = f"type(self) == int || {matches}" if schema.get(INT_OR_STRING) else matches
    return [{"rule": rule, "message": schema.get(_MESSAGE) or f"must match {schema['pattern']}"}]
