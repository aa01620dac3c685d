"""What `keeper doctor` looks at: plain facts of one box, as found. Pure; what they mean is in doctor_rules.

None and "" mean that it could not be seen. No value of a secret is ever here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """A part that a declared stream or channel needs, and that is installed apart."""

    name: str
    by: str
    is_there: bool
    python: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The file."""

    path: str
    folder: str
    is_there: bool
    is_readable: bool = True
    problems: int = 0
    line: int = 1  # of the first problem
    streams: int = 0
    slots: int = 0
    sudo: str = ""  # "sudo " where this user may not write the folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret that the configuration names."""

    name: str
    is_given: bool
    file: str  # where it would be given
    sudo: str = ""
    is_hidden: bool = False  # the folder of credentials may not be looked into


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFile:
    """A file that holds a secret."""

    path: str
    mode: int | None  # None: it cannot be seen
    sudo: str = ""

    @property
    def octal(self) -> str:
        """The mode as chmod takes it."""
        return "" if self.mode is None else f"{self.mode:04o}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """The SSH private key."""

    path: str
    is_given: bool  # else keeper makes its own
    is_there: bool | None  # None: this user may not look
    mode: int = 0o600
    error: str = ""
    needs_passphrase: bool = False
    sudo: str = ""

    @property
    def octal(self) -> str:
        """The mode as chmod takes it."""
        return f"{self.mode:04o}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What the marketplace says of itself and of our API key."""

    url: str
    has_key: bool = True
    is_hidden: bool = False  # where the service's key is, this user may not look
    why_not: str = ""  # it was not asked
    is_reached: bool = False
    error: str = ""
    is_refused: bool = False  # the key, for everything
    cure: str = ""  # the adapter's own words
    lacks: tuple[str, ...] = ()  # rights
    may: tuple[str, ...] = ()
    offset_s: float | None = None  # the marketplace's clock, ahead of ours
    credential: str = ""  # where the key would be given
    sudo: str = ""

    @property
    def behind_s(self) -> str:
        """How far our clock is off, in words."""
        off = self.offset_s or 0.0
        return f"{abs(off):.0f} s {'behind' if off > 0 else 'ahead of'}"

    @property
    def lacking(self) -> str:
        """The rights that lack."""
        return ", ".join(self.lacks)

    @property
    def having(self) -> str:
        """The rights that were seen."""
        return ", ".join(self.may) or "none that can be seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """What the account can still pay for."""

    spendable_dollars: float | None
    dollars_per_hour: float | None
    warn_h: float = 24.0

    @property
    def left_h(self) -> float | None:
        """How long it lasts at the present rate."""
        if self.spendable_dollars is None or not self.dollars_per_hour:
            return None
        return self.spendable_dollars / self.dollars_per_hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """Whether the account knows our SSH key."""

    is_there: bool | None
    will_be: bool  # keeper registers it when it starts
    has_key: bool
    key: str
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A host name that must resolve."""

    host: str
    addresses: int
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canaries:
    """Who answers nearly always."""

    asked: int
    answered: int
    silent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timekeeping:
    """What keeps this box's clock right."""

    offset_s: float | None
    is_synchronised: bool | None
    has_timedatectl: bool
    has_chrony: bool

    @property
    def words(self) -> str:
        """How far it is off."""
        off = self.offset_s or 0.0
        if abs(off) < 1:
            return "within a second of"
        return f"{abs(off):.0f} s {'behind' if off > 0 else 'ahead of'}"

    @property
    def cure(self) -> str:
        """What sets it right here."""
        if self.has_chrony:
            return "sudo chronyc makestep"
        if self.has_timedatectl:
            return "sudo timedatectl set-ntp true"
        return "sudo apt-get install -y chrony"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Room for what keeper remembers."""

    folder: str
    free_bytes: int | None
    total_bytes: int = 0
    free_inodes: int | None = None
    error: str = ""

    @property
    def free(self) -> str:
        """The room, for people."""
        return f"{(self.free_bytes or 0) / 1e9:.1f} GB"

    @property
    def share(self) -> float:
        """The share of the disk that is free."""
        return 1.0 if not self.total_bytes else (self.free_bytes or 0) / self.total_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StateFolder:
    """The folder of what keeper remembers."""

    path: str
    is_there: bool | None
    is_folder: bool = True
    mode: int = 0o700
    owner: str = ""
    is_ours: bool | None = True  # of who runs keeper; None: this user cannot say
    can_be_made: bool = True
    sudo: str = ""
    service_user: str = "keeper"

    @property
    def octal(self) -> str:
        """The mode as chmod takes it."""
        return f"{self.mode:04o}"


class StoreState(StrEnum):
    """How the file of what keeper remembers is."""

    ABSENT = "absent"
    GOOD = "good"
    BEHIND = "behind"
    AHEAD = "ahead"
    BEYOND = "beyond"
    DAMAGED = "damaged"
    CLOSED = "closed"  # this user may not look
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFile:
    """That file."""

    path: str
    state: StoreState
    schema: str = ""
    holder: str = ""  # the process that has it open
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """The keeper behind the socket."""

    socket: str
    is_running: bool | None  # None: this user may not ask
    is_ready: bool = True
    version: str = ""
    ours: str = ""
    on_air: int = 0
    slots: int = 0
    is_installed: bool = False  # as a service
    config: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """The address of the page and the metrics."""

    address: str
    port: int
    is_running: bool  # a keeper of ours runs
    is_taken: bool | None = None  # somebody listens
    is_keeper: bool = False
    metrics: int | None = None  # families seen at /metrics
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFiles:
    """How many files and connections a process may have."""

    limit: int
    needed: int
    whose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Room in memory."""

    free_bytes: int | None
    needed_bytes: int

    @property
    def free(self) -> str:
        """The room, for people."""
        return f"{(self.free_bytes or 0) / 1e6:.0f} MB"

    @property
    def needed(self) -> str:
        """What it takes, for people."""
        return f"{self.needed_bytes / 1e6:.0f} MB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """An address that messages go to; the address itself may be a secret, its host is not."""

    name: str
    host: str = ""
    is_reached: bool | None = None  # None: it was not tried
    error: str = ""
    is_bad_certificate: bool = False
    is_sent: bool | None = None  # a test message; None: none was sent
    is_by_library: bool = False
    port: int = 443
    scheme: str = "https"
    channel: str = ""  # its name where it is one
    trouble: str = ""  # the running keeper does not get through to it; bounded, plain
    waits: str = ""  # the running keeper tries it again; bounded, plain

    @property
    def origin(self) -> str:
        """What a plain visit asks: the address without what may be secret in it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}/"

    @property
    def is_answering(self) -> bool:
        """Whether this process has found nothing against it."""
        return self.is_reached is not False and self.is_sent is not False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """The service."""

    has_systemd: bool
    load: str = ""
    active: str = ""
    enabled: str = ""
    restarts: int = 0
    watchdog_s: float | None = None
    tick_interval_s: float = 30.0
    needs_reload: bool = False
