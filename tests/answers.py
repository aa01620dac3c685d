"""Recorded answers of the marketplace, played back to the real adapter without a socket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from yarl import URL

from keeper.adapters.vastai import VastMarketplace
from keeper.adapters.vastai_calls import Connection
from keeper.adapters.vastai_reply import Effect, Reply
from keeper.adapters.vastai_spacing import Endpoint
from tests.mutations import Mutation, Path, spoil

API_KEY: Final = "a-secret-key-of-the-account"


@dataclass(frozen=True)
class Told:
    """One answer, and what was asked."""

    call: str
    token: str  # of the page that was asked for
    reply: Reply
    body: bytes | None = None  # what was asked for, where that tells answers apart; None: whatever

    def spoiled(self, path: Path, mutation: Mutation) -> "Told":
        body = spoil(self.reply.body, path, mutation)
        return replace(
            self, reply=Reply(status=self.reply.status, body=body, headers=self.reply.headers)
        )

    def answers(self, token: str, body: bytes | None) -> bool:
        return self.token == token and self.body in (None, body)


@dataclass
class Player:
    """Plays answers back, by page; a token that was never given is refused, or begins anew."""

    told: Sequence[Told]
    loops: bool = False
    server_clock_offset_s: float | None = None
    sent: list[str] = field(default_factory=list)

    async def exchange(
        self,
        call: str,
        path: str,
        *,
        effect: Effect,
        query: Mapping[str, str] = MappingProxyType({}),
        body: bytes | None = None,
    ) -> Reply:
        # As the real connection does: what cannot be put into an address must not get here.
        url = URL("http://market").with_path(path).with_query(query)
        assert len(str(url)) < 16_384, "no server takes such an address"
        self.sent.append(call)
        assert len(self.sent) < 50, "the walk has no end"
        token = query.get("after_token", "")
        known = [one for one in self.told if one.answers(token, body)] or (
            [one for one in self.told if not one.token] if self.loops else []
        )
        if not known:
            return Reply(status=400, body=b'{"success": false, "error": "invalid_token"}')
        # Each answer is read anew, as the bytes of a socket would be.
        one = known[0].reply
        return Reply(status=one.status, body=one.body, headers=one.headers)

    async def close(self) -> None:
        pass


class Noon:
    """A clock at noon."""

    def now(self) -> datetime:
        return datetime(2026, 1, 5, 12, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


def market_over(connection: Connection) -> VastMarketplace:
    return VastMarketplace(
        url="http://market",
        api_key=API_KEY,
        clock=Noon(),
        spacing=dict.fromkeys(Endpoint, 0.0),
        connection=connection,
    )
