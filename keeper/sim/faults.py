"""The menu of lies and failures, and the board on which they are armed.

Both faces of the simulator use the same words. A fault is data: what, at whom, from when, for how
long, how often. The board knows nothing of the market or of hosts; they ask it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

DAY_S = 86_400.0


class FaultKind(StrEnum):
    """What can go wrong. The values are the words of fault files and of ``POST /sim/faults``."""

    # The marketplace lies or fails while it answers a call.
    CREATE_REPLY_LOST = "create_reply_lost"
    CREATE_ERROR_BUT_MADE = "create_error_but_made"
    CREATE_SUCCESS_WITHOUT_ID = "create_success_without_id"
    CREATE_SUCCESS_FALSE_200 = "create_success_false_200"
    CREATE_PHANTOM = "create_phantom"  # says success, and nothing was made
    OFFER_GONE = "offer_gone"
    PRICE_CHANGED = "price_changed"  # params: factor
    INSTANCE_APPEARS_LATE = "instance_appears_late"  # params: after_s
    DESTROYED_REAPPEARS = "destroyed_reappears"  # params: after_s, lasts_s, is_real
    DESTROY_REFUSED = "destroy_refused"
    BID_TOO_LOW = "bid_too_low"  # somebody bid more since the search; params: leaves_contract
    STATE_REPLY_LOST = "state_reply_lost"  # of an order to stop or to start, which was taken
    STOP_DOES_NOT_STICK = "stop_does_not_stick"  # params: after_s; None: it runs on for good
    STARTED_BY_OTHERS = "started_by_others"  # what was told to stop; params: after_s
    START_TOO_LATE = "start_too_late"  # its GPU was let a moment ago: the start waits in a queue
    PLATFORM_INCIDENT = "platform_incident"  # no create and no start comes up while it lasts
    LIST_PAGE_REPEATS = "list_page_repeats"
    LIST_SKIPS_ROW = "list_skips_row"
    LIST_WITHOUT_ARRAY = "list_without_array"
    LIST_EMPTY = "list_empty"
    LIST_STALE = "list_stale"  # what was so when it began, for as long as it lasts
    NUMBER_AS_STRING = "number_as_string"
    SEARCH_EMPTY = "search_empty"
    OFFERS_DIRTY = "offers_dirty"  # rows with wrong values, twice, or with parts missing
    OFFERS_LOOSE = "offers_loose"  # rows that were not asked for, or were rented long ago
    SEARCH_QUOTA = "search_quota"  # no search is answered before midnight (UTC)
    CREDIT_ZERO = "credit_zero"  # params: dollars, what is left of it at first
    KEY_REJECTED = "key_rejected"
    DEPRECATED_ENDPOINT = "deprecated_endpoint"
    # The way to the marketplace. params: endpoint (a glob over "METHOD /path/").
    HTTP_429 = "http_429"  # params: style = text | detail | msg | hint, retry_after_s
    HTTP_500 = "http_500"
    HTTP_502 = "http_502"
    HTTP_503 = "http_503"
    HTTP_504 = "http_504"
    HTTP_502_AFTER = "http_502_after"  # the action was done
    HTML_FOR_JSON = "html_for_json"
    TRUNCATED_JSON = "truncated_json"
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    LATENCY = "latency"  # params: delay_s
    # One rental: what the marketplace says about it, or what becomes of its machine.
    NULL_STATUS = "null_status"
    DAEMON_ERROR = "daemon_error"
    STUCK_LOADING = "stuck_loading"
    BAD_IMAGE = "bad_image"
    EXITED_WHILE_SSH_WORKS = "exited_while_ssh_works"
    HOST_OFFLINE = "host_offline"
    HOST_VANISHES = "host_vanishes"  # params: absent_after_s
    ADDRESS_CHANGES = "address_changes"
    DESTROYED_BY_OTHERS = "destroyed_by_others"
    HOST_REBOOTS = "host_reboots"  # params: down_s
    MAINTENANCE = "maintenance"  # off the market, then down; params: notice_s, down_s
    MACHINE_UNLISTED = "machine_unlisted"
    OUTBID = "outbid"  # params: by = rival | renter
    CONTRACT_END = "contract_end"  # params: notice_s
    PRICE_RAISED = "price_raised"  # of a running contract; params: factor
    START_QUEUED = "start_queued"  # it stands still, and its GPU is let; params: after_s
    STOPPED_BY_OTHERS = "stopped_by_others"
    # One rental: what happens on its host.
    # params of the first three, where hosts are real: entrance = direct | proxy, how = refused
    SSH_DEAD_WHILE_RUNNING = "ssh_dead_while_running"
    SSH_HANG = "ssh_hang"
    BANNER_ONLY = "banner_only"
    HOST_KEY_CHANGED = "host_key_changed"
    PICTURE_FROZEN = "picture_frozen"
    PICTURE_BLACK = "picture_black"
    NO_FRAMES = "no_frames"
    SOUND_LOST = "sound_lost"  # the picture stays
    PICTURE_STUTTERS = "picture_stutters"  # far below its rate, and it moves
    PROCESS_KILLED = "process_killed"
    PROCESS_HUNG = "process_hung"
    CRASH_LOOP = "crash_loop"
    DISK_FULL = "disk_full"
    GPU_LOST = "gpu_lost"
    DEPLOY_FAILS = "deploy_fails"
    DISPLAY_LOST = "display_lost"  # and the offer of the machine says so from then on
    # Where hosts are virtual; params of both are read in ailments.py. The latter is the next new host's.
    WORKLOAD_AILS = "workload_ails"  # it says so by name, and what would help
    AUDITION_FAILS = "audition_fails"
    # keeper's own box; neither the market nor a host looks at these.
    KEEPER_KILLED = "keeper_killed"
    KEEPER_STOPPED = "keeper_stopped"
    CLOCK_STEP = "clock_step"  # params: step_s
    STORE_WRITE_FAILS = "store_write_fails"
    OWN_NETWORK_DOWN = "own_network_down"
    OPERATOR_PAUSES = "operator_pauses"  # no fault at all, but it comes as unasked
    ALERTS_REFUSED = "alerts_refused"  # the receiver of messages is down
    OPERATOR_DEPLOYS = "operator_deploys"  # another workload is declared; params: stream, flaw


# What the marketplace says or does about one rental; the market applies these itself.
MARKET_RENTAL_KINDS = frozenset(
    {
        FaultKind.NULL_STATUS,
        FaultKind.DAEMON_ERROR,
        FaultKind.STUCK_LOADING,
        FaultKind.EXITED_WHILE_SSH_WORKS,
        FaultKind.HOST_OFFLINE,
        FaultKind.HOST_VANISHES,
        FaultKind.ADDRESS_CHANGES,
        FaultKind.DESTROYED_BY_OTHERS,
        FaultKind.BAD_IMAGE,
        FaultKind.HOST_REBOOTS,
        FaultKind.MAINTENANCE,
        FaultKind.MACHINE_UNLISTED,
        FaultKind.OUTBID,
        FaultKind.CONTRACT_END,
        FaultKind.PRICE_RAISED,
        FaultKind.START_QUEUED,
        FaultKind.STOPPED_BY_OTHERS,
    }
)

# What happens on a host; the market only finds the rental and hands the fault to the host side.
HOST_KINDS = frozenset(
    {
        FaultKind.SSH_DEAD_WHILE_RUNNING,
        FaultKind.SSH_HANG,
        FaultKind.BANNER_ONLY,
        FaultKind.HOST_KEY_CHANGED,
        FaultKind.PICTURE_FROZEN,
        FaultKind.PICTURE_BLACK,
        FaultKind.NO_FRAMES,
        FaultKind.SOUND_LOST,
        FaultKind.PICTURE_STUTTERS,
        FaultKind.PROCESS_KILLED,
        FaultKind.PROCESS_HUNG,
        FaultKind.CRASH_LOOP,
        FaultKind.DISK_FULL,
        FaultKind.GPU_LOST,
        FaultKind.DEPLOY_FAILS,
        FaultKind.DISPLAY_LOST,
        FaultKind.WORKLOAD_AILS,
    }
)

RENTAL_KINDS = MARKET_RENTAL_KINDS | HOST_KINDS

# These may strike a rental whose container is not up yet; all others wait for a running one.
BOOT_KINDS = frozenset(
    {
        FaultKind.NULL_STATUS,
        FaultKind.DAEMON_ERROR,
        FaultKind.STUCK_LOADING,
        FaultKind.BAD_IMAGE,
    }
)

KEEPER_KINDS = frozenset(
    {
        FaultKind.KEEPER_KILLED,
        FaultKind.KEEPER_STOPPED,
        FaultKind.CLOCK_STEP,
        FaultKind.STORE_WRITE_FAILS,
        FaultKind.OWN_NETWORK_DOWN,
        FaultKind.OPERATOR_PAUSES,
        FaultKind.ALERTS_REFUSED,
        FaultKind.OPERATOR_DEPLOYS,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    ``target``: "*" (anything), "instance:ID", "machine:ID", "offer:ID", or a glob over the label.
    ``at`` counts from when it is armed. ``for_s``: how long it lasts; None: until ``count`` is used
    up. ``count``: how many calls or rentals it hits; None: 1, or no limit when ``for_s`` is given.
    A quota of a day lasts for what is left of that day, whatever else is said.
    """

    kind: FaultKind
    target: str = "*"
    at: float = 0.0
    for_s: float | None = None
    count: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    def number(self, name: str, default: float) -> float:
        """Return a numeric parameter."""
        return float(self.params.get(name, default))

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Fault:
        """Read one fault of a file or of a request. Raises ValueError in plain words."""
        known = {"kind", "target", "at", "for_s", "count", "params"}
        if unknown := set(value) - known:
            raise ValueError(f"a fault has no {sorted(unknown)}; it has {sorted(known)}")
        try:
            kind = FaultKind(str(value.get("kind", "")))
        except ValueError as error:
            raise ValueError(
                f"no fault is called {value.get('kind')!r}; the menu: {', '.join(FaultKind)}"
            ) from error
        return cls(
            kind=kind,
            target=str(value.get("target", "*")),
            at=float(value.get("at", 0.0)),
            for_s=None if value.get("for_s") is None else float(value["for_s"]),
            count=None if value.get("count") is None else int(value["count"]),
            params=dict(value.get("params") or {}),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What a fault may hit: one call, one rental, or a call about a rental."""

    endpoint: str = ""  # "METHOD /path/", without /api/vN and with {id} for ids
    label: str = ""
    instance_id: int | None = None
    machine_id: int | None = None
    offer_id: int | None = None


@lru_cache(maxsize=1024)
def _parts_of(target: str) -> tuple[str, str, str]:
    return target.partition(":")


def is_hit(fault: Fault, aim: Aim) -> bool:
    """Whether a fault is meant for this call or rental."""
    endpoint = fault.params.get("endpoint") if fault.params else None
    if endpoint is not None and not fnmatchcase(aim.endpoint, str(endpoint)):
        return False
    match _parts_of(fault.target):
        case ("" | "*", "", ""):
            return True
        case ("instance", ":", number):
            return str(aim.instance_id) == number
        case ("machine", ":", number):
            return str(aim.machine_id) == number
        case ("offer", ":", number):
            return str(aim.offer_id) == number
        case _:
            return fnmatchcase(aim.label, fault.target)


@dataclass(slots=True, kw_only=True)
class Armed:
    """A fault on the board, with its clock running."""

    number: int
    fault: Fault
    from_at: float
    until_at: float | None
    left: int | None

    def is_live(self, now: float) -> bool:
        """Whether it can hit now."""
        is_over = self.until_at is not None and now >= self.until_at
        return now >= self.from_at and not is_over and self.left != 0


def _until(fault: Fault, from_at: float) -> float | None:
    """Return when a fault that has begun is over by itself; None: it is not."""
    if fault.kind is FaultKind.SEARCH_QUOTA:
        return (from_at // DAY_S + 1) * DAY_S
    return None if fault.for_s is None else from_at + fault.for_s


class FaultBoard:
    """What is armed. Everything is in the order of arming, so the same script hits the same."""

    def __init__(self) -> None:
        # By kind: each call asks for a dozen kinds, of which hardly any is armed.
        self._armed: dict[FaultKind, list[Armed]] = {}
        self._numbers = 0

    def arm(self, fault: Fault, now: float) -> Armed:
        """Put a fault on the board."""
        self._numbers += 1
        from_at = now + fault.at
        armed = Armed(
            number=self._numbers,
            fault=fault,
            from_at=from_at,
            until_at=_until(fault, from_at),
            left=fault.count if fault.count is not None else (1 if fault.for_s is None else None),
        )
        self._armed.setdefault(fault.kind, []).append(armed)
        return armed

    def spend(self, armed: Armed) -> None:
        """Use up one shot on one rental. One that only lasts hits one rental, not every one.

        Otherwise a fault aimed at a stream would strike the replacement as well.
        """
        armed.left = 0 if armed.left is None else armed.left - 1

    def take(self, kind: FaultKind, aim: Aim, now: float) -> Fault | None:
        """Return a live fault for this aim and use up one shot of it."""
        if kind not in self._armed:
            return None
        for armed in self._live(kind, now):
            if is_hit(armed.fault, aim):
                if armed.left is not None:
                    armed.left -= 1
                return armed.fault
        return None

    def active(self, kind: FaultKind, aim: Aim, now: float) -> Fault | None:
        """Return a live fault for this aim without using it up."""
        if kind not in self._armed:
            return None
        return next((a.fault for a in self._live(kind, now) if is_hit(a.fault, aim)), None)

    def live(self, now: float) -> tuple[Armed, ...]:
        """Return what can hit now."""
        return self._live_of(tuple(self._armed), now)

    def is_live_beyond(self, kinds: Collection[FaultKind], now: float) -> bool:
        """Whether anything but these kinds can hit now."""
        return any(kind not in kinds and self._live(kind, now) for kind in tuple(self._armed))

    def waiting(self, now: float) -> tuple[Armed, ...]:
        """Return what is due and looks for a rental to strike."""
        return self._live_of([kind for kind in self._armed if kind in RENTAL_KINDS], now)

    def next_at(self, now: float) -> float | None:
        """Return when the next fault begins; None when none is ahead."""
        every = (armed for known in self._armed.values() for armed in known)
        return min((armed.from_at for armed in every if armed.from_at > now), default=None)

    def clear(self, aim: Aim | None = None) -> int:
        """Take faults off the board: all, or those aimed at this; returns how many."""
        count = 0
        for kind, known in tuple(self._armed.items()):
            kept = [
                armed
                for armed in known
                if aim is not None and (armed.fault.target == "*" or not is_hit(armed.fault, aim))
            ]
            count += len(known) - len(kept)
            self._keep(kind, kept)
        return count

    def _live_of(self, kinds: Iterable[FaultKind], now: float) -> tuple[Armed, ...]:
        found = [armed for kind in kinds for armed in self._live(kind, now)]
        if len(found) > 1:
            found.sort(key=lambda armed: armed.number)
        return tuple(found)

    def _live(self, kind: FaultKind, now: float) -> list[Armed]:
        """Forget what is over of a kind, and return the rest that has begun."""
        known = self._armed[kind]
        kept = [
            armed
            for armed in known
            if armed.left != 0 and (armed.until_at is None or now < armed.until_at)
        ]
        if len(kept) < len(known):
            self._keep(kind, kept)
        return [armed for armed in kept if armed.from_at <= now]

    def _keep(self, kind: FaultKind, kept: list[Armed]) -> None:
        if kept:
            self._armed[kind] = kept
        else:
            del self._armed[kind]
