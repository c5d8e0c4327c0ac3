"""The configuration file: read and checked as a whole, and read again when it changes."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import yaml
from pydantic import ValidationError

from tradewind.api.config import Config
from tradewind.runtime.invalid import sentences

logger = logging.getLogger(__name__)


class BadConfig(Exception):
    """The configuration can't be used; the message says what to correct."""


class ConfigFile:
    """A configuration file and what it last said that was good."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config, self._digest = self._read()

    def changed(self) -> bool:
        """Read the file again; whether `config` changed. Raises `BadConfig`, once for a content, and keeps the old."""
        try:
            content = self.path.read_bytes()
        except OSError:
            return False  # a ConfigMap's files are swapped: it is there again at the next look
        digest = hashlib.sha256(content).hexdigest()
        if digest == self._digest:
            return False
        self._digest = digest
        config = parse(content, self.path)
        if config == self.config:
            return False
        self.config = config
        return True

    def _read(self) -> tuple[Config, str]:
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise BadConfig(f"{self.path}: {error.strerror}; --config names the configuration file") from None
        return parse(content, self.path), hashlib.sha256(content).hexdigest()


def parse(content: bytes, path: Path) -> Config:
    """The configuration that a file's content says. Raises `BadConfig` with a sentence a mistake."""
    try:
        given = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        raise BadConfig(f"{path} is not YAML{line}: {getattr(error, 'problem', None) or 'unreadable'}") from None
    if not isinstance(given, dict):
        raise BadConfig(f"{path} must be a map with pools, images and reporting")
    try:
        return Config.model_validate(given)
    except ValidationError as error:
        raise BadConfig(f"{path}: " + "; ".join(sentences(error))) from None
