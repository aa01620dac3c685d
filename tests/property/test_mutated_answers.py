"""No single field of any answer of the marketplace can make the adapter do what it never promised.

Answers are recorded from the simulator, then every field of each is mutated in every way of
tests/mutations.py, and the call is made again: exhaustively, because the one field that nobody
thought of is the one that a host will fill.
"""

import asyncio
import json
import math
import types
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any, Final, NewType, Union, get_args, get_origin, get_type_hints

import pytest

from keeper.adapters.vastai import VastMarketplace
from keeper.adapters.vastai_calls import Connection
from keeper.adapters.vastai_reply import Effect, Reply
from keeper.adapters.vastai_spacing import Endpoint
from keeper.core.market import Avoided, search
from keeper.core.model import Instance, InstanceId, Offer, OfferNeeds, Pricing, RentalSpec
from keeper.ports import Account, PortError, Uncertain
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.loop import VirtualClock, run
from keeper.sim.market import MarketShape
from keeper.sim.memory import MemoryHttp
from keeper.sim.power import Power
from keeper.sim.universe import Universe
from tests.answers import API_KEY, Player, Told, market_over
from tests.mutations import MUTATIONS, Mutation, Path, at, is_plausible, paths, said

NEEDS: Final = OfferNeeds()
SPEC: Final = RentalSpec(image="workload:1", disk_gb=NEEDS.disk_gb)
KEY: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKeeperOfTheSimulation keeper@simulated"
SHAPE: Final = MarketShape(
    machines=6, display_share=1.0, renters_every_s=0.0, price_drift_every_s=0.0
)
ERROR_MAX: Final = 500  # characters in an exception
_PAGE_ROWS: Final = "2"  # so that three rentals are two pages


# --- recording and playing ---------------------------------------------------------------------


class Tape:
    """The simulator's connection, writing down what it said."""

    def __init__(self, inner: Connection) -> None:
        self.inner = inner
        self.told: list[Told] = []
        self.server_clock_offset_s: float | None = None

    async def exchange(
        self,
        call: str,
        path: str,
        *,
        effect: Effect,
        query: Mapping[str, str] = MappingProxyType({}),
        body: bytes | None = None,
    ) -> Reply:
        if "limit" in query:
            query = {**query, "limit": _PAGE_ROWS}
        reply = await self.inner.exchange(call, path, effect=effect, query=query, body=body)
        # The hint to wait is looked for in the header first; without it the body's field is read.
        headers = {k: v for k, v in reply.headers.items() if k != "retry-after"}
        bare = Reply(status=reply.status, body=reply.body, headers=headers)
        asked = body if call == Endpoint.SEARCH else None
        self.told.append(Told(call, query.get("after_token", ""), bare, asked))
        return reply

    async def close(self) -> None:
        pass


# --- the calls ---------------------------------------------------------------------------------

Ask = Callable[[VastMarketplace], Awaitable[Any]]


@dataclass(frozen=True)
class Call:
    """One call with what the simulator answered, page by page, and what it came to."""

    name: str
    ask: Ask
    told: tuple[Told, ...]
    came_to: Any  # a value, or the PortError


@cache
def recorded() -> Mapping[str, Call]:
    """Live through a rental in the simulator, and keep each call with its answers."""
    return MappingProxyType({call.name: call for call in run(_record())})


async def _record() -> list[Call]:
    universe = Universe(1, shape=SHAPE)
    tape = Tape(MemoryHttp(universe, Power(), api_key=API_KEY))
    market = VastMarketplace(
        url="http://market", api_key=API_KEY, clock=VirtualClock(), connection=tape
    )
    calls: list[Call] = []

    async def keep(name: str, ask: Ask) -> Any:
        tape.told.clear()
        came_to: Any
        try:
            came_to = await ask(market)
        except PortError as error:
            came_to = error
        calls.append(Call(name=name, ask=ask, told=tuple(tape.told), came_to=came_to))
        return came_to

    offers = await keep("search", lambda m: m.search_offers(NEEDS))
    one = offers[-1].offer_id
    await keep("search one", lambda m: m.search_offers(NEEDS, offer_id=one))
    await keep("survey", lambda m: m.survey_offers(NEEDS))
    rented = await keep("create", lambda m: m.create(one, "keeper:a:duel/0:1", SPEC))
    await keep("create too late", lambda m: m.create(one, "keeper:a:duel/0:2", SPEC))
    for number, offer in enumerate(offers[:2]):
        await market.create(offer.offer_id, f"keeper:a:duel/{number}:1", SPEC)
    await asyncio.sleep(400.0)
    await keep("list", lambda m: m.list_instances())
    await keep("show", lambda m: m.show_instance(rented))
    await keep("show nothing", lambda m: m.show_instance(InstanceId(999)))
    await keep("account", lambda m: m.account())
    await keep("register key", lambda m: m.register_key(KEY))
    await keep("register key again", lambda m: m.register_key(KEY))
    await keep("attach key", lambda m: m.attach_key(rented, KEY))
    await keep("attach key again", lambda m: m.attach_key(rented, KEY))
    await keep("change bid", lambda m: m.change_bid(rented, 0.5))
    await keep("reboot", lambda m: m.reboot(rented))
    await keep("stop", lambda m: m.stop(rented))
    await asyncio.sleep(60.0)
    await keep("start", lambda m: m.start(rented))
    for style in ("detail", "hint"):
        params = {"style": style, "retry_after_s": 9.0}
        universe.market.arm(Fault(kind=FaultKind.HTTP_429, params=params))
        await keep(f"list too fast ({style})", lambda m: m.list_instances())
        universe.market.arm(Fault(kind=FaultKind.HTTP_429, params=params))
        await keep(f"create too fast ({style})", lambda m: m.create(one, "x", SPEC))
    await keep("destroy", lambda m: m.destroy(rented))
    await keep("destroy again", lambda m: m.destroy(rented))
    universe.market.arm(Fault(kind=FaultKind.KEY_REJECTED))
    await keep("list with a wrong key", lambda m: m.list_instances())
    return calls


# --- what may come of it -----------------------------------------------------------------------

_TEXT_MAX: Final = 1024
# What no reader of JSON gets through: the whole answer is broken, and says nothing.
UNREADABLE: Final = ("a million digits", "deep arrays", "deep objects", "arrays without an end")


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return {each.name: get_type_hints(kind)[each.name] for each in fields(kind)}


def is_a(value: Any, kind: Any) -> bool:
    """Whether a value is really of a type: numbers finite, texts one bounded line."""
    if isinstance(kind, NewType):
        return is_a(value, kind.__supertype__)
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(is_a(value, each) for each in args)
    if origin is tuple:
        return isinstance(value, tuple) and all(is_a(each, args[0]) for each in value)
    if origin in (dict, Mapping) or (origin is not None and issubclass(origin, Mapping)):
        return all(is_a(k, args[0]) and is_a(v, args[1]) for k, v in value.items())
    if kind is float:
        return type(value) in (float, int) and math.isfinite(value)
    if kind is str:
        return isinstance(value, str) and len(value) <= _TEXT_MAX and value.isprintable()
    if is_dataclass(kind):
        return type(value) is kind and all(
            is_a(getattr(value, name), hint) for name, hint in _hints(type(value)).items()
        )
    return type(value) is kind


def _fault_of_error(error: PortError) -> str:
    words = str(error)
    if len(words) > ERROR_MAX or not words.isprintable():
        return f"says {len(words)} characters: {words[:80]!r}"
    if API_KEY in words or "instance_api_key" in words:
        return "tells a secret"
    hint_s = getattr(error, "retry_after_s", None)
    if hint_s is not None and not 0 <= hint_s <= 86_400:
        return f"asks for {hint_s} s"
    return ""


def _fault_of_list(was: Any, came_to: Any, path: Path) -> str:
    """Never a part of the rentals, and never one row's trouble in another row (I9)."""
    if not is_a(came_to, tuple[Instance, ...]):
        return "not rentals"
    if len(came_to) != len(was):
        return f"{len(came_to)} of {len(was)} rentals"
    changed = [new for new, old in zip(came_to, was, strict=True) if new != old]
    if not changed:
        return ""
    if path[0] != "instances" or len(changed) > 1:
        return f"{len(changed)} rentals changed"
    return ""


def _is_one_rows_text(path: Path, mutation: Mutation) -> bool:
    """Whether a field of one rental holds what JSON can hold. Hosts write such; brackets they do not."""
    is_row = len(path) > 2 and path[0] == "instances" and path[2] != "id"
    return is_row and mutation.name not in UNREADABLE


def _fault_of_search(was: Any, came_to: Any, path: Path) -> str:
    if not is_a(came_to, tuple[Offer, ...]):
        return "not offers"
    if path[:1] != ("offers",):
        return "" if came_to == was else "offers changed"
    if len(path) < 2:
        return ""  # another array of offers is another answer
    lost = [each for each in was if each not in came_to]
    new = [each for each in came_to if each not in was]
    return "" if len(lost) <= 1 and len(new) <= 1 else f"{len(lost)} lost, {len(new)} new"


def _fault_of_show(was: Any, came_to: Any, path: Path, mutation: Mutation) -> str:
    if came_to is None:
        is_said = was is None or (path == ("instances",) and mutation.name == "null")
        return "" if is_said else "takes a rental for gone"
    if not is_a(came_to, Instance):
        return "not a rental"
    return "" if was is not None and came_to.instance_id == was.instance_id else "another rental"


def fault_of(call: Call, path: Path, mutation: Mutation, came_to: Any) -> str:
    """Say what is wrong with what a call came to after a mutation; "" for nothing."""
    was = call.came_to
    if isinstance(came_to, PortError):
        if call.name == "list" and _is_one_rows_text(path, mutation):
            return "one host blinds us to all the others"
        if call.name in ("create", "reboot", "stop", "start") and not isinstance(
            came_to, Uncertain
        ):
            return "a yes that was spoiled is no proof that nothing happened"
        return _fault_of_error(came_to)
    if isinstance(came_to, BaseException):
        return "no error of the port"
    if isinstance(was, PortError):
        # A refusal whose reason is spoiled may look like a yes only where a yes is harmless.
        harmless = ("destroy again", "attach key again", "register key again")
        return "" if call.name in harmless else "a refusal became a yes"
    kind = call.name.partition(" ")[0]
    if kind == "list":
        return _fault_of_list(was, came_to, path)
    if kind in ("search", "survey"):
        return _fault_of_search(was, came_to, path)
    if kind == "show":
        return _fault_of_show(was, came_to, path, mutation)
    if kind == "account":
        return "" if is_a(came_to, Account) else "not an account"
    if kind == "create":
        return "" if came_to == was else "another rental"
    return "" if came_to == was else "another answer"


async def _played(call: Call, told: Sequence[Told], *, loops: bool = False) -> Any:
    try:
        return await call.ask(market_over(Player(told, loops=loops)))
    except Exception as error:  # noqa: BLE001 - what it is is the question
        return error


def _answers() -> list[tuple[str, int]]:
    return [(call.name, page) for call in recorded().values() for page in range(len(call.told))]


@pytest.mark.parametrize(("name", "page"), _answers())
async def test_a_mutated_field_gives_a_value_of_the_type_or_an_error_of_the_port(
    name: str, page: int
) -> None:
    call = recorded()[name]
    body = call.told[page].reply.body
    wrong, tried = [], 0
    for path in paths(json.loads(body)):
        for mutation in MUTATIONS:
            told = list(call.told)
            told[page] = told[page].spoiled(path, mutation)
            tried += 1
            for loops in (False, True) if path == ("next_token",) else (False,):
                came_to = await _played(call, told, loops=loops)
                if fault := fault_of(call, path, mutation, came_to):
                    wrong.append(f"{said(path)} -> {mutation.name}: {fault}: {came_to!r:.200}")
    assert tried >= len(MUTATIONS)
    assert not wrong, f"{len(wrong)} of {tried}:\n" + "\n".join(wrong[:40])


# --- offers ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lacking:
    """Something that an offer lacks: by what it says, or by what is needed."""

    what: str
    says: Mapping[str, Any] = field(default_factory=dict)
    needs: OfferNeeds = NEEDS


BIDS: Final = replace(NEEDS, pricing=Pricing.INTERRUPTIBLE)

LACKING: Final = (
    Lacking("not rentable", {"rentable": False}),
    Lacking("no display", {"gpu_display_active": False}),
    Lacking("not verified", {"verification": "unverified"}),
    Lacking("a floor for bids", {"is_bid": True}),
    Lacking("a price on demand", {"is_bid": False}, BIDS),
    Lacking(
        "price of the least bid",
        {"is_bid": True, "dph_base": 0.3, "min_bid": 0.3, "dph_total": 0.325},
        replace(BIDS, price_max_dollars_per_hour=0.2),
    ),
    Lacking("GPU name", needs=replace(NEEDS, gpu_names=("RTX 9090",))),
    Lacking("GPU count", {"num_gpus": 2}),
    Lacking("GPU memory", needs=replace(NEEDS, gpu_ram_min_gb=1000.0)),
    Lacking("disk", {"disk_space": 50.0}),
    Lacking("reliability", {"reliability": 0.5, "reliability2": 0.5}),
    Lacking("place", needs=replace(NEEDS, geolocations=("ZZ",))),
    Lacking("upload", needs=replace(NEEDS, inet_up_min_mbps=1e6)),
    Lacking("download", needs=replace(NEEDS, inet_down_min_mbps=1e6)),
    Lacking("direct ports", {"direct_port_count": 0}),
    Lacking("duration", {"duration": 60.0}),
    Lacking("CUDA", needs=replace(NEEDS, cuda_min=99.0)),
    Lacking("price of the GPU", needs=replace(NEEDS, price_max_dollars_per_hour=0.01)),
    Lacking(
        "price of the disk",
        {"storage_cost": 60.0, "storage_total_cost": 10.0, "dph_base": 0.3, "dph_total": 10.3},
    ),
    Lacking(
        "price of the viewers' traffic",
        {"inet_up_cost": 1.0, "internet_up_cost_per_tb": 1024.0},
        replace(NEEDS, egress_gb_per_hour=10.0),
    ),
)


@pytest.mark.parametrize("lacking", LACKING, ids=lambda lacking: lacking.what)
async def test_no_mutated_field_makes_an_offer_suitable(lacking: Lacking) -> None:
    call = recorded()["search"]
    answer = json.loads(call.told[0].reply.body)
    answer["offers"] = [answer["offers"][0] | lacking.says]
    body = json.dumps(answer).encode()
    # Whatever is asked for: the needs are another's than the recorded ones.
    told = replace(call.told[0], reply=replace(call.told[0].reply, body=body), body=None)
    asked = replace(call, ask=lambda m: m.search_offers(lacking.needs))

    async def suitable(one: Told) -> tuple[Offer, ...]:
        came_to = await _played(asked, [one])
        offers = () if isinstance(came_to, PortError) else came_to
        return search(offers, lacking.needs, Avoided()).suitable

    def could_be_said(path: Path, mutation: Mutation) -> bool:
        # Left out is how an offer of the basis that was asked for may look (docs, read 2026-08).
        is_absent = path[-1:] == ("is_bid",) and mutation.name in ("missing", "null")
        return is_absent or is_plausible(at(answer, path), mutation)

    assert len(await _played(asked, [told])) == 1
    assert await suitable(told) == ()
    wrong = [
        f"{said(path)} -> {mutation.name}: {found[0]}"
        for path in paths(answer)
        for mutation in MUTATIONS
        if not could_be_said(path, mutation)
        and (found := await suitable(told.spoiled(path, mutation)))
    ]
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:40])
