"""Each promise has a run that breaks it, and the auditor says so; a check that cannot fail is none."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from keeper.sim.audit import CHECKS, audit
from keeper.sim.evidence import PICTURE_LIVE, PICTURE_LOST, Bounds, Evidence
from keeper.sim.ledger import Change, HostEntry, Ledger, Rental, Request

BEGAN = 1_767_571_200.0
DAY = 86_400.0
SLOT = "duel/0"


def slot_of(label: str) -> str | None:
    """Labels of this file: k:STREAM/REPLICA:ATTEMPT."""
    prefix, _, rest = label.partition(":")
    return rest.partition(":")[0] if prefix == "k" else None


class Run:
    """A run in the making, by default a blameless one: one rental, on air from minute five."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.labels: list[tuple[float, str]] = []
        self.rent(100, "k:duel/0:1", at=10.0)
        self.picture(100, 300.0)
        for minute in range(0, 24 * 60, 5):
            self.list_(minute * 60.0)

    def rent(
        self,
        instance_id: int,
        label: str,
        at: float,
        *,
        status: int = 200,
        note: str = "",
        made: bool = True,
        written: bool = True,
        dollars: float = 0.5,
        offered: float = 0.5,
        is_bid: bool = False,
    ) -> None:
        if written:
            self.labels.append((BEGAN + at - 0.1, label))
        self.request("PUT", "/asks/{id}/", at, label=label, status=status, note=note)
        if made:
            self.ledger.begin(
                Rental(
                    instance_id=instance_id,
                    label=label,
                    machine_id=7,
                    host_id=3,
                    created_at=BEGAN + at,
                    dollars_per_hour=dollars,
                    offered_dollars_per_hour=offered,
                    is_bid=is_bid,
                )
            )
            self.change(instance_id, at, "created", dollars=dollars)

    def change(
        self, instance_id: int, at: float, what: str, by: str = "account", *, dollars: float = 0.5
    ) -> None:
        change = Change(at=BEGAN + at, what=what, by=by, dollars=0.0, dollars_per_hour=dollars)
        self.ledger.change(instance_id, change)

    def request(
        self,
        method: str,
        endpoint: str,
        at: float,
        *,
        instance_id: int | None = None,
        label: str = "",
        status: int = 200,
        note: str = "",
    ) -> None:
        self.ledger.request(
            Request(
                at=BEGAN + at,
                method=method,
                endpoint=endpoint,
                path=endpoint.replace("{id}", str(instance_id)),
                identity="key@127.0.0.1",
                status=status,
                is_mutating=method != "GET",
                instance_id=instance_id,
                label=label,
                note=note,
            )
        )

    def list_(self, at: float, *, status: int = 200, note: str = "") -> None:
        self.request("GET", "/instances/", at, status=status, note=note)

    def destroy(self, instance_id: int, at: float, *, ends: bool = True) -> None:
        self.request("DELETE", "/instances/{id}/", at, instance_id=instance_id)
        if ends:
            change = Change(at=BEGAN + at, what="destroyed", by="account", dollars=1.0)
            self.ledger.change(instance_id, change, is_end=True)

    def host(self, instance_id: int, at: float, what: str, detail: str = "") -> None:
        entry = HostEntry(at=BEGAN + at, instance_id=instance_id, what=what, detail=detail)
        self.ledger.host(entry)

    def picture(self, instance_id: int, at: float, *, live: bool = True) -> None:
        self.host(instance_id, at, PICTURE_LIVE if live else PICTURE_LOST)

    def command(self, instance_id: int, at: float, name: str, *, lasts_s: float = 1.0) -> None:
        self.host(instance_id, at, "command", name)
        self.host(instance_id, at + lasts_s, "command.ended", name)

    def evidence(self) -> Evidence:
        self.ledger.requests.sort(key=lambda request: request.at)
        self.ledger.hosts.sort(key=lambda entry: entry.at)
        return Evidence(
            ledger=self.ledger,
            slot_of=slot_of,
            desired={"duel": 1},
            began_at=BEGAN,
            calm_at=BEGAN + DAY - 10_000,
            ended_at=BEGAN + DAY,
            labels_written=tuple(self.labels),
            bounds=Bounds(price_max_dollars_per_hour={"duel": 1.0}),
        )


def test_a_blameless_run_is_not_blamed() -> None:
    assert audit(Run().evidence()) == ()


def test_a_blameless_replacement_is_not_blamed() -> None:
    run = Run()
    run.picture(100, 5000.0, live=False)
    run.rent(101, "k:duel/0:2", at=5300.0)
    run.picture(101, 5700.0)
    run.destroy(100, 5800.0)
    assert audit(run.evidence()) == ()


def two_live_under_one_label(run: Run) -> Evidence:
    run.rent(101, "k:duel/0:1", at=40.0)
    run.destroy(101, 50.0)
    return run.evidence()


def created_before_written(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5100.0)
    run.rent(101, "k:duel/0:2", at=5300.0, written=False)
    run.picture(101, 5700.0)
    return run.evidence()


def created_under_a_foreign_label(run: Run) -> Evidence:
    run.rent(101, "somebody", at=5300.0)
    return run.evidence()


def asked_again_before_listing(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5000.5)
    run.rent(101, "k:duel/0:2", at=5001.0, status=0, note="create_reply_lost")
    run.rent(102, "k:duel/0:3", at=5002.0)
    run.destroy(101, 5003.0)
    run.picture(102, 5300.0)
    return run.evidence()


def asked_again_too_soon(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5000.5)
    run.rent(0, "k:duel/0:2", at=5001.0, status=0, note="drop_before", made=False)
    run.rent(102, "k:duel/0:3", at=5050.0)
    run.picture(102, 5300.0)
    return run.evidence()


def killed_while_asking(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5000.5)
    run.rent(101, "k:duel/0:2", at=5001.0)
    run.rent(102, "k:duel/0:3", at=5010.0)
    run.destroy(101, 5011.0)
    run.picture(102, 5300.0)
    return replace(run.evidence(), killed_at=(BEGAN + 5001.5,))


def three_for_one_replica(run: Run) -> Evidence:
    run.rent(101, "k:duel/0:2", at=5000.0)
    run.rent(102, "k:duel/0:3", at=5200.0)
    run.destroy(101, 5300.0)
    run.destroy(102, 5300.0)
    return run.evidence()


def hand_over_without_end(run: Run) -> Evidence:
    run.rent(101, "k:duel/0:2", at=5000.0)
    run.destroy(101, 15_000.0)
    return run.evidence()


def condemned_and_forgotten(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5100.0, ends=False)
    run.rent(101, "k:duel/0:2", at=5300.0)
    run.picture(101, 5700.0)
    run.destroy(100, 20_000.0)
    return run.evidence()


def one_too_many_at_the_end(run: Run) -> Evidence:
    run.rent(101, "k:duel/0:2", at=DAY - 100.0)
    return run.evidence()


def none_at_the_end(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.destroy(100, DAY - 100.0)
    return run.evidence()


def a_removed_stream_goes_on(run: Run) -> Evidence:
    run.rent(101, "k:old/0:1", at=100.0)
    return run.evidence()


def somebody_elses_is_destroyed(run: Run) -> Evidence:
    foreign = Rental(
        instance_id=900,
        label="training",
        machine_id=8,
        host_id=4,
        created_at=BEGAN,
        dollars_per_hour=2.0,
    )
    run.ledger.begin(foreign)
    run.destroy(900, 500.0)
    return run.evidence()


def empty_listing_taken_for_absence(run: Run) -> Evidence:
    run.list_(5000.0, note="list_empty")
    run.rent(101, "k:duel/0:2", at=5010.0)
    run.destroy(101, 6000.0)
    return run.evidence()


def failed_listing_then_destroy(run: Run) -> Evidence:
    run.list_(5000.0, status=502)
    run.destroy(100, 5010.0)
    run.rent(101, "k:duel/0:2", at=5300.0)
    run.picture(101, 5700.0)
    return run.evidence()


def paused_but_renting(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.rent(101, "k:duel/0:2", at=5300.0)
    run.picture(101, 5700.0)
    run.destroy(100, 5800.0)
    return replace(run.evidence(), paused=((BEGAN + 5200, BEGAN + 5400),))


def paused_but_restarting(run: Run) -> Evidence:
    run.command(100, 5300.0, "restart.process.start")
    return replace(run.evidence(), paused=((BEGAN + 5200, BEGAN + 5400),))


def four_restarts(run: Run) -> Evidence:
    for number in range(4):
        run.command(100, 5000.0 + 100 * number, "restart.process.start")
    return run.evidence()


def two_workload_restarts(run: Run) -> Evidence:
    for number in range(2):
        run.command(100, 5000.0 + 1000 * number, "restart.workload.start")
    return run.evidence()


def two_reboots(run: Run) -> Evidence:
    for number in range(2):
        run.request("PUT", "/instances/reboot/{id}/", 5000.0 + 1000 * number, instance_id=100)
    return run.evidence()


def seven_hosts_in_six_hours(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5000.0)
    for number in range(1, 7):
        run.rent(100 + number, f"k:duel/0:{number + 1}", at=5000.0 + 3000 * number)
        if number < 6:
            run.destroy(100 + number, 7900.0 + 3000 * number)
    run.picture(106, 24_000.0)
    return run.evidence()


def blind_and_rash(run: Run) -> Evidence:
    run.request("PUT", "/instances/reboot/{id}/", 5100.0, instance_id=100)
    return replace(run.evidence(), blind=((BEGAN + 5000, BEGAN + 5090),))


def two_remedies_at_once(run: Run) -> Evidence:
    run.command(100, 5000.0, "deploy.files", lasts_s=60.0)
    run.command(100, 5030.0, "restart.process.start")
    return run.evidence()


def dark_after_the_calm(run: Run) -> Evidence:
    run.picture(100, DAY - 1000.0, live=False)
    return run.evidence()


def never_on_air(run: Run) -> Evidence:
    run.ledger.hosts.clear()
    return run.evidence()


def a_task_died(run: Run) -> Evidence:
    return replace(run.evidence(), unhandled=((BEGAN + 5.0, "link:duel/0: ValueError"),))


def listings_too_close(run: Run) -> Evidence:
    run.list_(300.4)
    bounds = Bounds(spacing_s={("GET", "/instances/"): 1.0})
    return replace(run.evidence(), bounds=bounds)


def journals_differ(run: Run) -> Evidence:
    return replace(run.evidence(), journals=(b"a\nb\n", b"a\nc\n"))


def journal_cut_short(run: Run) -> Evidence:
    return replace(run.evidence(), journals=(b"a\nb\n", b"a\n"))


def bid_over_the_limit(run: Run) -> Evidence:
    run.rent(101, "k:duel/0:2", at=5000.0, dollars=1.01, is_bid=True)
    run.destroy(101, 5100.0)
    return run.evidence()


def bid_again_over_the_limit(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5000.5)
    run.rent(101, "k:duel/0:2", at=5001.0, is_bid=True)
    run.change(101, 5200.0, "bid", dollars=1.2)
    run.picture(101, 5300.0)
    return run.evidence()


def on_air_for_much_more_than_offered(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5000.5)
    run.rent(101, "k:duel/0:2", at=5001.0, dollars=0.7)
    run.picture(101, 6000.0)
    return run.evidence()


def paying_a_price_raised_over_the_limit(run: Run) -> Evidence:
    run.change(100, 5000.0, "price raised", "owner", dollars=1.3)
    return run.evidence()


def outbid_and_kept(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5000.5)
    run.rent(101, "k:duel/0:2", at=5001.0, is_bid=True)
    run.change(101, 7000.0, "stopped", "outbid")
    run.destroy(101, 9000.0)
    run.rent(102, "k:duel/0:3", at=9001.0)
    run.picture(102, 9300.0)
    return run.evidence()


def asked_for_on_an_empty_account(run: Run) -> Evidence:
    run.ledger.empty(BEGAN + 5000.0, is_empty=True)
    run.request("GET", "/users/current/", 5100.0)
    run.rent(101, "k:duel/0:2", at=5200.0, status=400, made=False)
    run.ledger.empty(BEGAN + 6000.0, is_empty=False)
    return run.evidence()


def ended_as_was_known(run: Run, *, asked: bool = False, moved_at: float = 5000.0) -> Evidence:
    run.change(100, moved_at, "end moved", "owner")
    run.change(100, 20_000.0, "stopped", "expired")
    run.picture(100, 20_000.0, live=False)
    if asked:
        run.rent(0, "k:duel/0:2", at=19_000.0, status=400, made=False)
    run.destroy(100, 20_050.0)
    run.rent(101, "k:duel/0:3", at=20_100.0)
    run.picture(101, 20_400.0)
    return run.evidence()


BREAKS: list[tuple[str, Callable[[Run], Evidence]]] = [
    ("I1", two_live_under_one_label),
    ("I2", created_before_written),
    ("I2", created_under_a_foreign_label),
    ("I2", two_live_under_one_label),
    ("I3", asked_again_before_listing),
    ("I3", killed_while_asking),
    ("I10", asked_again_too_soon),
    ("I4", bid_over_the_limit),
    ("I4", bid_again_over_the_limit),
    ("I4", on_air_for_much_more_than_offered),
    ("I4", paying_a_price_raised_over_the_limit),
    ("I4", outbid_and_kept),
    ("I4", asked_for_on_an_empty_account),
    ("I5", three_for_one_replica),
    ("I5", hand_over_without_end),
    ("I7", condemned_and_forgotten),
    ("I7", one_too_many_at_the_end),
    ("I7", none_at_the_end),
    ("I7", a_removed_stream_goes_on),
    ("I8", somebody_elses_is_destroyed),
    ("I9", empty_listing_taken_for_absence),
    ("I9", failed_listing_then_destroy),
    ("I12", paused_but_renting),
    ("I12", paused_but_restarting),
    ("I13", four_restarts),
    ("I13", two_workload_restarts),
    ("I13", two_reboots),
    ("I13", seven_hosts_in_six_hours),
    ("I14", blind_and_rash),
    ("I17", two_remedies_at_once),
    ("I18", dark_after_the_calm),
    ("I18", never_on_air),
    ("I18", ended_as_was_known),
    ("I21", a_task_died),
    ("I24", listings_too_close),
    ("I25", journals_differ),
    ("I25", journal_cut_short),
]


@pytest.mark.parametrize(
    ("invariant", "breaks"), BREAKS, ids=[f"{name}-{each.__name__}" for name, each in BREAKS]
)
def test_the_auditor_goes_red(invariant: str, breaks: Callable[[Run], Evidence]) -> None:
    found = audit(breaks(Run()))
    assert invariant in {broken.invariant for broken in found}
    for broken in found:
        assert broken.invariant in broken.sentence()
        assert broken.text


def test_every_check_has_a_run_that_breaks_it() -> None:
    checked = {name for names in CHECKS for name in names.split(", ")}
    assert checked == {invariant for invariant, _ in BREAKS}


def test_terms_that_are_kept_are_not_blamed() -> None:
    assert audit(ended_as_was_known(Run(), asked=True)) == ()
    assert audit(ended_as_was_known(Run(), moved_at=19_000.0)) == ()  # too late to be known ahead
    run = Run()
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5000.5)
    run.rent(101, "k:duel/0:2", at=5001.0, dollars=0.7)  # given back before it was of use
    run.destroy(101, 5100.0)
    run.rent(102, "k:duel/0:3", at=5201.0, is_bid=True, offered=0.0)
    run.picture(102, 5500.0)
    run.change(102, 7000.0, "stopped", "outbid")
    run.picture(102, 7000.0, live=False)
    run.change(102, 7200.0, "bid", dollars=0.9)
    run.change(102, 7300.0, "running", "host", dollars=0.9)
    run.picture(102, 7400.0)
    assert audit(run.evidence()) == ()


def test_a_hand_over_before_a_known_end_is_no_panic() -> None:
    run = Run()
    run.list_(5000.0, note="list_empty")
    run.rent(101, "k:duel/0:2", at=5010.0)
    run.picture(101, 5300.0)
    run.destroy(100, 6000.0)
    assert {broken.invariant for broken in audit(run.evidence())} == {"I9"}
    run.ledger.rentals[100].ends_at = BEGAN + 12_000.0
    assert audit(run.evidence()) == ()


def test_what_refused_creates_leave_behind_replaces_nothing() -> None:
    run = Run()
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5000.0)
    for number in range(1, 8):
        run.rent(100 + number, f"k:duel/0:{number + 1}", at=5000.0 + 300 * number, status=400)
        if number < 7:
            run.destroy(100 + number, 5010.0 + 300 * number)
    run.picture(107, 7500.0)
    assert audit(run.evidence()) == ()
    for instance_id in range(101, 108):
        run.change(instance_id, 7100.0, "running", "host")
    assert {broken.invariant for broken in audit(run.evidence())} == {"I13"}


def test_an_account_that_nobody_saw_empty_may_be_asked() -> None:
    run = Run()
    run.ledger.empty(BEGAN + 5000.0, is_empty=True)
    run.request("GET", "/users/current/", 5100.0, status=502)
    run.rent(0, "k:duel/0:2", at=5200.0, status=400, made=False)
    run.ledger.empty(BEGAN + 6000.0, is_empty=False)
    run.request("GET", "/users/current/", 6100.0)
    run.rent(0, "k:duel/0:3", at=6200.0, status=400, made=False)
    assert audit(run.evidence()) == ()


def test_forgiven_restarts_do_not_count_together() -> None:
    run = Run()
    for batch in range(2):
        for number in range(3):
            run.command(100, 5000.0 + 800 * batch + 50 * number, "restart.process.start")
    assert audit(run.evidence()) == ()


def test_confirming_a_condemned_rental_is_allowed_while_paused() -> None:
    run = Run()
    run.picture(100, 5000.0, live=False)
    run.rent(101, "k:duel/0:2", at=5100.0)
    run.picture(101, 5150.0)
    run.destroy(100, 5190.0, ends=False)
    run.destroy(100, 5300.0)
    evidence = replace(run.evidence(), paused=((BEGAN + 5200, BEGAN + 5400),))
    assert audit(evidence) == ()


def test_darkness_counts_from_the_first_picture() -> None:
    run = Run()
    run.picture(100, 5000.0, live=False)
    run.picture(100, 5060.0)
    assert run.evidence().dark_s(SLOT) == pytest.approx(60.0)


def test_the_auditor_imports_nothing_that_it_judges() -> None:
    for name in (
        "audit",
        "evidence",
        "ledger",
        "promises_money",
        "promises_stream",
        "promises_terms",
    ):
        source = Path(f"keeper/sim/{name}.py").read_text(encoding="utf-8")
        for judged in ("keeper.core", "keeper.daemon", "keeper.adapters", "keeper.ports"):
            assert judged not in source, f"keeper/sim/{name}.py knows {judged}"
