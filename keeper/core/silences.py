"""What an operator has asked not to be told of, for a while. A silence hides messages and stops no repair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from typing_extensions import override

# What a matcher may look at, by the word that an operator writes.
FIELDS = ("alert", "stream", "slot", "severity", "key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """One thing that an alert must show. ``*`` and ``?`` stand for letters, as in a file name."""

    field: str  # one of FIELDS
    pattern: str

    @override
    def __str__(self) -> str:
        """Write it as an operator does."""
        return f"{self.field}={self.pattern}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Alerts that all matchers match are told to nobody until then."""

    silence_id: str
    matchers: tuple[Matcher, ...]  # at least one
    since: datetime
    until: datetime
    actor: str
    reason: str

    def matches(self, shown: Mapping[str, str]) -> bool:
        """Whether an alert is meant. ``shown``: what it shows of FIELDS; what lacks is empty."""
        return all(fnmatchcase(shown.get(m.field, ""), m.pattern) for m in self.matchers)
