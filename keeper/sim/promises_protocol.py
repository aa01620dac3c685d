"""Checks of the promises about manners and about being one: spacing, one keeper, one journal.

Each yields what is ``Broken`` in the ``Evidence``. No code is shared with what is judged.
"""

from __future__ import annotations

from collections.abc import Iterator

from keeper.sim.evidence import Broken, Evidence


def one_keeper_at_a_time(seen: Evidence) -> Iterator[Broken]:
    """Two machines never take turns: once another one has called, the first is dead."""
    latest = ""
    done: set[str] = set()
    for request in seen.ledger.requests:
        if request.identity == latest:
            continue
        if request.identity in done:
            yield Broken(
                invariant="I15",
                at=request.at,
                text=f"{request.method} {request.path} came from a keeper ({request.identity})"
                f" after another one ({latest}) had begun to call",
            )
            return
        done.add(latest)
        latest = request.identity


def calls_keep_their_distance(seen: Evidence) -> Iterator[Broken]:
    """Two calls of one caller to one endpoint are never closer than its published spacing."""
    for call, spacing_s in seen.bounds.spacing_s.items():
        latest: dict[str, float] = {}
        for request in seen.calls.get(call, ()):
            before = latest.get(request.identity)
            latest[request.identity] = request.at
            if before is not None and request.at - before < spacing_s - 0.001:
                yield Broken(
                    invariant="I24",
                    at=request.at,
                    text=f"{request.method} {request.endpoint} came {request.at - before:.3f} s"
                    f" after the one before; its spacing is {spacing_s} s",
                )


def same_seed_same_journal(seen: Evidence) -> Iterator[Broken]:
    """The same seed writes the same journal, byte for byte."""
    for number, journal in enumerate(seen.journals[1:], start=2):
        first = seen.journals[0].splitlines()
        if journal == seen.journals[0]:
            continue
        lines = journal.splitlines()
        line = next(
            (n for n, (a, b) in enumerate(zip(first, lines, strict=False)) if a != b),
            min(len(first), len(lines)),
        )
        yield Broken(
            invariant="I25",
            at=seen.began_at,
            text=f"run {number} of the same seed differs from the first in line {line + 1}",
        )
