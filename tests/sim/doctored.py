"""Runs that break a promise each, as the marketplace and the hosts would have written them down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from keeper.sim.evidence import LINKED, STARTED, Bounds, Caps, Deployed, Evidence
from keeper.sim.ledger import Rental
from tests.sim import doctored_handovers, doctored_hosts, doctored_symptoms
from tests.sim.doctored_spares import SPARE_BREAKS
from tests.sim.ledgers import BEGAN, DAY, Run


def two_live_under_one_label(run: Run) -> Evidence:
    run.rent(101, "k:duel/0:1", at=40.0)
    run.destroy(101, 50.0)
    return run.evidence()


def created_before_written(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5100.0)
    run.rent(101, "k:duel/0:2", at=5300.0, written=False)
    run.picture(101, 5500.0)
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
    run.picture(101, 5500.0)
    run.destroy(100, 20_000.0)
    return run.evidence()


def one_too_many_at_the_end(run: Run) -> Evidence:
    run.rent(101, "k:duel/0:2", at=DAY - 100.0)
    return run.evidence()


def none_at_the_end(run: Run) -> Evidence:
    run.picture(100, DAY - 300.0, live=False)
    run.destroy(100, DAY - 100.0)
    return replace(run.evidence(), calm_at=BEGAN + DAY - 1000.0)


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


def failed_listing_then_reboot(run: Run) -> Evidence:
    run.list_(5000.0, status=502)
    run.request("PUT", "/instances/reboot/{id}/", 5010.0, instance_id=100)
    return run.evidence()


def paused_but_renting(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.rent(101, "k:duel/0:2", at=5300.0)
    run.picture(101, 5500.0)
    run.destroy(100, 5800.0)
    return replace(run.evidence(), paused=((BEGAN + 5200, BEGAN + 5400),))


def paused_but_restarting(run: Run) -> Evidence:
    run.picture(100, 5250.0, live=False)
    run.command(100, 5300.0, "restart.process.start")
    run.picture(100, 5320.0)
    return replace(run.evidence(), paused=((BEGAN + 5200, BEGAN + 5400),))


def four_restarts(run: Run) -> Evidence:
    run.picture(100, 4990.0, live=False)
    for number in range(4):
        run.command(100, 5000.0 + 100 * number, "restart.process.start")
    run.picture(100, 5350.0)
    return run.evidence()


def two_workload_restarts(run: Run) -> Evidence:
    for number in range(2):
        run.picture(100, 4990.0 + 1000 * number, live=False)
        run.command(100, 5000.0 + 1000 * number, "restart.workload.start")
        run.picture(100, 5100.0 + 1000 * number)
    return run.evidence()


def two_reboots(run: Run) -> Evidence:
    for number in range(2):
        run.picture(100, 4990.0 + 1000 * number, live=False)
        run.request("PUT", "/instances/reboot/{id}/", 5000.0 + 1000 * number, instance_id=100)
        run.picture(100, 5100.0 + 1000 * number)
    return run.evidence()


def seven_hosts_in_six_hours(run: Run) -> Evidence:
    run.picture(100, 4990.0, live=False)
    run.destroy(100, 5000.0)
    for number in range(1, 7):
        run.rent(100 + number, f"k:duel/0:{number + 1}", at=3500.0 + 3000 * number)
        run.picture(100 + number, 3800.0 + 3000 * number)
        if number < 6:
            run.picture(100 + number, 6280.0 + 3000 * number, live=False)
            run.destroy(100 + number, 6400.0 + 3000 * number)
    run.tell(5100.0)
    run.tell(7400.0, "resolved")
    return run.evidence()


def blind_and_rash(run: Run) -> Evidence:
    run.request("PUT", "/instances/reboot/{id}/", 5100.0, instance_id=100)
    return replace(run.evidence(), blind=((BEGAN + 5000, BEGAN + 5090),))


def two_remedies_at_once(run: Run) -> Evidence:
    run.picture(100, 4990.0, live=False)
    run.command(100, 5000.0, "deploy.files", lasts_s=60.0)
    run.command(100, 5030.0, "restart.process.start")
    run.picture(100, 5100.0)
    return run.evidence()


def dark_after_the_calm(run: Run) -> Evidence:
    run.picture(100, DAY - 500.0, live=False)
    return run.evidence()


def never_on_air(run: Run) -> Evidence:
    run.ledger.hosts.clear()
    return run.evidence()


def a_task_died(run: Run) -> Evidence:
    return replace(run.evidence(), unhandled=((BEGAN + 5.0, "link:duel/0: ValueError"),))


def listings_too_close(run: Run) -> Evidence:
    run.list_(240.4)
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
    run.picture(101, 5500.0)
    return run.evidence()


def paying_a_price_raised_over_the_limit(run: Run) -> Evidence:
    run.change(100, 5000.0, "price raised", "owner", dollars=1.3)
    return run.evidence()


def outbid_and_kept(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5000.5)
    run.rent(101, "k:duel/0:2", at=5001.0, is_bid=True)
    run.picture(101, 5300.0)
    run.change(101, 7000.0, "stopped", "outbid")
    run.picture(101, 7000.0, live=False)
    run.tell(7100.0)
    run.destroy(101, 9000.0)
    run.rent(102, "k:duel/0:3", at=9001.0)
    run.picture(102, 9300.0)
    run.tell(9700.0, "resolved")
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


# --- what the ledger of a bad keeper looks like ---------------------------------------------------


def committed_over_the_hourly_cap(run: Run) -> Evidence:
    run.ledger.rentals[100].ends_at = BEGAN + 9000.0  # a hand-over, and no room for it
    run.rent(101, "k:duel/0:2", at=5000.0)
    run.picture(101, 5300.0)
    run.destroy(100, 5500.0)
    return run.evidence(caps={"": Caps(per_hour=0.9)})


def bid_over_the_hourly_cap(run: Run) -> Evidence:
    run.change(100, 5000.0, "bid", dollars=0.9)
    return run.evidence(caps={"duel": Caps(per_hour=0.8)})


def billed_over_the_daily_cap(run: Run) -> Evidence:
    run.bill(100, DAY - 1.0, 12.0)
    return run.evidence(caps={"": Caps(per_day=11.0)})


def billed_over_the_total_across_a_kill(run: Run) -> Evidence:
    run.bill(100, DAY - 1.0, 12.0)
    evidence = run.evidence(caps={"duel": Caps(total=11.0)})
    return replace(evidence, killed_at=(BEGAN + 5000.0,))


def restarts_begin_anew_after_a_kill(run: Run) -> Evidence:
    run.picture(100, 4990.0, live=False)
    for number in range(4):
        run.command(100, 5000.0 + 100 * number, "restart.process.start")
    run.picture(100, 5350.0)
    return replace(run.evidence(), killed_at=(BEGAN + 5250.0,))


def beside_a_host_that_stays(run: Run) -> Evidence:
    run.command(100, 200.0, "deploy.start")
    run.picture(100, 4900.0, live=False)
    run.rent(101, "k:duel/0:2", at=5000.0)
    run.picture(101, 5300.0)
    run.destroy(100, 5400.0)
    return run.evidence()


def forgotten_without_asking_by_id(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5100.0, is_confirmed=False)
    run.rent(101, "k:duel/0:2", at=5150.0)
    run.picture(101, 5450.0)
    return run.evidence()


def replaced_after_one_absence(run: Run) -> Evidence:
    run.command(100, 200.0, "deploy.start")
    run.picture(100, 5000.0, live=False)
    run.end(100, 5000.0, by="market")
    run.request("GET", "/instances/{id}/", 5045.0, instance_id=100)
    run.rent(101, "k:duel/0:2", at=5050.0)
    run.picture(101, 5350.0)
    return run.evidence()


def logged_in_at_somebody_elses(run: Run) -> Evidence:
    run.ledger.begin(
        Rental(
            instance_id=900,
            label="training",
            machine_id=8,
            host_id=4,
            created_at=BEGAN,
            dollars_per_hour=2.0,
        )
    )
    run.host(900, 500.0, LINKED, "key")
    return run.evidence()


def ended_while_on_air(run: Run) -> Evidence:
    run.destroy(100, 5000.0)
    run.picture(100, 5000.0, live=False)
    run.rent(101, "k:duel/0:2", at=5010.0)
    run.picture(101, 5300.0)
    return run.evidence()


def ended_before_the_next_was_proven(run: Run) -> Evidence:
    run.ledger.rentals[100].ends_at = BEGAN + 9000.0
    run.rent(101, "k:duel/0:2", at=5000.0)
    run.picture(101, 5300.0)
    run.destroy(100, 5320.0)
    return run.evidence()


def ended_while_it_was_only_silent(run: Run) -> Evidence:
    run.picture(100, 4800.0, live=False)
    run.silence(100, 4800.0)
    run.destroy(100, 5000.0)
    run.silence(100, 5000.5, begins=False)
    run.rent(101, "k:duel/0:2", at=5010.0)
    run.picture(101, 5300.0)
    return run.evidence()


def rented_while_only_observed(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5100.0)
    run.rent(101, "k:duel/0:2", at=5300.0)
    run.picture(101, 5500.0)
    return replace(run.evidence(), observed={"duel": ((BEGAN + 5010, BEGAN + 5200),)})


def restarted_while_only_observed(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.command(100, 5100.0, "restart.process.start")
    run.picture(100, 5110.0)
    return replace(run.evidence(), observed={"duel": ((BEGAN + 4000, BEGAN + 6000),)})


def given_up_while_only_repaired(run: Run) -> Evidence:
    run.command(100, 290.0, "deploy.start")
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5100.0)
    run.rent(101, "k:duel/0:2", at=7300.0)
    run.picture(101, 7500.0)
    run.tell(5650.0)
    run.tell(8000.0, "resolved")
    return replace(run.evidence(), unreplaced={"duel": ((BEGAN + 4000, BEGAN + 7200),)})


def both_slots_at_once(run: Run) -> Evidence:
    run.rent(200, "k:turbo/0:1", at=15.0)
    run.picture(200, 300.0)
    for instance_id in (100, 200):
        run.picture(instance_id, 5000.0, live=False)
    run.command(100, 5400.0, "restart.process.start")
    for instance_id in (100, 200):
        run.picture(instance_id, 5500.0)
    return replace(run.evidence(), desired={"duel": 1, "turbo": 1})


def restarted_while_on_air(run: Run) -> Evidence:
    run.command(100, 5000.0, "restart.process.start")
    return run.evidence()


def rebooted_while_on_air(run: Run) -> Evidence:
    run.request("PUT", "/instances/reboot/{id}/", 5000.0, instance_id=100)
    return run.evidence()


def two_keepers(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5010.0)
    run.rent(101, "k:duel/0:2", at=5020.0, client="key@ops-2")
    run.picture(101, 5300.0)
    run.destroy(100, 5030.0)
    return run.evidence()


def back_on_the_bad_machine(run: Run) -> Evidence:
    run.host(100, 5000.0, "struck", "gpu_lost")
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5100.0)
    run.rent(101, "k:duel/0:2", at=5200.0, machine_id=7100)
    run.picture(101, 5500.0)
    return run.evidence()


def back_on_the_bad_machine_after_a_kill(run: Run) -> Evidence:
    return replace(back_on_the_bad_machine(run), killed_at=(BEGAN + 5170.0,))


def rebooted_under_a_restart(run: Run) -> Evidence:
    run.picture(100, 4990.0, live=False)
    run.command(100, 5000.0, "restart.workload.start", lasts_s=60.0)
    run.request("PUT", "/instances/reboot/{id}/", 5030.0, instance_id=100)
    run.picture(100, 5400.0)
    return run.evidence()


def dark_for_hours(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.tell(5100.0)
    run.picture(100, 10_000.0)
    run.tell(10_300.0, "resolved")
    return run.evidence()


def fired_and_never_resolved(run: Run) -> Evidence:
    run.tell(5000.0)
    return run.evidence()


def resolved_out_of_the_blue(run: Run) -> Evidence:
    run.tell(5000.0, "resolved")
    return run.evidence()


def fired_twice(run: Run) -> Evidence:
    run.tell(5000.0)
    run.tell(6000.0)
    run.tell(7000.0, "resolved")
    return run.evidence()


def silent_while_it_holds(run: Run) -> Evidence:
    run.tell(5000.0)
    run.tell(30_000.0, "repeat")
    run.tell(31_000.0, "resolved")
    return run.evidence()


def refused_and_never_sent_again(run: Run) -> Evidence:
    body = run.tell(5000.0)
    run.messages.clear()
    return replace(run.evidence(), refused=((BEGAN + 5000.0, body),))


def one_id_for_two_messages(run: Run) -> Evidence:
    run.tell(5000.0, notice_id="msg_1")
    run.tell(5010.0, notice_id="msg_1", more="something else")
    run.tell(6000.0, "resolved")
    return run.evidence()


def paged_twice_for_one_incident(run: Run) -> Evidence:
    for slot in ("duel/0", "duel/1"):
        key = f"KeeperStreamDark:{slot}"
        run.tell(5000.0, key=key, severity="critical", incident_id="inc_1", is_page=True)
        run.tell(6000.0, "resolved", key=key, incident_id="inc_1")
    return run.evidence()


def never_paged_though_needed(run: Run) -> Evidence:
    run.tell(5000.0, incident_id="inc_1")
    run.tell(5100.0, "update", severity="critical", incident_id="inc_1")
    run.tell(6000.0, "resolved", severity="critical", incident_id="inc_1")
    return run.evidence()


def paged_for_nothing(run: Run) -> Evidence:
    run.tell(5000.0, incident_id="inc_1", is_page=True)
    run.tell(6000.0, "resolved", incident_id="inc_1")
    return run.evidence()


def told_of_what_was_over_at_once(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.picture(100, 5012.0)
    run.tell(5031.0, incident_id="inc_1")
    run.tell(6000.0, "resolved", incident_id="inc_1")
    return run.evidence()


def old_news_told_again(run: Run) -> Evidence:
    for at in (5000.0, 13_000.0):
        run.tell(at, notice_id="msg_1")
        run.tell(at + 1.0, "resolved", notice_id="msg_2")
    return run.evidence()


def dark_and_nobody_told(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.picture(100, 5900.0)
    return run.evidence()


def costs_on_into_the_calm(run: Run) -> Evidence:
    run.picture(100, 75_000.0, live=False)
    for number in range(60):
        run.destroy(100, 75_050.0 + 60 * number, ends=False)
    run.rent(101, "k:duel/0:2", at=75_070.0)
    run.picture(101, 75_400.0)
    run.destroy(100, 78_700.0)
    return run.evidence()


def the_listing_falls_silent(run: Run) -> Evidence:
    run.ledger.requests = [
        r for r in run.ledger.requests if not BEGAN + 5000.0 < r.at < BEGAN + 5500.0
    ]
    return run.evidence()


def a_secret_at_anothers_host(run: Run) -> Evidence:
    run.ledger.arrive(BEGAN + 500.0, "STREAM_KEY=s3cr3t-of-turbo python3 serve.py", 100)
    return replace(run.evidence(), secrets=SECRETS)


def the_account_key_at_a_host(run: Run) -> Evidence:
    run.ledger.arrive(BEGAN + 500.0, "VAST_API_KEY=the-account-key", 100)
    return replace(run.evidence(), secrets=SECRETS)


def a_secret_in_a_create(run: Run) -> Evidence:
    run.ledger.arrive(BEGAN + 500.0, '{"env": {"STREAM_KEY": "s3cr3t-of-duel"}}')
    return replace(run.evidence(), secrets=SECRETS)


def a_secret_in_a_message(run: Run) -> Evidence:
    run.tell(5000.0, more="exit 1: s3cr3t-of-duel")
    run.tell(6000.0, "resolved")
    return replace(run.evidence(), secrets=SECRETS)


def a_secret_in_the_journal(run: Run) -> Evidence:
    texts = {"journal": "deploy.failed: s3cr3t-of-duel"}
    return replace(run.evidence(), secrets=SECRETS, texts=texts)


def connected_to_a_stranger(run: Run) -> Evidence:
    run.host(100, 300.0, LINKED, "ssh-ed25519 A")
    run.host(100, 5000.0, LINKED, "ssh-ed25519 B")
    return run.evidence()


def told_a_stranger_what_to_do(run: Run) -> Evidence:
    run.host(100, 300.0, LINKED, "ssh-ed25519 A")
    run.picture(100, 4990.0, live=False)
    run.host(100, 5000.0, "struck", "host_key_changed")
    run.command(100, 5050.0, "restart.process.start")
    run.picture(100, 5100.0)
    run.tell(5100.0)
    run.tell(6100.0, "resolved")
    return run.evidence()


def kept_a_strangers_key_to_itself(run: Run) -> Evidence:
    run.command(100, 290.0, "deploy.start")
    run.host(100, 5000.0, "struck", "host_key_changed")
    return run.evidence()


def told_of_a_key_at_another_slot(run: Run) -> Evidence:
    run.command(100, 290.0, "deploy.start")
    run.host(100, 5000.0, "struck", "host_key_changed")
    run.tell(5030.0, key="KeeperSlotHeld:host_key_changed:turbo/0", slot="turbo/0")
    run.tell(5630.0, "resolved", key="KeeperSlotHeld:host_key_changed:turbo/0", slot="turbo/0")
    return run.evidence()


def deployed(run: Run, *, is_bad: bool) -> Evidence:
    """A host that was given "new" after hours with "old"."""
    run.host(100, 305.0, STARTED, "old")
    return replace(
        run.evidence(),
        deploys=(
            Deployed(at=BEGAN + 100.0, stream="duel", word="old", is_bad=False),
            Deployed(at=BEGAN + 9000.0, stream="duel", word="new", is_bad=is_bad),
        ),
    )


def a_bad_deploy_on_two_hosts(run: Run) -> Evidence:
    run.picture(100, 9100.0, live=False)
    run.host(100, 9060.0, STARTED, "new")
    run.destroy(100, 9380.0)
    run.rent(101, "k:duel/0:2", at=9400.0)
    run.host(101, 9700.0, STARTED, "new")
    run.host(101, 9900.0, STARTED, "old")
    run.picture(101, 9950.0)
    run.tell(9200.0)
    run.tell(10_300.0, "resolved")
    return deployed(run, is_bad=True)


def a_deploy_that_never_arrives(run: Run) -> Evidence:
    return replace(deployed(run, is_bad=False), calm_at=BEGAN + 40_000.0)


SECRETS = {"s3cr3t-of-duel": "duel", "s3cr3t-of-turbo": "turbo", "the-account-key": ""}

BREAKS: tuple[tuple[str, Callable[[Run], Evidence]], ...] = (
    ("I1 I2", two_live_under_one_label),
    ("I2", created_before_written),
    ("I2", created_under_a_foreign_label),
    ("I3", asked_again_before_listing),
    ("I3", killed_while_asking),
    ("I10", asked_again_too_soon),
    ("I4", committed_over_the_hourly_cap),
    ("I4", bid_over_the_hourly_cap),
    ("I4", billed_over_the_daily_cap),
    ("I4", bid_over_the_limit),
    ("I4", bid_again_over_the_limit),
    ("I4", on_air_for_much_more_than_offered),
    ("I4", paying_a_price_raised_over_the_limit),
    ("I4", outbid_and_kept),
    ("I4", asked_for_on_an_empty_account),
    ("I4 I6", billed_over_the_total_across_a_kill),
    ("I5", three_for_one_replica),
    ("I5", hand_over_without_end),
    ("I5", beside_a_host_that_stays),
    ("I6 I13", restarts_begin_anew_after_a_kill),
    ("I6 I16", back_on_the_bad_machine_after_a_kill),
    ("I7", condemned_and_forgotten),
    ("I7", one_too_many_at_the_end),
    ("I7", none_at_the_end),
    ("I7", a_removed_stream_goes_on),
    ("I7", forgotten_without_asking_by_id),
    ("I7", replaced_after_one_absence),
    ("I8", somebody_elses_is_destroyed),
    ("I8", logged_in_at_somebody_elses),
    ("I9", empty_listing_taken_for_absence),
    ("I9 I14", failed_listing_then_reboot),
    ("I11", ended_while_on_air),
    ("I11", ended_before_the_next_was_proven),
    ("I11", ended_while_it_was_only_silent),
    ("I12", paused_but_renting),
    ("I12", paused_but_restarting),
    ("I12", both_slots_at_once),
    ("I12", rented_while_only_observed),
    ("I12", restarted_while_only_observed),
    ("I12", given_up_while_only_repaired),
    ("I13", four_restarts),
    ("I13", two_workload_restarts),
    ("I13", two_reboots),
    ("I13", seven_hosts_in_six_hours),
    ("I13", a_bad_deploy_on_two_hosts),
    ("I14", blind_and_rash),
    ("I14", restarted_while_on_air),
    ("I14", rebooted_while_on_air),
    ("I15", two_keepers),
    ("I16", back_on_the_bad_machine),
    ("I17", two_remedies_at_once),
    ("I17", rebooted_under_a_restart),
    ("I18", dark_after_the_calm),
    ("I18", never_on_air),
    ("I18", ended_as_was_known),
    ("I18", dark_for_hours),
    ("I18", a_deploy_that_never_arrives),
    ("I19", fired_and_never_resolved),
    ("I19", resolved_out_of_the_blue),
    ("I19", fired_twice),
    ("I19", silent_while_it_holds),
    ("I19", refused_and_never_sent_again),
    ("I19", one_id_for_two_messages),
    ("I19", paged_twice_for_one_incident),
    ("I19", never_paged_though_needed),
    ("I19", paged_for_nothing),
    ("I19", told_of_what_was_over_at_once),
    ("I19", old_news_told_again),
    ("I19", dark_and_nobody_told),
    ("I20", costs_on_into_the_calm),
    ("I21", a_task_died),
    ("I21", the_listing_falls_silent),
    ("I22", a_secret_at_anothers_host),
    ("I22", the_account_key_at_a_host),
    ("I22", a_secret_in_a_create),
    ("I22", a_secret_in_a_message),
    ("I22", a_secret_in_the_journal),
    ("I23", connected_to_a_stranger),
    ("I23", told_a_stranger_what_to_do),
    ("I23", kept_a_strangers_key_to_itself),
    ("I23", told_of_a_key_at_another_slot),
    ("I24", listings_too_close),
    ("I25", journals_differ),
    ("I25", journal_cut_short),
    *doctored_hosts.BREAKS,
    *doctored_symptoms.BREAKS,
    *SPARE_BREAKS,
    *doctored_handovers.BREAKS,
)
