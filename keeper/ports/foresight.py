"""What a simulated world knows of its own future, so that who asks again may rest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol

from keeper.ports.hosts import Address


class Promise(Protocol):
    """A word that an answer stays as it is, until it is broken or given back."""

    def release(self) -> None:
        """Give it back: nobody is told any more when it breaks. May be repeated."""
        ...


class Foresight(Protocol):
    """What a simulated world knows of its own future. No real port can know it, so none has it.

    Asked about an answer just received: a Promise means that the same question keeps the same answer
    until ``broken`` is called, once, at the very moment at which that may be over. None: ask again
    on your beat. Who holds a promise need not ask, and nothing else may be different for it.
    """

    def of_listing(self, broken: Callable[[], None]) -> Promise | None:
        """Ask whether the list of rentals stays as it is."""
        ...

    def of_own_network(self, broken: Callable[[], None]) -> Promise | None:
        """Ask whether this box's own network goes on working."""
        ...

    def of_picture(self, address: Address, broken: Callable[[], None]) -> Promise | None:
        """Ask whether viewers of this address go on seeing what they see."""
        ...

    def of_sentinel(self, lines: AsyncIterator[str], broken: Callable[[], None]) -> Promise | None:
        """Ask whether a sentinel would only repeat its heartbeat; then it is silent meanwhile."""
        ...
