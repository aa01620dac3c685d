"""How each failure of the duel shows in one look: pure questions, each answered with a sentence or None."""

from __future__ import annotations

from collections.abc import Callable

from keeper.workloads.hyperscape_duel.facts import Facts, Sign
from keeper.workloads.hyperscape_duel.settings import HyperscapeDuelSettings

# Phases in which a restart interrupts nobody's fight.
QUIET_PHASES = frozenset({"IDLE", "ANNOUNCEMENT", "RESOLUTION"})


class Case:
    """One look and what the operator has declared: what the rows ask."""

    def __init__(self, facts: Facts, settings: HyperscapeDuelSettings) -> None:
        self.facts = facts
        self.settings = settings
        self.patience = settings.patience
        self.server, self.state = facts.server, facts.state
        self.bridge, self.log = facts.bridge, facts.log

    @property
    def answers(self) -> bool:
        """Say whether the server answers at all."""
        return self.server.code > 0

    @property
    def is_settled(self) -> bool:
        """The bridge has had its time to load the page and to begin."""
        return not self.bridge.is_young and not self.facts.is_young

    @property
    def is_at_rest(self) -> bool:
        """Say whether a restart would interrupt nobody's fight."""
        return self.state.phase in QUIET_PHASES

    def sign(self, name: str, times: int = 1) -> str | None:
        """Return a sign's line, once it was seen so often; the line may be empty."""
        found = self.log.get(name)
        return found.text if found is not None and found.n >= times else None

    def told(self, sentence: str, name: str, times: int = 1) -> str | None:
        """Return the sentence with the line that proves it."""
        line = self.sign(name, times)
        if line is None:
            return None
        return f"{sentence}: {line}" if line else sentence

    def degraded(self, *reasons: str, after_s: float) -> bool:
        """Say whether the page has been unwell for one of these reasons for so long."""
        return self.bridge.degraded.startswith(reasons) and self.bridge.degraded_s >= after_s


def webgpu_missing(case: Case) -> str | None:
    """The browser cannot draw on this host."""
    if case.bridge.degraded.startswith("error:webgpu_required"):
        return "the page cannot draw: it says that WebGPU is missing"
    return case.told("the browser has no WebGPU", "webgpu")


def bad_build(case: Case) -> str | None:
    """The code does not load, or lacks a setting."""
    if case.answers:
        return None
    # As often as it has been begun again: one such line may be a start that was cut off.
    sentence = "the stack cannot start, and another host would not help"
    return case.told(sentence, "bad_build", times=3)


def database(case: Case) -> str | None:
    """The database gives no connection."""
    if case.server.db is False:
        return "the server cannot use its database"
    return case.told("the database has no connection left", "db", 3 if case.answers else 1)


def port_held(case: Case) -> str | None:
    """Something of before holds the port or the lock."""
    text = case.told("another stack holds the lock", "other_stack")
    if text is None and not case.answers:
        text = case.told("the port is taken", "port_held")
    if text is None and case.log.get("port_held", Sign()).n > 1:
        text = case.told("an orphan holds the port", "port_held")
    return text


def nothing_runs(case: Case) -> str | None:
    """PM2 or the app is not there."""
    if case.facts.process == "manager_down":
        return "PM2 does not run, and nothing that it should keep"
    return "PM2 does not know the app" if case.facts.process == "gone" else None


def server_silent(case: Case) -> str | None:
    """The event loop is blocked."""
    is_long = case.server.silent_s >= case.patience.silent_s and not case.facts.is_young
    if case.answers or case.facts.process != "up" or not is_long:
        return None
    return f"the process runs, and the server has not answered for {case.server.silent_s:g} s"


def starting(case: Case) -> str | None:
    """A start is under way."""
    if case.facts.is_young and not case.answers and case.facts.process == "up":
        return "the stack is starting; its server does not answer yet"
    if case.state.error == "warmup":
        return "the public state is delayed right after a start"
    return None


def bridge_starting(case: Case) -> str | None:
    """The bridge loads the page; until it is through, the playlist is that of before, or there is none."""
    playlist = case.facts.hls
    if not case.answers or playlist is None or case.is_settled:
        return None
    if playlist.seen and not playlist.flat_s:
        return None
    return "the bridge is starting; its first segment is still to come"


def phase_stuck(case: Case) -> str | None:
    """A phase is past its end."""
    if case.state.late_s < case.patience.phase_margin_s:
        return None
    return f"phase {case.state.phase} should have ended {case.state.late_s:g} s ago"


def stand_still(case: Case) -> str | None:
    """Nobody strikes."""
    if case.state.still_fights:
        return f"{case.state.still_fights} fights in a row passed without a blow"
    if case.state.still_s >= case.patience.still_s:
        return f"both stand still: no blow for {case.state.still_s:g} s"
    return None


def still_wait(case: Case) -> float:
    """The fight has its turn to end: a restart in it would only add to the harm."""
    if case.state.still_fights and case.is_at_rest:
        return 0.0
    return case.settings.phases_s()["FIGHTING"]


def idle(case: Case) -> bool:
    """No duel is on."""
    return case.state.phase == "IDLE"


def idle_disconnect(case: Case) -> str | None:
    """Platforms are about to drop an idle stream, or have done so."""
    idle_s = case.state.idle_s
    if not idle(case) or idle_s < case.patience.idle_disconnect_s:
        return None
    has_filler = case.settings.environment().get("STREAM_PLACEHOLDER_ENABLED") == "true"
    if has_filler and not case.bridge.down:
        return None  # something moves, and the platforms keep it
    return f"idle for {idle_s:g} s: platforms drop such a stream after 30 minutes"


def no_fighters(case: Case) -> str | None:
    """No two fighters are found."""
    if not idle(case) or case.state.idle_s < case.patience.idle_s or case.server.maintenance:
        return None
    return f"no two fighters for {case.state.idle_s:g} s: look at the model keys and the agents"


def other_commit(case: Case) -> str | None:
    """The server runs other code than declared."""
    wanted, has = case.settings.commit, case.facts.commit
    if (
        not wanted
        or not has
        or has == "unknown"
        or wanted.startswith(has)
        or has.startswith(wanted)
    ):
        return None
    return f"the server runs commit {has[:12]} instead of {wanted[:12]}"


def gave_up(case: Case) -> str | None:
    """The bridge has no ffmpeg, and starts none."""
    text = case.told("ffmpeg is given up for good", "gave_up")
    if text is None and case.bridge.ffmpeg is False and case.bridge.seen == "ok":
        text = "the bridge lives and its ffmpeg does not"
    return text


def refused(case: Case) -> str | None:
    """A platform takes no stream with this key or address."""
    is_without = case.bridge.ffmpeg is False or (
        # A bridge that has given up over it stays given up, also while nobody can ask it.
        case.bridge.ffmpeg is None and case.sign("gave_up") is not None
    )
    if not (case.bridge.down or is_without):
        return None
    return case.told("a platform refuses the stream: look at its key and address", "refused")


def bridge_hung(case: Case) -> str | None:
    """The bridge reports nothing."""
    if case.bridge.seen != "absent" or case.bridge.absent_s < case.patience.flat_s:
        return None
    if not case.is_settled:
        return None
    if case.bridge.alive:
        return "the bridge's process lives and has stopped to report"
    return "there is no bridge, and nobody starts one"


def capture_stalled(case: Case) -> str | None:
    """Nothing comes from the browser."""
    times, flat_s = case.log.get("stalled", Sign()), case.bridge.flat_s or 0.0
    if case.sign("flipped", times=3) is not None:
        return case.told("the capture flips between two ways", "flipped")
    if times.n > 1 and times.for_s > 0:
        return case.told("the capture has stalled again and again", "stalled")
    if flat_s >= case.patience.flat_s and case.is_settled:
        return f"the browser has sent nothing for {flat_s:g} s"
    return None


def scene_frozen(case: Case) -> str | None:
    """The page draws, and the game in it stands."""
    stale = ("renderer_health_stale", "capture_page_missing", "probe_failed", "capture_client")
    if case.degraded(*stale, after_s=case.patience.flat_s):
        return f"the scene does not move any more: {case.bridge.degraded}"
    if (case.bridge.still_picture_s or 0.0) >= case.patience.flat_s:
        return f"the picture has not changed for {case.bridge.still_picture_s:g} s"
    return None


def black(case: Case) -> str | None:
    """The page draws nothing."""
    if case.degraded("canvas_missing", "error:", "initialization_failed", after_s=0.0):
        return f"the picture is empty: {case.bridge.degraded}"
    return None


def loading(case: Case) -> str | None:
    """The page is still loading."""
    reasons = ("loading_overlay_active", "initializing", "capture_not_initialized")
    if case.degraded(*reasons, after_s=case.patience.loading_s):
        return f"viewers see the loading screen: {case.bridge.degraded}"
    return None


def agents_missing(case: Case) -> str | None:
    """The page has no fighter to show."""
    reasons = ("agents_missing", "invalid_agent_hp", "arena_positions_invalid")
    if case.degraded(*reasons, after_s=case.patience.idle_s):
        return f"the page has nobody to show: {case.bridge.degraded}"
    return None


def placeholder(case: Case) -> str | None:
    """The filler is shown instead of the game."""
    sign = case.log.get("placeholder")
    if sign is None or sign.for_s < case.patience.placeholder_s:
        return None
    return f"viewers have seen the filler picture for {sign.for_s:g} s"


def output_flat(case: Case) -> str | None:
    """Nothing comes out at the other end."""
    if case.facts.hls is None or case.facts.hls.flat_s < case.patience.flat_s:
        return None
    if not case.is_settled:
        return None
    return f"no new segment for {case.facts.hls.flat_s:g} s, whatever the bridge says"


def all_down(case: Case) -> str | None:
    """Every platform is lost."""
    if not case.bridge.outputs or len(case.bridge.down) < case.bridge.outputs:
        return None
    return f"no platform takes the stream: {', '.join(case.bridge.down)}"


def some_down(case: Case) -> str | None:
    """Some platforms are lost."""
    if case.bridge.down:
        return f"the others are on air, and not {', '.join(case.bridge.down)}"
    return case.told("one platform fails", "slave_failed", times=3)


def page_timeout(case: Case) -> str | None:
    """The page is too slow to load."""
    return case.told("the page does not load within its time", "page_timeout")


def display_dead(case: Case) -> str | None:
    """The X server is gone."""
    if case.facts.has_display is False:
        return f"nobody answers on display {case.settings.display}"
    return None


def sound_gone(case: Case) -> str | None:
    """The sound source is gone."""
    if case.facts.has_sound is False:
        return "the stream's sound source is gone"
    return None


def in_maintenance(case: Case) -> str | None:
    """Nobody fights on purpose."""
    if not case.server.maintenance:
        return None
    if case.server.by_keeper:
        return "the server is still in the maintenance of a deploy that was cut off: nobody fights"
    return "the server is in maintenance mode: nobody fights"


def told(sentence: str, name: str, times: int = 1) -> Callable[[Case], str | None]:
    """Make a question of a sentence and the lines that prove it."""
    return lambda case: case.told(sentence, name, times)


def when(sentence: str, holds: Callable[[Case], bool]) -> Callable[[Case], str | None]:
    """Make a question of a sentence and a condition."""
    return lambda case: sentence if holds(case) else None
