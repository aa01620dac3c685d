"""One stream on hosts of real OpenSSH under the real daemon: its life, looks at it, waits for it.

`real_hosts.py` says how it is used.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncssh
import pytest
from aiohttp import web

from keeper.adapters.ssh import SshHosts
from keeper.core.model import Remedy
from keeper.core.reasons import Reason
from keeper.sim.market import MarketShape
from keeper.sim.serve import SimServer, quick_tempo
from keeper.sim.ssh_door import Sshd
from keeper.sim.ssh_host import LoopbackHost
from keeper.sim.ssh_openssh import NoSshd
from tests.components import ABSENT, REPOSITORY
from tests.e2e.real_parts import ALERTS, FLEET, POLICY, Daemon, Host, Spent
from tests.waiting import look_until

STREAM = "duel"
SLOT = f"{STREAM}/0"
PATIENCE_S = 150.0
_LOOK_S = 0.2
# Nobody may meet these while a fleet is up: each is a bug, or a keeper that is not well itself.
_NEVER = ("slot.bug", "task.died", "tick.failed", "config.rejected")

Furnish = Callable[[LoopbackHost], None]
Event = Mapping[str, Any]


class Fleet:
    """One stream, whoever fills it, and everything around it. See the module for its use."""

    def __init__(
        self,
        workload: Mapping[str, Any],
        *,
        secrets: Mapping[str, str] | None = None,
        policy: Mapping[str, object] | None = None,
        fleet: Mapping[str, object] | None = None,
        stream: Mapping[str, object] | None = None,
        furnish: Furnish | None = None,
        look_s: float = 0.4,
        boot_s: float = 0.6,
        sshd: Sshd = Sshd.OPENSSH,
    ) -> None:
        self._secrets = dict(secrets or {})
        self._declared: dict[str, Any] = {
            "fleet": {**FLEET, **(fleet or {})},
            "policy": {**POLICY, **(policy or {})},
            "streams": [
                {
                    "name": STREAM,
                    "secrets": list(self._secrets),
                    "offer": {"price_max_dollars_per_hour": 5},
                    **(stream or {}),
                    "workload": dict(workload),
                }
            ],
        }
        self._furnish_more = furnish
        self._look_s = look_s
        self._boot_s = boot_s
        self._sshd = sshd
        self._stack = AsyncExitStack()
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._hosts = SshHosts(private_key_file=None, private_key=self._key.export_private_key())
        self._met: dict[tuple[int, int], Host] = {}
        self._filling: int | None = None
        self._well_until = -1  # all was well when so many facts were written down
        self._after = 0
        self.folder = Path()
        self.sim: SimServer
        self.keeper: Daemon
        self.events: list[Event] = []
        self.messages: list[Mapping[str, Any]] = []  # "data" of each webhook, as it came

    # --- life -----------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open the marketplace and start keeper. Skips the test where there is no sshd to run."""
        try:
            return await self._begin()
        except BaseException:
            await self._stack.aclose()
            raise

    async def _begin(self) -> Self:
        try:
            self.sim = SimServer(
                seed=7,
                state_dir=Path("/tmp"),  # unix sockets need short paths
                spacing_scale=0,
                shape=MarketShape(
                    tempo=quick_tempo(self._boot_s),
                    display_share=1.0,
                    renters_every_s=0,
                    price_drift_every_s=0,
                    bids_move_every_s=0,
                ),
                sshd=self._sshd,
                furnish=self._furnish,
            )
        except NoSshd as error:
            pytest.skip(f"{ABSENT}sshd that root may run ({error})")
        await self.sim.start()
        self._stack.push_async_callback(self.sim.stop)
        # Of the simulator's own, so that its warden takes it along if this process is killed.
        self.folder = self.sim.folder / "keeper"
        self.folder.mkdir()
        environ = {f"KEEPER_SECRET_{name}": value for name, value in self._secrets.items()}
        environ["PYTHONPATH"] = str(REPOSITORY)
        self.keeper = Daemon(self.folder, mark=f"{self.sim.hosts.mark}/keeper", environ=environ)
        self.keeper.configure(
            vast={"url": self.sim.url, "timeout_s": 10},
            state_dir=str(self.folder / "state"),
            socket=str(self.keeper.socket),
            http={"listen": "127.0.0.1:0"},
            canary={"addresses": []},
            **self._declared,
            alerts={
                **ALERTS,
                "channels": [{"kind": "webhook", "name": "phone", "url": await self._webhook()}],
            },
        )
        await self.keeper.start()
        self._stack.push_async_callback(self._part_from_hosts)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End keeper first, in order; then everything else. A keeper that was not well is a failure."""
        complaint = ""
        try:
            if error is None:
                self._check()
                await self.look()
            code = await self.keeper.stop()
            if code:
                complaint = f"keeper ended with {code}:\n{self.keeper.last_words()}"
        except AssertionError as failed:
            complaint = str(failed)
        finally:
            await self._stack.aclose()
        if error is None and complaint:
            raise AssertionError(complaint)

    async def _part_from_hosts(self) -> None:
        await self.keeper.kill()
        for host in self._met.values():
            await host.close()

    def _furnish(self, host: LoopbackHost) -> None:
        line = " ".join(self._key.export_public_key().decode().split()[:2])
        if line not in host.contract.keys:
            host.contract.keys.append(line)
        # The sentinel takes its numbers from here where keeper does not set them.
        host.variables["keeper_look_s"] = f"{self._look_s:g}"
        host.variables |= {"keeper_gpu_looks": "4", "keeper_disk_looks": "4"}
        if self._furnish_more is not None:
            self._furnish_more(host)

    async def _webhook(self) -> str:
        async def take(request: web.Request) -> web.Response:
            self.messages.append((await request.json())["data"])
            return web.Response(text="ok")

        app = web.Application()
        app.router.add_post("/hook", take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/hook"

    # --- looking --------------------------------------------------------------------------------

    @property
    def host(self) -> Host:
        """The host that filled the slot when it was last seen on air."""
        assert self._filling is not None, "wait for on_air() first"
        return self._host(self._filling)

    def _host(self, instance_id: int) -> Host:
        inner = self.sim.hosts.host(instance_id)
        return self._met.setdefault((instance_id, inner.incarnation), Host(inner, self._hosts))

    async def status(self) -> Mapping[str, Any]:
        """Return the slot as `keeper status --json` has it; empty while nobody answers."""
        self._check()
        whole = await self.keeper.get("status")
        for stream in (whole or {}).get("streams", ()):
            for slot in stream["slots"]:
                if slot["slot"] == SLOT:
                    found: dict[str, Any] = {**slot, "tick": whole["tick"]}
                    found["condemned"] = whole["condemned"]
                    return found
        return {}

    async def look(self) -> None:
        """Read what keeper has written down since the last look."""
        while True:
            page = await self.keeper.get(f"events?after={self._after}&limit=500")
            if not page or not page["events"]:
                break
            self.events += page["events"]
            self._after = max(self._after, page["next_after"])
        bugs = [event for event in self.events if event["event"] in _NEVER]
        assert not bugs, f"keeper is not well itself: {bugs}\n{self.keeper.last_words()}"

    def _check(self) -> None:
        if not self.keeper.is_running:
            raise AssertionError(f"keeper has ended:\n{self.keeper.last_words()}")

    def mark(self) -> int:
        """Return where the facts so far end, for ``since``."""
        return len(self.events)

    def story(self, since: int = 0) -> str:
        """Say what keeper wrote down since a mark, a line each."""
        return "\n".join(
            f"  {event['at'][11:23]} {event['event']}: {event['words']} {_told(event)}"
            for event in self.events[since:]
        )

    async def symptom(self) -> str:
        """Return the code that the workload's own word has now; "" when it is well or unknown."""
        slot = await self.status()
        for condition in slot.get("conditions", ()):
            if condition["condition"] == "working" and condition["status"] == "false":
                return str(condition["symptom"])
        return ""

    def spent(self) -> Spent:
        """Count what was done, by the marketplace's ledger and by keeper's facts."""
        self.sim.market.advance()
        asked = [
            (request.method, request.endpoint)
            for request in self.sim.ledger.requests
            if request.is_mutating
        ]

        def rungs(name: str) -> int:
            return sum(
                event["event"] == "workload.restarting" and event["facts"].get("rung") == name
                for event in self.events
            )

        return Spent(
            rented=len(self.sim.ledger.rentals),
            destroyed=sum(not rental.is_live for rental in self.sim.ledger.rentals.values()),
            rebooted=sum("reboot" in endpoint for _, endpoint in asked),
            deploys=sum(event["event"] == "workload.deploying" for event in self.events),
            process_restarts=rungs("restart_process"),
            workload_restarts=rungs("restart_workload"),
        )

    def alerts(
        self, name: str = "", kind: str = "firing", since: int = 0
    ) -> list[Mapping[str, Any]]:
        """Return the alerts that a person was told of, of this name; ``since`` counts messages.

        ``kind``: told for the first time (firing), or told to be over (resolved).
        """
        status = {"firing": "new", "resolved": "over"}[kind]
        return [
            line["alert"]
            for message in self.messages[since:]
            for line in message["lines"]
            if line["status"] == status and name in {"", line["alert"]["name"]}
        ]

    # --- waiting --------------------------------------------------------------------------------

    async def until(
        self,
        what: str,
        holds: Callable[[], Awaitable[Any]],
        *,
        since: int | None = None,
        patience_s: float = PATIENCE_S,
    ) -> Any:
        """Look until something holds, and return it. Fails with what happened meanwhile."""
        began = self.mark() if since is None else since

        async def look() -> Any:
            self._check()
            await self.look()
            return await holds()

        try:
            return await look_until(look, every_s=_LOOK_S, patience_s=patience_s)
        except TimeoutError:
            slot = await self.status()
            now = {key: slot.get(key) for key in ("state", "why", "decision", "conditions")}
            pytest.fail(
                f"waited {patience_s:.0f} s in vain for {what}\nnow: {json.dumps(now, indent=1)}\n"
                f"since:\n{self.story(began)}\nkeeper's log:\n{self.keeper.last_words()}"
            )

    async def on_air(self, *, patience_s: float = PATIENCE_S) -> Host:
        """Wait until the slot is on air with one host and nothing is left to be ended."""

        async def look() -> bool:
            slot = await self.status()
            is_alone = not slot.get("incoming") and not slot.get("condemned")
            if not slot.get("is_on_air") or not is_alone or not slot["host"]["instance_id"]:
                return False
            self._filling = int(slot["host"]["instance_id"])
            return True

        await self.until("the slot on air", look, since=0, patience_s=patience_s)
        return self.host

    async def well_again(self, *, patience_s: float = PATIENCE_S) -> Host:
        """Wait until the slot is on air, nothing ails it, and past restarts are forgiven."""
        good_s = float(self._declared["policy"]["restarts_forgiven_s"]) + 0.5
        since_s = 0.0

        async def look() -> bool:
            nonlocal since_s
            slot, now_s = await self.status(), asyncio.get_running_loop().time()
            decision = slot.get("decision") or {}
            is_well = (
                bool(slot.get("is_on_air"))
                and slot.get("incident") is None
                and decision.get("reason") == Reason.HEALTHY
                and not any(each["status"] == "false" for each in slot["conditions"])
            )
            since_s = (since_s or now_s) if is_well else 0.0
            return is_well and now_s - since_s >= good_s

        await self.on_air(patience_s=patience_s)
        await self.until("the slot well again", look, patience_s=patience_s)
        host = await self.on_air()
        self._well_until = self.mark()
        return host

    async def well_still(self, *, patience_s: float = PATIENCE_S) -> None:
        """Wait until all is well, unless it was when the last wait ended and no fact came since."""
        await self.look()
        if self.mark() != self._well_until:
            await self.well_again(patience_s=patience_s)

    async def fact(
        self,
        name: str,
        *,
        since: int | None = None,
        patience_s: float = PATIENCE_S,
        **facts: object,
    ) -> Event:
        """Wait for a fact of this name since the mark, with these values among its own."""
        began = self.mark() if since is None else since

        async def look() -> Event | None:
            return next((e for e in self.events[began:] if _fits(e, name, facts)), None)

        wanted = " ".join([name, *(f"{key}={value}" for key, value in facts.items())])
        found: Event = await self.until(wanted, look, since=began, patience_s=patience_s)
        return found

    async def decided(
        self,
        decision: str,
        *,
        reason: str | None = None,
        symptom: str | None = None,
        since: int | None = None,
        patience_s: float = PATIENCE_S,
    ) -> Event:
        """Wait for a decision of this name since the mark."""
        facts: dict[str, object] = {"decision": decision}
        if reason is not None:
            facts["reason"] = str(reason)
        if symptom is not None:
            facts["symptom"] = symptom
        return await self.fact("slot.decided", since=since, patience_s=patience_s, **facts)

    async def acted(
        self,
        remedy: Remedy,
        *,
        reason: str | None = None,
        symptom: str = "",
        since: int | None = None,
        patience_s: float = PATIENCE_S,
    ) -> Event:
        """Wait until keeper uses a rung of the ladder, and fail if it uses another one first."""
        began = self.mark() if since is None else since

        async def look() -> Event | None:
            for event in self.events[began:]:
                if rung := _rung(event):
                    assert rung == remedy, (
                        f"{rung} was used where {remedy} was expected:\n{self.story(began)}"
                    )
                    return event
            return None

        what = f"{remedy} for {symptom or reason or 'any reason'}"
        event: Event = await self.until(what, look, since=began, patience_s=patience_s)
        if reason is not None:
            assert event["facts"]["reason"] == str(reason), self.story(began)
        if symptom:
            named = {each["facts"].get("symptom", "") for each in self.events[began:]}
            assert symptom in named, f"{symptom} is not why:\n{self.story(began)}"
        return event

    async def ailing(self, symptom: str, *, patience_s: float = PATIENCE_S) -> None:
        """Wait until the workload's own word has this code."""

        async def look() -> bool:
            return await self.symptom() == symptom

        await self.until(f"the symptom {symptom}", look, patience_s=patience_s)

    async def alerted(
        self,
        name: str = "",
        *,
        kind: str = "firing",
        since: int = 0,
        patience_s: float = PATIENCE_S,
    ) -> Mapping[str, Any]:
        """Wait until a person was told; ``since`` counts messages."""

        async def look() -> Mapping[str, Any] | None:
            return next(iter(self.alerts(name, kind, since)), None)

        found: Mapping[str, Any] = await self.until(
            f"the alert {name or 'of any name'} ({kind})", look, patience_s=patience_s
        )
        return found

    async def ticks(self, count: int) -> None:
        """Let keeper think so many times more."""
        first = int((await self.status()).get("tick", 0))

        async def look() -> bool:
            return int((await self.status()).get("tick", 0)) >= first + count

        await self.until(f"{count} ticks", look)


def _told(event: Event) -> dict[str, Any]:
    """Return of a fact what its words may lack."""
    known = {"event", "slot", "instance_id", "because"}
    return {name: value for name, value in event["facts"].items() if name not in known and value}


def _fits(event: Event, name: str, facts: Mapping[str, object]) -> bool:
    return event["event"] == name and all(
        str(event["facts"].get(key)) == str(value) for key, value in facts.items()
    )


def _rung(event: Event) -> str:
    """Return the rung of the ladder that a fact tells of; "" for other facts."""
    match event["event"]:
        case "workload.restarting":
            return str(event["facts"]["rung"])
        case "instance.rebooting":
            return "reboot"
        case "instance.renting" | "instance.condemned":  # the new host first, or the old one's end
            return "replace"
        case _:
            return ""
