"""The fleet as a whole, in a colour and a sentence. Pure."""

from __future__ import annotations

from keeper.alerts import Severity
from keeper.web.shapes import SlotStatus
from keeper.web.telling_shapes import AlertStatus
from keeper.web.tone import Tone

# How many slots the one sentence names.
_NAMES_MAX = 3


def fleet_tone(slots: list[SlotStatus], alerts: tuple[AlertStatus, ...]) -> Tone:
    """Say what a person should feel about all of it."""
    if any(slot.tone is Tone.BAD for slot in slots):
        return Tone.BAD
    if any(alert.severity is Severity.CRITICAL for alert in alerts):
        return Tone.BAD
    if any(alert.severity is Severity.WARNING for alert in alerts):
        return Tone.WARN
    if any(slot.tone is not Tone.GOOD for slot in slots):
        return Tone.WORK
    return Tone.GOOD


def sentence(slots: list[SlotStatus]) -> str:
    """Say how the fleet is, in the words one would use over the phone."""
    if not slots:
        return "No stream is declared."
    on_air = [slot for slot in slots if slot.is_on_air]
    if len(on_air) == len(slots):
        noun = "The stream is" if len(slots) == 1 else f"All {len(slots)} streams are"
        return f"{noun} on air."
    dark = [slot for slot in slots if slot.dark_since is not None]
    left = [slot for slot in slots if not slot.is_on_air and slot.dark_since is None]
    outbid = [slot for slot in left if slot.host is not None and slot.host.outbid_since is not None]
    # What was paused without a host, a slot that was destroyed by order for one, waits for a person.
    resting = [slot for slot in left if slot.host is None and slot.pause is not None]
    # No offer suits, or none may be rented: nothing comes before that changes.
    stuck = [
        slot for slot in left if slot.host is None and slot.pause is None and slot.tone is Tone.WARN
    ]
    coming = len(left) - len(outbid) - len(resting) - len(stuck)
    parts = [f"{len(on_air)} of {len(slots)} on air"]
    if dark:
        parts.append(f"{_named(dark)} dark")
    if outbid:
        parts.append(f"{_named(outbid)} outbid")
    if coming:
        parts.append(f"{coming} on the way")
    if stuck:
        parts.append(f"{len(stuck)} without a host")
    if resting:
        parts.append(f"{len(resting)} paused")
    return "; ".join(parts) + "."


def _named(slots: list[SlotStatus]) -> str:
    names = ", ".join(slot.slot for slot in slots[:_NAMES_MAX])
    more = f" and {len(slots) - _NAMES_MAX} more" if len(slots) > _NAMES_MAX else ""
    return f"{names}{more}"
