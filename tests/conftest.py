"""What every test may rely on: real components by name, free ports, a bare environment.

A test that could not run is never silent here. The end of the run names and counts what is
absent, and KEEPER_TEST_REQUIRE_ALL=1 turns every skip into a failure. In which order several workers
take the tests, and where a long one gets its place: tests/turns.py.
"""

import gc
import os
import shutil
import signal
import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.components import ABSENT, COMPONENTS, require
from tests.turns import in_turns

_GC_EVERY = 20_000
REQUIRE_ALL = os.environ.get("KEEPER_TEST_REQUIRE_ALL") == "1"

# A red run must be the same red run on the next machine; looking for new examples is for soaks.
# How fast examples come is not asked, either: on a busy box a large value takes its time.
_AT_ANY_SPEED = (HealthCheck.too_slow,)
settings.register_profile(
    "check",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=_AT_ANY_SPEED,
)
settings.register_profile(
    "explore",
    deadline=None,
    max_examples=2000,
    print_blob=True,
    suppress_health_check=_AT_ANY_SPEED,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "check"))

# A job in the background of a script begins with Ctrl-C ignored, and so would all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# --- what runs, and where ---------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None]:
    """Refuse a misspelt component, which would be a test that never runs; put tests in their order."""
    for item in items:
        for marker in item.iter_markers("real"):
            if unknown := set(marker.args) - set(COMPONENTS):
                msg = f"{item.nodeid}: no component is called {sorted(unknown)}"
                raise pytest.UsageError(msg)
    yield
    if hasattr(config, "workerinput"):  # one of several workers
        items[:] = in_turns(items)


def pytest_collection_finish() -> None:
    """Look for garbage less often: what was imported and collected stays for the whole run.

    At the usual rate the collector walks over twelve thousand tests again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_EVERY)


# --- absence is counted ----------------------------------------------------------------------


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose real components are absent, before its fixtures start anything."""
    for marker in item.iter_markers("real"):
        for component in marker.args:
            require(component)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where everything is required, and one that names no absence everywhere."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        why = _why(report)
        if REQUIRE_ALL:
            report.outcome = "failed"
            report.longrepr = f"KEEPER_TEST_REQUIRE_ALL is set, and this did not run: {why}"
        elif not why.startswith(ABSENT):
            report.outcome = "failed"
            report.longrepr = f"a test is left out only where something named is absent: {why}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Do the same for a file that skipped itself."""
    report = yield
    if REQUIRE_ALL and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"KEEPER_TEST_REQUIRE_ALL is set, and this did not run: {_why(report)}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name and count, last of all, what did not run because something is absent."""
    absent = Counter[str]()
    for report in terminalreporter.getreports("skipped"):
        why = _why(report)
        if why.startswith(ABSENT):
            absent[why.removeprefix(ABSENT)] += 1
    if not absent:
        return
    terminalreporter.section("NOT RUN because something is absent", yellow=True)
    for component, count in sorted(absent.items()):
        terminalreporter.write_line(f"{count:5d} tests need {component}")
    terminalreporter.write_line(f"{absent.total():5d} in all; `make system` says how to get it")


def _why(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Give the reason of a skip, which pytest keeps as the third of a triple."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr)


# --- a bare environment ----------------------------------------------------------------------


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own keys, configuration and colours out of every test."""
    mine = ("KEEPER_", "VAST_", "PM2_")
    exact = {"CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
    exact |= {"NO_COLOR", "FORCE_COLOR", "CLICOLOR", "SSH_AUTH_SOCK", "JOURNAL_STREAM"}
    for name in list(os.environ):
        if name.startswith(mine) or name in exact:
            monkeypatch.delenv(name)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Give an empty folder whose path is short enough for a unix socket (108 bytes)."""
    path = Path(tempfile.mkdtemp(prefix="k-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def free_port() -> Iterator[Callable[[], int]]:
    """Give loopback ports, for daemons that cannot choose one themselves.

    Every process has a range of its own, below the range that the kernel hands out, so two tests
    do not meet between the look and the bind. Servers of ours bind to port 0 instead.
    """
    claim, start = _claimed_range()
    candidates = iter(range(start, start + 200))

    def take() -> int:
        for port in candidates:
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return port
        msg = "this process has used up its 200 ports"
        raise RuntimeError(msg)

    with claim:
        yield take


def _claimed_range() -> tuple[socket.socket, int]:
    """Claim 200 ports by a name that the kernel gives once, and takes back with the process."""
    for number in range(60):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0keeper-test-ports-{number}")
        except OSError:
            claim.close()
            continue
        return claim, 20_000 + number * 200
    msg = "60 processes test keeper on this machine already"
    raise RuntimeError(msg)
