"""How loud a fact is."""

from __future__ import annotations

from enum import StrEnum


class Level(StrEnum):
    """How loud a fact is: debug how, info what changed, warning coped, error could not."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
