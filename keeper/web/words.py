"""Facts of the journal as sentences, for the timeline of the page and of ``keeper events``.

One row per event type; a test fails when one is missing. Values of facts are hostile and are made
plain here; markup is escaped where it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from keeper.alerts.wording import count, duration
from keeper.core.events import EVENT_TYPES, Level
from keeper.core.model import ConditionKind
from keeper.core.text import plain
from keeper.core.windows import ALLOWS

Facts = Mapping[str, Any]

# What is judged of a rental, as people call it. Seven of them share the width of a card.
CONDITIONS: Final[Mapping[str, str]] = {
    ConditionKind.RENTED: "rental",
    ConditionKind.REACHABLE: "SSH",
    ConditionKind.DEPLOYED: "set-up",
    ConditionKind.RUNNING: "process",
    ConditionKind.STREAMING: "picture",
    ConditionKind.HAS_GPU: "GPU",
    ConditionKind.HAS_ROOM: "disk",
    ConditionKind.WORKING: "workload",
}

_ALLOWS: Final = {allow.value: said for allow, said in ALLOWS.items()}
LEVELS: Final[Mapping[str, Level]] = {event.name: event.level for event in EVENT_TYPES}


def words(event: str, facts: Facts) -> str:
    """Say one fact in a sentence. An event of another version is said by its name."""
    sentence = WORDS.get(event)
    if sentence is None:
        return plain(event.replace(".", " ").replace("_", " "))
    try:
        return plain(sentence(_Gentle(facts)), 300)
    except (TypeError, ValueError, KeyError):
        return plain(event.replace(".", " ").replace("_", " "))


class _Gentle(dict[str, Any]):
    """Facts of an older or newer keeper may lack a key; the sentence is then a little poorer."""

    def __missing__(self, key: str) -> str:
        return "?"


def _s(facts: Facts, key: str = "duration_s") -> str:
    return duration(float(facts[key]))


def _at(facts: Facts, key: str) -> str:
    """Say a moment as the page does; what is no moment is said as it is."""
    try:
        return f"{datetime.fromisoformat(facts[key]).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except (TypeError, ValueError):
        return str(facts[key])


def _price(facts: Facts) -> str:
    return f"${float(facts['dollars']):.2f}/h"


def _whose(facts: Facts) -> str:
    return str(facts["stream"] or "the fleet")


def _cap(facts: Facts) -> str:
    per = {"day": "for the day", "month": "for the month"}.get(facts["period"], "for all time")
    return f"${float(facts['cap_dollars']):.2f} {per}"


def _what_follows(then: str) -> str:
    """Word what is done where viewers are not waited for any longer."""
    return {"leave": "left as it is", "restart": "restarting"}.get(then, f"going on to {then}")


def _because(facts: Facts) -> str:
    because = facts["because"]
    return f" because {because}" if because != "?" else ""


def _rung(facts: Facts) -> str:
    return {"restart_process": "the process", "restart_workload": "the whole workload"}.get(
        facts["rung"], str(facts["rung"])
    )


def _swapped(facts: Facts) -> str:
    gap_s = float(facts["gap_s"])
    missed = f"viewers missed {duration(gap_s)}" if gap_s else "viewers missed nothing"
    return f"{facts['slot']} is on air from {facts['instance_id']}: {missed}"


WORDS: Final[Mapping[str, Callable[[Facts], str]]] = {
    "keeper.started": lambda f: (
        f"keeper {f['version']} started with {count(int(f['slots']), 'slot', 'slots')} and "
        f"{count(int(f['tenures']), 'rental', 'rentals')}"
    ),
    "keeper.stopping": lambda f: f"keeper is stopping: {f['detail']}",
    "config.reloaded": lambda f: f"new configuration in force: {f['detail']}",
    "config.rejected": lambda f: f"new configuration rejected, the old one stays: {f['detail']}",
    "tick.finished": lambda f: f"looked at everything in {_s(f)}: {f['detail']}",
    "tick.failed": lambda f: f"a tick failed and did nothing: {f['error']}",
    "tick.overran": lambda f: f"a tick took {_s(f)}, longer than the interval",
    "clock.stepped": lambda f: f"the clock of this box jumped by {float(f['duration_s']):.1f} s",
    "market.unreadable": lambda f: f"the marketplace cannot be read: {f['error']}",
    "market.readable": lambda f: f"the marketplace can be read again, after {_s(f)}",
    "account.unreadable": lambda f: (
        f"the API key may not read the account's credit: {f['error']}"
    ),
    "key.registered": lambda _: "keeper's SSH key is now in the marketplace's account",
    "key.not_registered": lambda f: (
        f"the marketplace's account does not take keeper's SSH key: {f['error']}"
    ),
    "dead_man.armed": lambda f: f"{f['slot']} stops itself after {_s(f, 'after_s')} without keeper",
    "dead_man.removed": lambda f: f"{f['slot']} does not stop itself any more",
    "dead_man.unable": lambda f: (
        f"{f['slot']} could not stop itself without keeper, and would go on: {f['error']}"
    ),
    "offers.searched": lambda f: (
        f"searched offers for {f['stream']}: {f['suitable']} of {f['found']} suit; {f['detail']}"
    ),
    "offers.allowed": lambda f: f"offers may be searched again, after {_s(f)}",
    "offers.refused": lambda f: (
        f"nobody may search offers now{_because(f)}: {f['error']}"
        + (f"; until {_at(f, 'until')}" if f["until"] not in {None, "?"} else "")
    ),
    "spend.caught_up": lambda f: (
        f"${float(f['dollars']):.2f} were spent in the {_s(f)} before keeper was back, and count now"
    ),
    "spend.drifted": lambda f: (
        f"the account fell by ${float(f['fell_dollars']):.2f} in {_s(f)}, and its rentals are said"
        f" to have cost ${float(f['least_dollars']):.2f} to ${float(f['most_dollars']):.2f}"
    ),
    "budget.warned": lambda f: (
        f"{_whose(f)} has used {float(f['ratio']):.0%} of its {_cap(f)}"
        + (f"; all of it by {_at(f, 'reached_at')} at this rate" if f["reached_at"] else "")
    ),
    "budget.stopped": lambda f: (
        f"{_whose(f)} has used ${float(f['dollars']):.2f} of its {_cap(f)}, and is stopped:"
        f" {f['detail']}"
    ),
    "budget.freed": lambda f: f"{_whose(f)} may spend again: its cap per {f['period']} is free",
    "handover.swapping": lambda f: (
        f"ending the workload on {f['leaving_id']}, then starting it on {f['instance_id']}, for"
        f" {f['slot']}{' again' if int(f['attempt']) > 1 else ''}{_because(f)}"
    ),
    "handover.swap_failed": lambda f: (
        f"the two hosts of {f['slot']} did not change places: {f['error']}"
    ),
    "handover.swapped": _swapped,
    "handover.undone": lambda f: (
        f"{f['leaving_id']} is to publish {f['slot']} again, after {_s(f)}{_because(f)}"
    ),
    "fuse.tripped": lambda f: (
        f"fuse tripped: {f['because']}"
        + (f" ({f['detail']})" if f["detail"] not in {"", "?", f["because"]} else "")
    ),
    "fuse.reset": lambda f: f"fuse reset: no longer so that {f['because']}",
    "cause.named": lambda f: f"a common cause is suspected, the {f['trait']}: {f['detail']}",
    "cause.cleared": lambda f: f"no longer suspected as a common cause: {f['trait']} {f['detail']}",
    "window.opened": lambda f: (
        f"window {f['window']} is open{_of_stream(f)}, until {_at(f, 'until')}:"
        f" {_ALLOWS.get(f['allow'], f['allow'])}"
    ),
    "window.closed": lambda f: f"window {f['window']} is closed{_of_stream(f)}",
    "slot.decided": lambda f: (
        f"decided to {str(f['decision']).replace('_', ' ')}{_because(f)}"
        + (f" ({f['detail']})" if f["detail"] not in {"", "?"} else "")
    ),
    "host.recycling": lambda f: (
        f"host {f['instance_id']} has served for {_s(f)}; renting another to take over"
    ),
    "spare.ready": lambda f: f"spare {f['instance_id']} is ready, {_s(f)} after it was rented",
    "spare.promoted": lambda f: (
        f"{f['spare']} took over as rental {f['instance_id']}{_because(f)}"
        + (f", after {_s(f)} without a picture" if _is_positive(f) else "")
    ),
    "workload.prepared": lambda f: f"the workload is prepared on the spare, after {_s(f)}",
    "instance.renting": lambda f: (
        f"renting machine {f['machine_id']} for {_price(f)}{_because(f)}"
    ),
    "instance.rented": lambda f: f"rented as {f['instance_id']} for {_price(f)}",
    "instance.adopted": lambda f: f"took rental {f['instance_id']} into the slot{_because(f)}",
    "instance.rent_failed": lambda f: f"could not rent: {f['because']} ({f['error']})",
    "instance.rent_uncertain": lambda f: (
        f"the answer to a create was lost ({f['error']}); looking for its label"
    ),
    "instance.rent_voided": lambda f: f"a create never became a rental, settled after {_s(f)}",
    "instance.booted": lambda f: f"host {f['instance_id']} is up after {_s(f)}",
    "instance.price_drifted": lambda f: (
        f"rental {f['instance_id']} was offered for ${float(f['offered_dollars']):.3f}/h and costs"
        f" ${float(f['dollars']):.3f}/h"
    ),
    "instance.machine_unlisted": lambda f: (
        f"the owner of rental {f['instance_id']} takes no more renters; its contract runs on to the end"
    ),
    "instance.contract_ending": lambda f: (
        f"the contract of rental {f['instance_id']} ends in {_s(f, 'left_s')}"
    ),
    "instance.outbid": lambda f: (
        f"rental {f['instance_id']} was outbid; our bid was ${float(f['bid_dollars']):.3f}/h"
    ),
    "instance.rebidding": lambda f: (
        f"bidding ${float(f['bid_dollars']):.3f}/h for rental {f['instance_id']}, try {f['attempt']}"
    ),
    "instance.rebid": lambda f: f"the higher bid for rental {f['instance_id']} was taken",
    "instance.condemned": lambda f: f"rental {f['instance_id']} must end{_because(f)}",
    "instance.destroying": lambda f: f"ending rental {f['instance_id']}, try {f['attempt']}",
    "instance.ended": lambda f: (
        f"rental {f['instance_id']} is confirmed gone; it cost about ${float(f['dollars']):.2f}"
    ),
    "instance.gone": lambda f: f"rental {f['instance_id']} vanished without keeper's doing",
    "orphan.seen": lambda f: (
        f"rental {f['instance_id']} belongs to no stream and costs {_price(f)}"
    ),
    "orphan.cleared": lambda f: f"stray rental {f['instance_id']} is no longer listed",
    "machine.quarantined": lambda f: (
        f"machine {f['machine_id']} is avoided for {_s(f)}{_because(f)}"
    ),
    "audition.found": lambda f: (
        f"audition, {str(f['check']).replace('_', ' ')}: {f['saw']}; expected: {f['expected']}"
        + ("; forced" if f["is_forced"] is True else "")
    ),
    "audition.ended": lambda f: (
        "the host has passed its audition"
        + (f": {f['passed']}" if f["passed"] not in {"", "?"} else "")
        if f["meaning"] in {None, "?"}
        else f"the host has failed its audition ({f['meaning']}):"
        f" {str(f['check']).replace('_', ' ')}: {f['saw']}"
    ),
    "workload.deploying": lambda f: f"installing the workload on {f['instance_id']}",
    "workload.deployed": lambda f: f"the workload is installed and started, after {_s(f)}",
    "deploy.step_started": lambda f: f"step {f['number']} of {f['of']} begins: {f['step']}",
    "deploy.step_ended": lambda f: (
        f"step {f['number']} of {f['of']}, {f['step']}, "
        + (
            f"failed after {_s(f)}: {f['error']}" + (f"; its log: {f['log']}" if f["log"] else "")
            if f["error"] not in {"", "?"}
            else f"is done, after {_s(f)}"
        )
    ),
    "host.post_mortem_kept": lambda f: (
        f"what could be had of rental {f['instance_id']} is in {f['bundle']}"
        + (f"; missing: {f['detail']}" if f["detail"] not in {"", "?"} else "")
    ),
    "workload.draining": lambda f: (
        f"waiting up to {_s(f, 'bound_s')} for what viewers watch to come to its end"
    ),
    "workload.drained": lambda f: (
        f"drained, after {_s(f)}" + ("; it has restarted itself" if f["has_restarted"] is True else "")
    ),
    "workload.drain_overdue": lambda f: (
        f"viewers are not waited for ({f['detail']}): "
        + _what_follows(str(f["then"]))
    ),
    "workload.drain_refused": lambda f: (
        f"the workload of {f['stream']} does not let keeper drain it: {f['detail']}; this process of"
        " it is not asked again until what is declared changes"
    ),
    "archive.unable": lambda f: f"logs and bundles cannot be kept: {f['error']}",
    "workload.deploy_failed": lambda f: f"installing failed: {f['error']}",
    "revision.declared": lambda f: (
        f"{f['stream']} is to run revision {f['revision']}"
        + (f"; changed: {f['detail']}" if f["detail"] not in {"", "?"} else "")
    ),
    "revision.proven": lambda f: f"revision {f['revision']} of {f['stream']} has proven itself",
    "revision.bad": lambda f: (
        f"revision {f['revision']} of {f['stream']} is bad{_because(f)}; {f['detail']}"
    ),
    "revision.pardoned": lambda f: (
        f"revision {f['revision']} of {f['stream']} is tried once more, as ordered"
    ),
    "revision.acquitted": lambda f: (
        f"revision {f['revision']} of {f['stream']} is tried once more: what worked before would"
        " not go on that host, either"
    ),
    "workload.restarting": lambda f: (
        # One that was ordered is no try of the ladder's.
        f"restarting {_rung(f)}" + (f", try {f['attempt']}" if f["attempt"] else "") + _because(f)
    ),
    "workload.restarted": lambda f: f"restarted {_rung(f)}",
    "workload.restart_failed": lambda f: f"could not restart {_rung(f)}: {f['error']}",
    "instance.rebooting": lambda f: f"rebooting the host{_because(f)}",
    "instance.rebooted": lambda _: "the host took the order to reboot",
    "instance.stopping": lambda f: (
        f"telling rental {f['instance_id']} to stand still, try {f['attempt']}{_because(f)}"
    ),
    "instance.stopped": lambda f: (
        f"rental {f['instance_id']} stands still after {_s(f)}, and costs its disk alone"
    ),
    "instance.found_running": lambda f: (
        f"rental {f['instance_id']} runs, though it stood still and nobody has started it"
    ),
    "instance.starting": lambda f: f"starting rental {f['instance_id']}{_because(f)}",
    "instance.started": lambda f: f"rental {f['instance_id']} was started, after {_s(f)}",
    "instance.start_queued": lambda f: (
        f"the start of rental {f['instance_id']} waits: its GPU is let to another"
    ),
    "act.failed": lambda f: (
        f"the marketplace did not take the {str(f['decision']).replace('_', ' ')}: {f['error']}"
    ),
    "condition.changed": lambda f: (
        f"{CONDITIONS.get(str(f['condition']), f['condition'])} {_truth(f)}: {f['because']}"
        + (f": {f['detail']}" if f["condition"] == "working" and f["detail"] not in {"", "?"} else "")
    ),
    "stream.on_air": lambda f: (
        f"on air, after {_s(f)} of darkness" if _is_positive(f) else "on air"
    ),
    "stream.dark": lambda f: f"dark: {f['because']}",
    "slate.started": lambda f: (
        f"{f['stream']}: viewers see the slate, after {duration(float(f['dark_s']))} without a picture"
    ),
    "slate.yielded": lambda f: (
        f"{f['stream']}: the slate has made way after {_s(f)}: {f['detail']}"
    ),
    "slate.lost": lambda f: f"{f['stream']}: the slate has ended after {_s(f)}: {f['error']}",
    "slate.refused": lambda f: f"{f['stream']}: no slate: {f['error']}",
    "incident.opened": lambda f: f"sick: {f['because']}",
    "incident.closed": lambda f: (
        f"well again after {_s(f)} and {count(int(f['acts']), 'remedy', 'remedies')}"
    ),
    "stream.reported": lambda f: (
        f"{f['stream']}: {f['on_air']} of {count(int(f['slots']), 'slot', 'slots')} on air; in"
        f" {_s(f)} dark for {duration(float(f['dark_s']))},"
        f" {count(int(f['incidents']), 'incident', 'incidents')},"
        f" {count(int(f['remedies']), 'remedy', 'remedies')},"
        f" {count(int(f['rentals']), 'rental', 'rentals')}; now {_price(f)}"
    ),
    "host.key_changed": lambda f: (
        f"host {f['instance_id']} shows another SSH key; keeper does not touch it"
    ),
    "order.accepted": lambda f: (
        f"{f['actor']} ordered: {str(f['order']).replace('_', ' ')}"
        + (f" ({f['detail']})" if f["detail"] not in {"", "?"} else "")
    ),
    "keeper.pause_changed": lambda f: (
        f"{f['slot'] if f['slot'] not in {None, '?'} else 'everything'} "
        f"{'paused' if f['paused'] is True else 'resumed'} by {f['actor']}"
        + (f" until {_at(f, 'until')}" if f["until"] not in {None, "?"} else "")
        + (f": {f['detail']}" if f["detail"] not in {"", "?"} else "")
    ),
    "slot.bug": lambda f: f"keeper failed on this slot and holds it: {f['error']}",
    "notice.sent": lambda f: f"told {f['channel']}: {f['alert']}, {f['kind']}",
    "notice.failed": lambda f: f"could not tell {f['channel']}: {f['error']}",
    "channel.switched": lambda f: (
        f"channel {f['channel']} takes messages again"
        if f["is_on"] is True
        else f"channel {f['channel']} wants no more messages: {f['detail']}"
    ),
    "feed.changed": lambda f: (
        f"{f['channel']} is shown what holds"
        if f["is_taking"] is True
        else f"{f['channel']} cannot be shown what holds: {f['error']}"
    ),
    "heartbeat.changed": lambda f: (
        "the heartbeat of this box is heard"
        if f["is_heard"] is True
        else f"nobody hears the heartbeat of this box: {f['error']}"
    ),
    "alerts.silence_changed": lambda f: (
        f"{f['actor']} silenced {f['matchers']} until {_at(f, 'until')}"
        + (f": {f['detail']}" if f["detail"] not in {"", "?"} else "")
        if f["begun"] is True
        else f"the silence of {f['matchers']} is over"
    ),
    "hint.taken": lambda f: f"{f['source']} hints: {f['about']}",
    "hint.refused": lambda f: f"a hint of {f['source']} was refused: {f['why']}",
    "digest.made": lambda f: f"the week was summed up: ${float(f['dollars']):.2f}",
    "task.died": lambda f: f"task {f['task']} died and is started again: {f['error']}",
}  # fmt: skip


def _of_stream(facts: Facts) -> str:
    return f" for {facts['stream']}" if facts["stream"] not in {None, "?"} else ""


def _truth(facts: Facts) -> str:
    return {"true": "good", "false": "bad", "unknown": "not known"}.get(facts["status"], "?")


def _is_positive(facts: Facts) -> bool:
    return float(facts["duration_s"]) > 0
