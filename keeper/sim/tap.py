"""A tap on the wire: what stands outside keeper is told of each call before and after its effect.

The simulated marketplace, its hosts and its receivers of messages ask the tap at three moments of a
call. Whoever holds it may end or freeze the process that called, at exactly that moment, without a
hook in keeper itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum


class Edge(StrEnum):
    """A moment of a call, as seen by whom it reaches."""

    ARRIVED = "arrived"  # it is here, and nothing was done yet
    ACTED = "acted"  # its effect has happened, and nobody was told
    ANSWERED = "answered"  # the answer has left


# Says whether to go on: False when the caller was killed, and nothing more is to be done for it.
Tap = Callable[[str, Edge], bool]
_VERSION = re.compile(r"^/api/v\d+")
_NUMBER = re.compile(r"\d+")


def untapped(_call: str, _edge: Edge) -> bool:
    """Hear nothing, and go on."""
    return True


def call_of(method: str, path: str) -> str:
    """Name a call of the marketplace: its method and path, numbers folded."""
    return f"{method} {_NUMBER.sub('{id}', _VERSION.sub('', path))}"
