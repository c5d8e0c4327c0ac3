"""The rules that an API server checks at `kubectl apply`, checked here: as much of CEL as the rules of our kinds use.

A rule is read as Python's syntax, which differs in the operators alone, and walked; nothing of it is executed.
"""

from __future__ import annotations

import ast
import re
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from tradewind.api.base import Model, Rule
from tradewind.core.quantity import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_OPERATORS = {"&&": " and ", "||": " or ", "!": " ~ "}  # `~` binds as closely as CEL's `!`, `not` does not
_TEXTS_AND_OPERATORS = re.compile(r"""r?'(?:[^'\\]|\\.)*'|r?"(?:[^"\\]|\\.)*"|&&|\|\||!(?!=)""")
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "size": len,
    "double": Decimal,
    "string": str,
    "type": type,
    "quantity": parse,
}
METHODS: dict[str, Callable[..., Any]] = {
    "size": len,
    "matches": lambda text, pattern: re.search(pattern, text) is not None,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
}
MACROS = frozenset({"all", "exists", "exists_one", "filter"})
EXPRESSIONS = (
    *(ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.List),
    *(ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.Compare, ast.Call),
)
_NAMES = {"true": True, "false": False, "null": None, "int": int, "string": str}


def broken(part: Model, path: str) -> Iterator[tuple[str, Rule]]:
    """The rules that an object's part, or a part of it, breaks, each with the field that it is about.

    Rules that compare with what the object was before hold for one that is new.
    """
    content = part.dump()
    for rule in type(part).rules:
        if "oldSelf" not in rule.rule and not holds(rule.rule, content):
            yield f"{path}{rule.field_path or ''}", rule
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        below = f"{path}.{field.alias or name}"
        if isinstance(value, Model):
            yield from broken(value, below)
        elif isinstance(value, tuple):
            for number, one in enumerate(value):
                if isinstance(one, Model):
                    yield from broken(one, f"{below}[{number}]")


def holds(rule: str, content: Any) -> bool:
    """Whether a rule holds for a part in its JSON form. Raises ValueError for what this module does not know of CEL."""
    return bool(_value(parsed(rule), {"self": content}))


@cache
def parsed(rule: str) -> ast.expr:
    """The rule as a tree of Python's syntax, of which this module knows EXPRESSIONS."""
    written = _TEXTS_AND_OPERATORS.sub(lambda found: _OPERATORS.get(found.group(), found.group()), rule)
    return ast.parse(written.strip(), mode="eval").body


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return names[node.id] if node.id in names else _NAMES[node.id]
        case ast.Attribute():
            return _value(node.value, names)[node.attr]
        case ast.Subscript():
            return _value(node.value, names)[_value(node.slice, names)]
        case ast.List():
            return [_value(one, names) for one in node.elts]
        case ast.BoolOp():
            found = (_value(one, names) for one in node.values)
            return all(found) if isinstance(node.op, ast.And) else any(found)
        case ast.UnaryOp(op=ast.Invert()):
            return not _value(node.operand, names)
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            left, right = _value(node.left, names), _value(node.right, names)
            return left + right if isinstance(node.op, ast.Add) else left - right
        case ast.Compare(ops=[operator]):
            return _compared(operator, _value(node.left, names), _value(node.comparators[0], names))
        case ast.Call(func=ast.Name(id=name)):
            return _called(name, node.args, names)
        case ast.Call(func=ast.Attribute(value=of, attr=name)):
            return _method(name, of, node.args, names)
    raise ValueError(f"this is not known of CEL here: {ast.unparse(node)}")


def _compared(operator: ast.cmpop, left: Any, right: Any) -> bool:
    compare: dict[type[ast.cmpop], Callable[[], Any]] = {
        ast.Eq: lambda: left == right,
        ast.NotEq: lambda: left != right,
        ast.Lt: lambda: left < right,
        ast.LtE: lambda: left <= right,
        ast.Gt: lambda: left > right,
        ast.GtE: lambda: left >= right,
        ast.In: lambda: left in right,
    }
    return bool(compare[type(operator)]())


def _called(name: str, arguments: list[ast.expr], names: Mapping[str, Any]) -> Any:
    if name == "has":
        (field,) = arguments
        if not isinstance(field, ast.Attribute):
            raise ValueError(f"has() takes a field, not {ast.unparse(field)}")
        return field.attr in _value(field.value, names)
    if name not in FUNCTIONS:
        raise ValueError(f"{name}() is not known of CEL here")
    return FUNCTIONS[name](*(_value(argument, names) for argument in arguments))


def _method(name: str, of: ast.expr, arguments: list[ast.expr], names: Mapping[str, Any]) -> Any:
    target = _value(of, names)
    if name in MACROS:
        each, condition = arguments
        assert isinstance(each, ast.Name)
        chosen = [one for one in target if _value(condition, {**names, each.id: one})]
        whole = {"all": len(chosen) == len(target), "exists": bool(chosen), "exists_one": len(chosen) == 1}
        return chosen if name == "filter" else whole[name]
    if name not in METHODS:
        raise ValueError(f".{name}() is not known of CEL here")
    return METHODS[name](target, *(_value(argument, names) for argument in arguments))
