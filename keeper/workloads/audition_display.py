"""Is there a display? nvidia-smi's fields, the device nodes, and an X server that answers, judged.

What nvidia-smi says of displays is evidence and no proof: one field is refused by new drivers, another
says Disabled as long as no X server runs. Whether the host draws is for Vulkan and WebGPU to show.
"""

from __future__ import annotations

from datetime import datetime
from shlex import quote

from keeper.core.model import Meaning
from keeper.ports import Command
from keeper.workloads.audition import Check, CheckName
from keeper.workloads.audition_probe import (
    NOT_FOUND,
    Section,
    Verdict,
    check,
    failed,
    passed,
    probe,
    untold,
)
from keeper.workloads.managers import payload

# --- evidence -----------------------------------------------------------------------------------------

# What speaks for a display, and what against one. Anything else ("[N/A]", "[Not Supported]", "[Requested
# functionality has been deprecated]", "Field … is not a valid field to query.") says nothing.
# display_active and Disp.A speak for one only: without an X server they say no everywhere.
_FOR = {
    "display_mode": ("Enabled",),
    "display_active": ("Enabled",),
    "display_attached": ("Yes",),
    "Disp.A": ("On",),
}
_AGAINST = {"display_mode": ("Disabled",), "display_attached": ("No",)}


def display(look: Command) -> Check:
    """What nvidia-smi says of displays, all its answers together."""
    return check(
        CheckName.DISPLAY,
        expected="display_mode, display_active, display_attached or Disp.A tells of a display",
        look=look,
        section="display",
        read=_read_display,
        is_hard=False,
    )


def _read_display(section: Section, _now: datetime) -> Verdict:
    if section.exit_code == NOT_FOUND:
        return untold("there is no nvidia-smi")
    answers = {field: section.value(field) or "" for field in _FOR}
    told = ", ".join(f"{field} {answer!r}" for field, answer in answers.items() if answer)
    # "Enabled, Validated" begins with what counts.
    if any(answer.startswith(_FOR[field]) for field, answer in answers.items() if answer):
        return passed(told)
    if any(answers[field].startswith(words) for field, words in _AGAINST.items() if answers[field]):
        return failed(told, Meaning.REPLACE)
    return untold(told or "nvidia-smi says nothing of displays")


def dev_dri(look: Command) -> Check:
    """The device nodes; their numbers differ from host to host."""
    return check(
        CheckName.DEV_DRI,
        expected="/dev/dri has a card and a render node",
        look=look,
        section="dri",
        read=_read_dri,
        is_hard=False,
    )


def _read_dri(section: Section, _now: datetime) -> Verdict:
    if section.exit_code:
        return failed("there is no /dev/dri", Meaning.REPLACE)
    names = section.text.split()
    missing = [
        what
        for what, start in (("card", "card"), ("render node", "renderD"))
        if not any(name.startswith(start) for name in names)
    ]
    if missing:
        return failed(f"/dev/dri has no {' and no '.join(missing)}", Meaning.REPLACE)
    return passed(f"/dev/dri has {' '.join(sorted(names)[:8])}")


# --- the X server -------------------------------------------------------------------------------------

_START_S = 240.0  # a package and its lists, once


def x_server(display: str, *, workdir: str, size: str = "1280x720") -> Check:
    """A server that greets on the display; a socket alone may be a dead server's.

    Its fix starts Xorg with the NVIDIA driver, else Xvfb. A failure after that is the container's, and
    a reboot gives it another ``/tmp``.
    """
    variables = {"display": display, "workdir": workdir, "size": size}
    prelude = "".join(f"keeper_{name}={quote(value)}\n" for name, value in variables.items())
    return check(
        CheckName.X_SERVER,
        expected=f"an X server answers on {display}",
        look=probe("audition.x", "x", timeout_s=20.0, display=display),
        section="x",
        read=_read_x,
        fix=Command(
            name="audition.fix.x_server",
            script=prelude + payload("audition_x.sh").decode(),
            timeout_s=_START_S,
        ),
        after_fix=Meaning.REBOOT,
    )


def _read_x(section: Section, _now: datetime) -> Verdict:
    lock = section.value("lock")
    match section.value("answer"):
        case "welcome" | "locked":
            # A server in software is no failure: Vulkan may draw all the same, and is asked itself.
            log = section.value("log")
            return passed("the X server answers" + (f"; its log tells of {log}" if log else ""))
        case "no socket":
            return failed("no X server has a socket there", Meaning.FIX)
        case "refused":
            owner = "whose server is dead" if lock == "dead" else "that nobody listens on"
            return failed(f"there is a socket {owner}", Meaning.FIX)
        case "silent":
            return failed("the X server takes connections and does not answer", Meaning.FIX)
        case _ if lock == "alive":
            return untold("the X server's process is there; nothing on the host could ask it")
        case _ if lock is None:
            return untold("the host did not say")
        case _:
            return failed("there is a socket, and no process that owns it", Meaning.FIX)
