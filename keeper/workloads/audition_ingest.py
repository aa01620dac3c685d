"""The way to where the stream goes: a connection there, and what it says to a greeting, judged.

RTMP begins with a greeting of 1537 bytes from each side (version, and a block to be echoed; Adobe's
specification 1.0, section 5.2, read 2026-11). It comes before any name of a stream or key, so a host can
show without either that bytes of RTMP go there and come back, and that nobody in between cuts them off.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from keeper.core.model import Meaning
from keeper.ports import Command
from keeper.workloads.audition import Check, CheckName
from keeper.workloads.audition_probe import (
    NOT_FOUND,
    TIMED_OUT,
    Section,
    Verdict,
    check,
    failed,
    passed,
    untold,
)

_RTMP_VERSION = "3"
_BLOCK_BYTES = "1536"
_GREETED = re.compile(r"(\d{1,3})?,(\d{1,4})")
_RTMPS_PORT = 443
_UNRESOLVED = ("not known", "name resolution", "No address associated")


class Speech(StrEnum):
    """What is spoken where the stream goes."""

    TCP = "tcp"  # not known: a connection is all that is asked for
    RTMP = "rtmp"
    RTMPS = "rtmps"  # the same, within TLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """Where the stream goes."""

    host: str
    port: int = 1935
    speech: Speech = Speech.TCP


def ingest_at(text: str, *, unsaid: Speech = Speech.TCP) -> Ingest | None:
    """Read ``host:port`` or ``rtmps://host:port``; None: there is none.

    ``unsaid``: what is spoken where nothing says it; RTMP at port 443 is RTMPS.
    """
    said, _, rest = text.rpartition("://")
    host, _, port = rest.rpartition(":")
    if not host:
        return None
    speech = Speech(said) if said else unsaid
    if not said and speech is Speech.RTMP and int(port) == _RTMPS_PORT:
        speech = Speech.RTMPS
    return Ingest(host=host, port=int(port), speech=speech)


def words_of(to: Ingest) -> str:
    """Return it as the probe takes it."""
    return f"{to.host} {to.port} {to.speech}"


def ingest(look: Command, to: Ingest) -> Check:
    """A connection to where the stream goes, and its greeting; some hosts' networks let neither through."""
    where = f"{to.host}:{to.port}"

    def read(section: Section, _now: datetime) -> Verdict:
        code, said = section.exit_code, section.last_line
        if code == 0:
            return passed(f"{where} takes connections") if greets_not else _greeted(section, where)
        if code == NOT_FOUND:
            return untold("nothing on the host could try")
        if any(word in section.text for word in _UNRESOLVED):
            return untold(f"the name of {where} is not resolved")
        if "refused" in section.text:
            # Somebody there said no, so the way is open and every host would hear the same.
            return failed(f"{where} refuses connections", Meaning.PERSON)
        hint = "; RTMPS on port 443 may pass" if section.value("control") == "0" else ""
        how = "does not answer" if code in TIMED_OUT else f"cannot be reached ({said})"
        return failed(f"{where} {how}{hint}", Meaning.REPLACE)

    greets_not = to.speech is Speech.TCP
    expected = f"a TCP connection to {where}"
    return check(
        CheckName.INGEST,
        expected=expected if greets_not else f"{expected}, and RTMP's greeting answered there",
        look=look,
        section="ingest",
        read=read,
    )


def _greeted(section: Section, where: str) -> Verdict:
    """Judge the answer to the greeting. Whoever cuts it off may be the ingest or somebody in between."""
    said = section.value("greeted")
    if said is None or said == "untried":
        return passed(f"{where} takes connections; nothing on the host could greet it")
    if said == "silent":
        return failed(
            f"{where} takes connections and does not answer RTMP's greeting", Meaning.REPLACE
        )
    answer = _GREETED.fullmatch(said)
    if answer is None:
        return failed(f"{where} takes connections and breaks off: {said}", Meaning.REPLACE)
    version, block_bytes = answer.groups()
    if version is None:
        return failed(f"{where} closes the connection at RTMP's greeting", Meaning.REPLACE)
    if version != _RTMP_VERSION:
        # An address that is answered by something else is wrong from every host.
        return failed(f"{where} answers, but not as RTMP does", Meaning.PERSON)
    if block_bytes != _BLOCK_BYTES:
        return failed(f"{where} breaks off in the middle of RTMP's greeting", Meaning.REPLACE)
    return passed(f"{where} answers RTMP's greeting")
