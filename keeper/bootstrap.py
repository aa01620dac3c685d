"""The composition root: settings in, a running daemon out. The only file that knows every class.

Nothing else reads Settings, and nothing here decides anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from keeper import __version__
from keeper.adapters import state_folder, webrtc
from keeper.adapters.archive import Bounds, FileArchive
from keeper.adapters.clock import SystemClock
from keeper.adapters.network import HttpNetwork
from keeper.adapters.peek import peek
from keeper.adapters.relay import AppriseRelay
from keeper.adapters.relay import is_installed as has_relay
from keeper.adapters.slates import ProcessSlates
from keeper.adapters.slates import is_installed as has_slates
from keeper.adapters.sql import SqlStore
from keeper.adapters.ssh import SshHosts
from keeper.adapters.systemd import SystemdHeartbeat
from keeper.adapters.vastai import VastMarketplace
from keeper.alerts.dispatch import Numbers
from keeper.core.model import Mode, StreamName
from keeper.core.world import Snapshot
from keeper.daemon.cadence import CalendarCadence, CronOpenings
from keeper.daemon.declared import Declared, Ports
from keeper.daemon.preview import preview as decide_once
from keeper.daemon.supervise import Daemon
from keeper.ports import (
    Clock,
    ConfigError,
    PortError,
    Saved,
    Sink,
    Unauthorized,
)
from keeper.settings import (
    Settings,
    aids_of,
    build_channels,
    build_feeds,
    build_pulse,
    build_workloads,
    canary_addresses,
    channel_kinds,
    channel_marks,
    declared_slates,
    declared_windows,
    hook_secrets,
    http_address,
    remaker,
    secrets_of,
    to_desired,
    unfit,
)
from keeper.settings.fingerprint import fingerprint
from keeper.settings.tree import LogFormat
from keeper.telemetry.instrumented import (
    InstrumentedHosts,
    InstrumentedMarketplace,
    InstrumentedNetwork,
    InstrumentedStore,
)
from keeper.telemetry.logs import configure_logs
from keeper.telemetry.redact import Redactor
from keeper.telemetry.sinks import EventLog, MetricsSink
from keeper.web.app import make_app
from keeper.workloads import ViewKind

if TYPE_CHECKING:
    from datetime import datetime

    from keeper.core.events import Event

_FIRST_CALL_DEADLINE_S = 15.0
_SOCKET_MODE = 0o660  # the service's group may talk to its keeper


@dataclass(frozen=True, slots=True)
class Fanout:
    """Several sinks as one."""

    sinks: tuple[Sink, ...]

    def publish(self, event: Event, *, at: datetime, tick: int) -> None:
        """Hand a fact to every sink."""
        for sink in self.sinks:
            sink.publish(event, at=at, tick=tick)

    def observe_call(self, port: str, method: str, outcome: str, duration_s: float) -> None:
        """Hand a finished call to every sink."""
        for sink in self.sinks:
            sink.observe_call(port, method, outcome, duration_s)


def declare(
    settings: Settings,
    *,
    only: StreamName | None = None,
    secrets_before: Collection[str] = (),
    key: bytes = b"",
) -> Declared:
    """Turn settings into what the daemon works for; ``only`` sets the other streams to observe.

    ``secrets_before`` are hidden too: hosts go on to repeat what they were given before a reload.
    ``key`` is for the marks of secrets in what deploys are called.
    """
    desired = to_desired(settings, key)
    if only is not None:
        streams = tuple(
            s if s.name == only else replace(s, mode=Mode.OBSERVE) for s in desired.streams
        )
        desired = replace(desired, streams=streams)
    alerts = settings.alerts
    return Declared(
        desired=desired,
        windows=declared_windows(settings),
        slates=declared_slates(settings),
        workloads=build_workloads(settings),
        config_hash=fingerprint(settings),
        channels=build_channels(settings),
        feeds=build_feeds(settings),
        channel_kinds=channel_kinds(settings),
        channel_marks=channel_marks(settings, key),
        pulse=build_pulse(settings),
        hooks=hook_secrets(settings),
        runbooks_url=alerts.runbooks_url,
        digest=(
            CronOpenings(alerts.digest.cron, alerts.digest.time_zone)
            if alerts.digest.cron
            else None
        ),
        alert_numbers=Numbers(
            group_wait_s=alerts.group_wait_s,
            group_interval_s=alerts.group_interval_s,
            repeat_s=alerts.repeat_s,
            resolved_after_s=alerts.resolved_after_s,
        ),
        canary_addresses=canary_addresses(settings),
        canary_interval_s=settings.canary.interval_s,
        retention_days=settings.retention_days,
        register_ssh_key=settings.vast.register_ssh_key,
        api_url=settings.vast.url,
        aids=aids_of(settings),
        redact=Redactor((*secrets_of(settings), *secrets_before)).text,
        remake=remaker(settings, key),
    )


@contextlib.asynccontextmanager
async def open_marketplace(
    settings: Settings, clock: Clock, public_key: str = ""
) -> AsyncIterator[VastMarketplace]:
    """Open a client of the marketplace, and close it. Raises Unauthorized without an API key."""
    if settings.vast.api_key is None:
        message = "no API key of the marketplace account is configured"
        raise Unauthorized(message)
    marketplace = VastMarketplace(
        url=settings.vast.url,
        api_key=settings.vast.api_key.get_secret_value(),
        clock=clock,
        timeout_s=settings.vast.timeout_s,
        public_key=public_key,
    )
    try:
        yield marketplace
    finally:
        await marketplace.aclose()


@contextlib.asynccontextmanager
async def open_daemon(
    settings: Settings,
    *,
    only: StreamName | None = None,
    reload: Callable[[], Declared] | None = None,
    metrics: MetricsSink | None = None,
    check_key: bool = True,
) -> AsyncIterator[Daemon]:
    """Wire a daemon to the real world. The caller runs it; everything is closed behind it.

    Raises ConfigError (no usable SSH key) and Unauthorized (the marketplace refuses the API key)
    before anything is opened for writing.
    """
    clock = SystemClock()
    state_folder.make(settings.state_dir)
    hosts = SshHosts(
        private_key_file=_key_file(settings),
        dials_max=settings.ssh.dials_max,
    )
    store = SqlStore(settings.state_dir / "keeper.db", clock=clock)
    log = EventLog()
    sink: Sink = Fanout((log, metrics)) if metrics is not None else log
    async with (
        open_marketplace(settings, clock, hosts.public_key) as marketplace,
        contextlib.AsyncExitStack() as stack,
    ):
        if check_key:
            await _check_key(marketplace)
        network = HttpNetwork()
        stack.push_async_callback(network.close)
        stack.push_async_callback(store.close)
        daemon = Daemon(
            Ports(
                marketplace=InstrumentedMarketplace(marketplace, sink, clock),
                hosts=InstrumentedHosts(hosts, sink, clock),
                network=InstrumentedNetwork(network, sink, clock),
                store=InstrumentedStore(store, sink, clock),
                clock=clock,
                cadence=CalendarCadence(),
                heartbeat=SystemdHeartbeat(os.environ),
                sink=sink,
                slates=ProcessSlates(settings.state_dir),
                archive=FileArchive(settings.state_dir, _bounds(settings)),
                relay=AppriseRelay() if has_relay() else None,
            ),
            _seen_to(declare(settings, only=only, key=state_folder.marks_key(settings.state_dir))),
            version=__version__,
            reload=reload,
        )
        if metrics is not None:
            metrics.follow(
                daemon.snapshot,
                daemon,
                config_hash=lambda: daemon.ground.declared.config_hash,
                heartbeat=lambda: daemon.crew.beacon.is_heard,
            )
        yield daemon


def _seen_to(declared: Declared) -> Declared:
    """Refuse streams that this box could never see: they would count as unknown for ever."""
    views = (workload.view().kind for workload in declared.workloads.values())
    if ViewKind.WEBRTC in views and not webrtc.is_installed():
        raise ConfigError(
            ["streams: pixel-streaming needs the extra webrtc: pip install 'vast-keeper[webrtc]'"]
        )
    if declared.slates and not has_slates():
        raise ConfigError(
            ["streams: a slate needs the extra media: pip install 'vast-keeper[media]'"]
        )
    return declared


def _bounds(settings: Settings) -> Bounds:
    asked = settings.archive
    return Bounds(
        logs_max=asked.logs_max,
        log_max_bytes=int(asked.log_max_mb * 1_000_000),
        bundles_max=asked.bundles_max,
        size_max_bytes=int(asked.size_max_mb * 1_000_000),
    )


async def serve(
    load: Callable[[], Settings],
    *,
    log_format: str | None = None,
    log_level: str | None = None,
) -> None:
    """Run the whole daemon until a signal: ticks, page, API, metrics."""
    settings = first = load()
    form, level = LogFormat(log_format or settings.log.format), log_level or settings.log.level
    hidden = set(secrets_of(settings))  # all there ever were in this process
    configure_logs(format=form.value, level=level, secrets=hidden)
    for problem in unfit(settings.local_files):
        # Not now, perhaps never: what is on air does not need it, and is looked after.
        structlog.get_logger().warning("config.file_unfit", error=problem)

    def again() -> Declared:
        settings = load()
        if problems := unfit(settings.local_files):
            raise ConfigError(problems)
        hidden.update(secrets_of(settings))
        configure_logs(format=form.value, level=level, secrets=hidden)
        key = state_folder.marks_key(first.state_dir)  # where the store is
        return declare(settings, secrets_before=hidden, key=key)

    registry = CollectorRegistry()
    metrics = MetricsSink(registry, version=__version__)
    async with open_daemon(settings, reload=again, metrics=metrics) as daemon:
        # First the store, then the addresses: its lock proves that a socket file found is a dead one.
        await daemon.open()
        with _signals(daemon) as reload_wanted:
            async with _listening(settings, daemon, registry), asyncio.TaskGroup() as group:
                reloading = group.create_task(_reload_when(daemon, reload_wanted))
                try:
                    await daemon.run()
                finally:
                    reloading.cancel()


async def preview(settings: Settings) -> Snapshot:
    """Decide what a tick would do now, from one look at everything. Acts on nothing.

    The store is read beside whoever owns it. Raises StoreError, and what the marketplace raises.
    """
    clock = SystemClock()
    saved = await asyncio.to_thread(peek, settings.state_dir / "keeper.db")
    if not saved.keeper_id:
        saved = Saved(keeper_id="preview")
    async with open_marketplace(settings, clock) as marketplace:
        declared = declare(settings, key=state_folder.marks_key_if_any(settings.state_dir))
        return await decide_once(marketplace, saved, declared, clock)


@contextlib.contextmanager
def _signals(daemon: Daemon) -> Iterator[asyncio.Event]:
    """Take SIGTERM, SIGINT and SIGHUP; yields what says that a reload is wanted.

    Before there is an address: whoever finds one may send a SIGHUP, which ends a process that does
    not take it.
    """
    loop, reload_wanted = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop_or_hurry, daemon, signal.Signals(number))
    loop.add_signal_handler(signal.SIGHUP, reload_wanted.set)
    try:
        yield reload_wanted
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)


async def _reload_when(daemon: Daemon, wanted: asyncio.Event) -> None:
    while True:
        await wanted.wait()
        wanted.clear()
        await daemon.reload()


def _stop_or_hurry(daemon: Daemon, number: signal.Signals) -> None:
    if daemon.is_stopping:
        # Asked twice: at once. Whatever is under way has its intent on disk.
        os._exit(130 if number is signal.SIGINT else 1)
    daemon.stop(f"{number.name} received")


async def _check_key(marketplace: VastMarketplace) -> None:
    """Fail at once when the key is refused; when nobody answers, the daemon copes by itself.

    A good key that only may not read the account is good enough: the daemon says so and goes on.
    """
    try:
        async with asyncio.timeout(_FIRST_CALL_DEADLINE_S):
            await marketplace.account()
    except Unauthorized as refusal:
        if not refusal.right:
            raise
    except (PortError, TimeoutError):
        return


@contextlib.asynccontextmanager
async def _listening(
    settings: Settings, daemon: Daemon, registry: CollectorRegistry
) -> AsyncIterator[None]:
    """Serve page, API and metrics on TCP, and the API without token on the local socket."""
    clock = SystemClock()
    token = settings.http.token.get_secret_value() if settings.http.token else None
    build = partial(
        make_app,
        control=daemon,
        metrics=registry,
        clock=clock,
        hosts=daemon.crew.asking,
        key_file=str(_key_file(settings).absolute()),
        hook_secret=lambda source: getattr(daemon.ground.declared.hooks, source),
        runbooks_url=lambda: daemon.ground.declared.runbooks_url,
    )
    public, local = build(token=token, is_local=False), build(token=None, is_local=True)
    async with contextlib.AsyncExitStack() as stack:
        for app, is_local in ((public, False), (local, True)):
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            if is_local:
                path = settings.socket
                path.parent.mkdir(parents=True, exist_ok=True)
                _remove_dead_socket(path)
                await web.UnixSite(runner, str(path)).start()
                path.chmod(_SOCKET_MODE)
                stack.callback(path.unlink, missing_ok=True)
            else:
                address = http_address(settings)
                await web.TCPSite(runner, address.host, address.port).start()
        yield


def _remove_dead_socket(path: Path) -> None:
    """A socket file left by a killed keeper: the store's lock has proven that nobody uses it."""
    if path.is_socket():
        path.unlink()


def _key_file(settings: Settings) -> Path:
    return settings.ssh.private_key_file or state_folder.ssh_key_file(settings.state_dir)
