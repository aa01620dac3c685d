"""The machine's own clocks keep the promises of the port."""

from datetime import UTC

from keeper.adapters.clock import SystemClock


def test_the_clock_tells_utc_and_never_goes_back() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    before = clock.monotonic()
    assert clock.monotonic() >= before
