"""Which awaits there are, at which moments of which story keeper is cut off, and what that covers.

An await is covered when keeper was cut off just before it, just after it, and, if others can run
meanwhile, while it waited there. Two moments with no effect in between leave the same disk and the
same world behind, so an await that is passed thousands of times is cut at its first and its last
pass, and each story around every effect on the world or the disk.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from tests.sim.awaits import ROOT, Edge, Marked, Site
from tests.sim.interrupted import Ending, Pass, Story, play
from tests.sim.stories import STORIES

# The daemon, and of the adapters those that run in virtual time as they run in production. Sockets,
# files and threads do not exist there: the campaign with real processes cuts inside their calls.
MODULES = (
    *(
        f"keeper.daemon.{path.stem}"
        for path in sorted((ROOT / "keeper" / "daemon").glob("*.py"))
        if path.stem != "__init__"
    ),
    "keeper.adapters.vastai",
    "keeper.adapters.vastai_calls",
    "keeper.adapters.vastai_keys",
    "keeper.adapters.vastai_search",
    "keeper.adapters.vastai_spacing",
)

# Where an act waits for a command on a host.
_RUNS_COMMANDS = "Putting._run_checked"

# Modules whose awaits belong to no verb that changes anything, each with the reason.
BESIDE: dict[str, str] = {
    "keeper.daemon.preview": "`keeper plan` reads once and decides; it writes and acts on nothing",
    "keeper.daemon.deploy_logs": "`keeper logs` reads what deploys have left; it writes nothing",
    "keeper.daemon.slate": "a slate touches no rental and no disk of keeper's; test_slate.py cuts its task at every step",
    "keeper.daemon.slate_sight": "it looks for the slate, and changes nothing",
    **dict.fromkeys(
        (
            "keeper.daemon.notify",
            "keeper.daemon.courier",
            "keeper.daemon.trial",
            "keeper.daemon.side_by_side",
            "keeper.daemon.until",
        ),
        "messages change nothing on hosts; test_telling_cut_off.py cuts them at every await",
    ),
    "keeper.daemon.feed": "what a feed is shown is kept nowhere, and is shown again; test_feed.py",
    "keeper.daemon.pulse": "a beat changes nothing here; test_pulse.py",
    "keeper.daemon.digest": "the week in numbers touches no rental; test_digest.py cuts it at every call",
    "keeper.daemon.asking": "`keeper logs` and `stream-status` ask hosts what changes nothing there",
}


# Single functions of the others, each with the reason.
BESIDE_ALONE = {
    "VastMarketplace.knows_key": "`keeper doctor` asks; it runs beside the daemon and writes nothing",
    "VastAccount.knows_key": "as above",
}


@dataclass(frozen=True, slots=True)
class Cut:
    """One moment at which keeper is cut off in a story."""

    story: Story
    moment: int
    passed: Pass | None  # None: inside a call of a port


@dataclass(frozen=True, slots=True)
class Sweep:
    """All awaits, all cuts, and what they leave out."""

    marked: Marked
    undisturbed: tuple[tuple[Story, Ending], ...]
    cuts: tuple[Cut, ...]
    waits: frozenset[int]  # awaits in which keeper waits while others run
    missed: tuple[tuple[Site, str], ...]

    @property
    def standstills(self) -> tuple[Cut, ...]:
        """Where keeper is frozen: before each command of an act, and at every twelfth other cut.

        What a command has done is in doubt when its deadline has passed unseen.
        """
        commands = [cut for cut in self.cuts if self._is_before_a_command(cut)]
        others = [cut for cut in self.cuts if not self._is_before_a_command(cut)]
        return (*commands, *others[::12])

    def _is_before_a_command(self, cut: Cut) -> bool:
        if cut.passed is None or cut.passed.edge is not Edge.BEFORE:
            return False
        return self.marked.sites[cut.passed.site].function == _RUNS_COMMANDS

    def report(self) -> str:
        """Say how much is covered, in one line."""
        sites = self.marked.sites
        return (
            f"{len(sites)} awaits, {len(self.waits)} of them wait; {len(self.cuts)} cuts in "
            f"{len(self.undisturbed)} stories; not cut: {len(self.missed)}"
        )


@cache
def sweep() -> Sweep:
    """Play every story once without a cut and choose the cuts."""
    marked = Marked([name for name in MODULES if name not in BESIDE])
    undisturbed = tuple((story, play(story, marked)) for story in STORIES)
    cuts: list[Cut] = []
    edges: set[tuple[int, Edge]] = set()
    inside: set[int] = set()
    waits: set[int] = set()
    for story, ending in undisturbed:
        known = {moment: p for moment, p in ending.passes.items() if moment <= ending.moments[0]}
        open_at = dict(_open_at(known))
        waits |= {site for moment, sites in open_at.items() for site in sites} - inside
        chosen = set(_first_and_last(known, edges, is_thorough=story is STORIES[0]))
        if story.thorough_from_s is not None:
            span = story.thorough_from_s, story.thorough_until_s
            chosen |= set(_around_effects(known, *span))
        for site in sorted(waits - inside):  # waits there while nobody was chosen to be cut
            if not any(site in open_at[moment] for moment in chosen if moment in open_at):
                chosen |= {next(m for m, sites in open_at.items() if site in sites)}
        edges |= {(known[m].site, known[m].edge) for m in chosen if m in known}
        inside |= {site for m in chosen if m in open_at for site in open_at[m]}
        cuts += [Cut(story, moment, known.get(moment)) for moment in sorted(chosen)]
    missed = [
        (site, edge.value)
        for number, site in enumerate(marked.sites)
        if site.function not in BESIDE_ALONE
        for edge in Edge
        if (number, edge) not in edges
    ]
    missed += [(marked.sites[number], "while it waits") for number in sorted(waits - inside)]
    return Sweep(marked, undisturbed, tuple(cuts), frozenset(waits), tuple(sorted(missed)))


def _open_at(passes: dict[int, Pass]) -> Iterator[tuple[int, frozenset[int]]]:
    """Yield, for each moment, the awaits that keeper is inside of, but for the one that is passed."""
    inside = Counter[int]()
    shown: frozenset[int] = frozenset()
    for moment, passed in passes.items():
        if passed.edge is Edge.AFTER:
            inside[passed.site] -= 1
            if not inside[passed.site]:
                shown -= {passed.site}
        yield moment, shown
        if passed.edge is Edge.BEFORE:
            inside[passed.site] += 1
            shown |= {passed.site}


def _first_and_last(
    passes: dict[int, Pass], before: set[tuple[int, Edge]], *, is_thorough: bool
) -> Iterator[int]:
    """Yield the first and the last pass of each side of an await: here, or of those not yet cut."""
    first: dict[tuple[int, Edge], int] = {}
    last: dict[tuple[int, Edge], int] = {}
    for moment, passed in passes.items():
        key = passed.site, passed.edge
        if is_thorough or key not in before:
            first.setdefault(key, moment)
            last[key] = moment
    yield from first.values()
    yield from last.values()


def _around_effects(passes: dict[int, Pass], from_s: float, until_s: float) -> Iterator[int]:
    """Yield the last moment before each effect and the first one after it."""
    before, epoch = 0, None
    for moment, passed in passes.items():
        if epoch not in (None, passed.epoch) and from_s <= passed.at_s <= until_s:
            yield from (before, moment)
        before, epoch = moment, passed.epoch
