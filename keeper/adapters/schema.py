"""Which store a keeper may open: the rule that lets an older keeper go back to a newer one's file.

A store remembers its schema and its **oldest reader**: the oldest schema whose keeper can
still use it. Steps only add, so as a rule a keeper may go back over them: what it does not know it
leaves alone. A step that an older keeper would spoil, or that would have it forget money, raises
``OLDEST_READER`` to itself (docs/upgrading.md; a test looks at every step).
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection, inspect, select, text

from keeper.adapters import tables
from keeper.ports import StoreError

# The keeper of 0001 knows no tallies: it would forget what was spent. That of 0002 knows no deploys: it
# would put everything on every host anew. What came since 0003 is for people: who is told, how often.
OLDEST_READER = "0003"
_OLDEST_READER_KEY = "oldest_reader"


class Standing(StrEnum):
    """How the schema of a file stands to the one that this keeper knows."""

    NEW = "new"  # nothing was ever written
    BEHIND = "behind"  # the steps since then are run when a keeper opens it
    SAME = "same"
    AHEAD = "ahead"  # a newer keeper's, which this one may use as it is
    BEYOND = "beyond"  # a newer keeper's, which this one must not touch


def revision_of(connection: Connection) -> str | None:
    """Read the schema of a file; None: nothing was ever written."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def oldest_reader_of(connection: Connection) -> str | None:
    """Read the oldest schema whose keeper may use a file; None: it does not say."""
    meta = tables.META
    if not inspect(connection).has_table(meta.name):
        return None
    found = connection.execute(select(meta.c.value).where(meta.c.key == _OLDEST_READER_KEY))
    return found.scalar()


def standing(connection: Connection) -> Standing:
    """Compare a file's schema with this keeper's."""
    return compared(revision_of(connection), oldest_reader_of(connection), tables.REVISIONS)


def compared(
    revision: str | None, oldest_reader: str | None, revisions: tuple[str, ...]
) -> Standing:
    """Say how a schema stands to a keeper that knows these ones, the newest last."""
    newest = revisions[-1]
    if revision is None:
        return Standing.NEW
    if revision == newest:
        return Standing.SAME
    if revision in revisions:
        return Standing.BEHIND
    # Names of schemas are four digits. Another writing is of a keeper that we know nothing of.
    is_later = _is_name(revision) and revision > newest
    if is_later and oldest_reader and _is_name(oldest_reader) and oldest_reader <= newest:
        return Standing.AHEAD
    return Standing.BEYOND


def remember_oldest_reader(connection: Connection) -> None:
    """Note in a file of our own schema who may still open it. It is never lowered."""
    if (oldest_reader_of(connection) or "") < OLDEST_READER:
        row = {"key": _OLDEST_READER_KEY, "value": OLDEST_READER}
        connection.execute(tables.UPSERT_META, [row])


def beyond(connection: Connection, path: Path) -> StoreError:
    """Say that a file is a newer keeper's, and what to do."""
    told = f"{path} was written by a newer keeper (schema {revision_of(connection)}; this one knows"
    return StoreError(
        f"{told} {tables.REVISIONS[-1]}): install that version again, or restore an older copy"
    )


def _is_name(revision: str) -> bool:
    return len(revision) == len(OLDEST_READER) and revision.isascii() and revision.isdigit()
