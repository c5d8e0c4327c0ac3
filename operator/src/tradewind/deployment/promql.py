"""Text in PromQL and in the templates of alerts, written so that it can only be text."""

from __future__ import annotations

import json
from collections.abc import Mapping


def string(text: str) -> str:
    """A PromQL string literal. It takes Go's escapes, of which JSON's are a part (`\\/` is never written)."""
    return json.dumps(text.encode("utf-8", "replace").decode(), ensure_ascii=False)


def selector(metric: str, labels: Mapping[str, str], *matchers: str) -> str:
    """A vector selector of series with exactly these labels; `matchers` are further ones, written by us."""
    parts = [f"{name}={string(value)}" for name, value in labels.items()]
    return f"{metric}{{{','.join([*parts, *matchers])}}}"


def template(text: str) -> str:
    """Text for a label or an annotation of an alert, which Prometheus expands as a Go template."""
    return f"{{{{ {string(text)} }}}}" if "{{" in text else text
