"""Everybody the daemon works through, introduced to each other once."""

from __future__ import annotations

from datetime import datetime

from keeper.core.events import AccountUnreadable, SlotBug
from keeper.core.model import InstanceId, OfferId, Policy, Reading, SlotId, StreamName, stream_of
from keeper.core.reasons import Reason
from keeper.core.world import Outcome
from keeper.daemon.archiving import Archiving
from keeper.daemon.asking import HostsAsked
from keeper.daemon.beat import Beat
from keeper.daemon.board import Board
from keeper.daemon.calendar import Calendar
from keeper.daemon.canary import Canary
from keeper.daemon.clocks import Clocks
from keeper.daemon.dead_man import DeadMan
from keeper.daemon.declared import Ports
from keeper.daemon.digest import WeeklyDigest
from keeper.daemon.draining import Draining
from keeper.daemon.enroll import Enroll
from keeper.daemon.error_line import describe
from keeper.daemon.execute import Executor
from keeper.daemon.facts import Facts
from keeper.daemon.feed import Feeds
from keeper.daemon.follow import silence_at
from keeper.daemon.following import Following
from keeper.daemon.ground import Ground
from keeper.daemon.hints import Hints
from keeper.daemon.keys import Keys
from keeper.daemon.lulls import Lulls
from keeper.daemon.notify import Notifier
from keeper.daemon.orders import Orders
from keeper.daemon.parting import Parting
from keeper.daemon.permit import may_touch, stream_named
from keeper.daemon.pulse import Beacon
from keeper.daemon.purse import Purse
from keeper.daemon.rest import Stirring
from keeper.daemon.revisions import Revisions
from keeper.daemon.slate import SlateKeeper
from keeper.daemon.slate_sight import Known
from keeper.daemon.strips import Place
from keeper.daemon.survey import Survey
from keeper.daemon.tasks import Tasks
from keeper.daemon.tick import hold_until
from keeper.daemon.watch import Watch
from keeper.daemon.wheel import Wheel
from keeper.daemon.windows import Windows
from keeper.workloads import Workload


class Crew:
    """The daemon's parts. Each has one thing to do; what they tell one another is said here."""

    def __init__(self, ports: Ports, ground: Ground) -> None:
        self._ground = ground
        self._clock = clock = ports.clock
        self.clocks = Clocks(clock.monotonic())
        self.beat = Beat(
            clock,
            self.clocks,
            interval_s=lambda: ground.desired.fleet.tick_interval_s,
            silence_at=self._silence_at,
        )
        nudge = self.beat.nudge
        self.facts = Facts(ground.hide, nudge)
        self.tasks = Tasks(self.facts.note)
        self.orders = Orders(nudge)
        self.revisions = Revisions(ground.declared)
        self.board = Board(
            nudge,
            self.facts.redact,
            self._is_reading_news,
            self._place_of,
        )
        self.wheel = Wheel(clock)
        foresight = ports.foresight and Stirring(ports.foresight, self.beat.stir)
        self.notifier = Notifier(
            network=ports.network,
            store=ports.store,
            clock=clock,
            channels=lambda: {channel.name: channel for channel in ground.declared.channels},
            publish=self.facts.note,
            redact=self.facts.redact,
            relay=ports.relay,
            kinds=lambda: ground.declared.channel_kinds,
            marks=lambda: ground.declared.channel_marks,
        )
        self.feeds = Feeds(
            network=ports.network,
            clock=clock,
            ground=ground,
            publish=self.facts.note,
            redact=self.facts.redact,
        )
        self.beacon = Beacon(
            network=ports.network,
            clock=clock,
            declared=lambda: ground.declared,
            ticked_s=lambda: ground.ticked_s,
            note=self.facts.note,
            redact=self.facts.redact,
        )
        self.canary = Canary(
            ports.network,
            clock,
            lambda: ground.declared,
            nudge,
            foresight,
            is_back=self.notifier.network_is_back,
        )
        self.survey = Survey(
            ports.marketplace,
            clock,
            streams=lambda: ground.desired.streams,
            list_interval_s=lambda: (
                ground.desired.fleet.list_interval_s,
                ground.desired.fleet.list_interval_busy_s,
            ),
            nudge=nudge,
            offers_asked=self._offers_asked,
            tell=self.facts.note,
            foresight=foresight,
        )
        self.purse = Purse(
            ports.marketplace,
            clock,
            interval_s=lambda: ground.desired.fleet.account_interval_s,
            nudge=nudge,
            refused=lambda refusal: self.facts.note(AccountUnreadable(error=describe(refusal))),
            drifted=self.facts.note,
        )
        self.hints = Hints(
            clock,
            look=self.survey.hurry,
            look_at_account=self.purse.hurry,
            note=self.facts.note,
            add=self.facts.add,
        )
        self.enroll = Enroll(
            ports.marketplace,
            ports.hosts,
            declared=lambda: ground.declared,
            snapshot=lambda: ground.snapshot,
            changed=ground.changed,
            spawn=self.tasks.once,
            note=self.facts.note,
        )
        self.keys = Keys(
            ports.marketplace,
            clock,
            public_key=lambda: ports.hosts.public_key,
            may_touch=self._may_touch,
            spawn=self.tasks.once,
            note=self.facts.note,
        )
        self.watch = Watch(
            hosts=ports.hosts,
            network=ports.network,
            clock=clock,
            board=self.board,
            wheel=self.wheel,
            spawn=self.tasks.once,
            keep=self.tasks.for_ever,
            key_refused=self.keys.refused,
            own_network=lambda: self.canary.status,
            foresight=foresight,
            aids=lambda: ground.declared.aids,
        )
        self.asking = HostsAsked(
            ground, self.watch, clock, workload_of=self._workload_of, archive=ports.archive
        )
        self.windows = Windows(lambda: ground.declared.windows, self.facts.note)
        self.dead_man = DeadMan(
            self.watch,
            clock,
            api_url=lambda: ground.declared.api_url,
            may_touch=self._may_touch,
            note=self.facts.note,
            nudge=nudge,
        )
        self.archiving = Archiving(ports.archive, clock, redact=ground.hide, note=self.facts.note)
        self.draining = Draining(
            self.archiving,
            board=self.board,
            clock=clock,
            store=ports.store,
            policy_of=self._policy_of,
        )
        self.lulls = Lulls(
            self.watch,
            self.archiving,
            clock,
            workload_of=self._workload_of,
            spawn=self.tasks.once,
            nudge=nudge,
        )
        self.parting = Parting(
            ground,
            self.archiving,
            watch=self.watch,
            board=self.board,
            store=ports.store,
            clock=clock,
            spawn=self.tasks.once,
        )
        self.slates = SlateKeeper(
            ports.slates,
            network=ports.network,
            clock=clock,
            declared=lambda: ground.declared.slates,
            known=self._known_to_slates,
            note=self.facts.note,
        )
        self.executor = Executor(
            marketplace=ports.marketplace,
            hosts=ports.hosts,
            network=ports.network,
            watch=self.watch,
            clock=clock,
            workload_of=self._workload_to_put,
            spawn=self.tasks.once,
            finished=self._finished,
            bug=self._note_bug,
            redact=ground.hide,
            archiving=self.archiving,
            parting=self.parting,
            draining=self.draining,
            make_way=self.slates.make_way,
        )
        self.calendar = Calendar(
            ports,
            self.tasks,
            self.survey,
            declared=lambda: ground.declared,
            records=lambda: ground.memory.records,
            note=self.facts.note,
            nudge=nudge,
            weekly=WeeklyDigest(ports, ground, self.notifier),
        )
        self.following = Following(
            ground,
            board=self.board,
            survey=self.survey,
            watch=self.watch,
            keys=self.keys,
            dead_man=self.dead_man,
            purse=self.purse,
            workload_of=self._workload_of,
        )

    # --- what one has to know of another ------------------------------------------------------------

    def _is_reading_news(self, reading: Reading, heard_at: datetime | None) -> bool:
        return self.following.is_news(reading, heard_at)

    def _place_of(self, instance_id: InstanceId) -> Place:
        return self.following.place_of(instance_id)

    def _silence_at(self) -> datetime | None:
        memory, streams = self._ground.memory, self._ground.desired.streams
        return silence_at(memory.records, streams, self.board.heard_at, memory.started_at)

    def _may_touch(self, instance_id: InstanceId) -> bool:
        """Whether the marketplace may be asked to change something for a rental (I12)."""
        ground = self._ground
        if ground.snapshot is None or ground.stopping.is_set():
            return False
        return may_touch(
            instance_id,
            ground.memory.records,
            ground.desired,
            self._clock.now(),
            fuses=ground.snapshot.plan.fuses,
            windows=self.windows.open,
            paused=ground.memory.slot_pauses,
        )

    def _offers_asked(self, stream: StreamName) -> frozenset[OfferId]:
        """Return the offers that operators named for slots of a stream."""
        return frozenset(
            record.offer_asked
            for record in self._ground.memory.records.values()
            if record.offer_asked is not None and stream_of(record.slot) == stream
        )

    def _known_to_slates(self) -> Known:
        ground, in_flight = self._ground, self.executor.slots_in_flight
        intents = ground.memory.intents.values() if in_flight and ground.has_memory else ()
        return Known(
            snapshot=ground.snapshot,
            latest=self.board.latest,
            acting=tuple(
                (each.slot, each.kind)
                for each in intents
                if each.slot is not None and each.slot in in_flight
            ),
            is_stopping=ground.stopping.is_set(),
        )

    def _policy_of(self, slot: SlotId) -> Policy:
        stream = stream_named(self._ground.desired, slot)
        return Policy() if stream is None else stream.policy

    def _workload_of(self, slot: SlotId, revision: str) -> Workload | None:
        """Return what is, or is to be, on a slot's host."""
        return self.revisions.workload(stream_of(slot), revision)

    def _workload_to_put(self, slot: SlotId, revision: str) -> Workload | None:
        """Return the same, told what the slot's hosts were showing last."""
        workload, record = self._workload_of(slot, revision), self._ground.memory.records.get(slot)
        if workload is None or record is None:
            return workload
        shown = "" if record.tenure is None else record.tenure.keepsake
        return workload.remembering(shown or record.keepsake)

    def _finished(self, outcome: Outcome) -> None:
        self._ground.memory.outcomes.append(outcome)
        if outcome.reason is Reason.OUT_OF_CREDIT:
            self.purse.hurry()
        self.beat.nudge()

    def _note_bug(self, bug: SlotBug) -> None:
        self._ground.memory.held_until[bug.slot] = hold_until(self._clock.now())
        self.facts.note(bug)
