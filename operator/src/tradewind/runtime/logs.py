"""Log lines: JSON for machines or text for people, one a thing that happened."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _calm(record: logging.LogRecord) -> bool:
    """kopf tells of a broken watch with a traceback and goes on; a line is enough."""
    if record.exc_info and record.exc_info[1] is not None:
        record.msg, record.args = f"{record.getMessage()} ({record.exc_info[1]!r})", ()
    record.exc_info = record.exc_text = None
    if "will retry" in record.getMessage():
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def set_up(form: str, level: str = "info") -> None:
    """Log to stderr in that form (json or text)."""
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    handler.addFilter(lambda record: _calm(record) if record.name.startswith("kopf") else True)
    # What these say of a watch that ended, `watching` says in a line with what follows from it.
    for name in ("kopf._core.reactor.orchestration", "kopf._core.reactor.running"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


def on_stray_error(_loop: object, context: dict[str, object]) -> None:
    """asyncio's handler for errors that nobody waits for: kopf leaves some behind when its watches are stopped."""
    error = context.get("exception")
    if isinstance(error, GeneratorExit | ConnectionError):
        return
    logging.getLogger(__name__).warning("%s: %r", context.get("message"), error)
