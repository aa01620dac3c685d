"""Reads what payload/sd_turbo_questions.sh brings of the server. Whoever wrote it may be lying or broken."""

from __future__ import annotations

import hashlib

import msgspec

from keeper.core.text import plain
from keeper.workloads.sd_turbo.settings import PROMPT_MAX

# JSON knows numbers of any length, and everything that shows them has its bounds.
_NUMBER_MAX = 1e6


class Health(msgspec.Struct, frozen=True):
    """What the server says of itself (payload/sd_turbo_state.py, ``brief``)."""

    phase: str
    prompt: str = ""
    declared: str = ""
    has_drawn: bool = False
    frames_per_s: float = 0.0
    generation_s: float = 0.0
    age_s: float | None = None
    queue_age_s: float = 0.0
    loading_s: float = 0.0
    errors_in_a_row: int = 0
    kind: str = ""
    error: str = ""
    request_errors: int = 0
    prompt_errors: int = 0
    stray_threads: int = 0
    note: str = ""


class Death(msgspec.Struct, frozen=True):
    """Why the server ended, by its own note or by the end of its log."""

    kind: str = "none"
    code: int = 0
    text: str = ""


class Facts(msgspec.Struct, frozen=True):
    """One answer: either its word, or how it failed to give one."""

    health: Health | None = None
    how: str = ""  # refused, silent, strange
    here: bool = True  # the server's file is on the host
    death: Death = Death()


_DECODER = msgspec.json.Decoder(Facts)


def read_facts(raw: bytes) -> Facts | None:
    """Decode the sentinel's fragment; None: it is not what it should be."""
    try:
        return _DECODER.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def numbers_of(health: Health) -> dict[str, float]:
    """Return what is measured: frames a second, and how old and how long things are in seconds."""
    numbers = {
        "generated_frames_per_s": health.frames_per_s,
        "generation_s": health.generation_s,
        "queue_age_s": health.queue_age_s,
    }
    if health.age_s is not None:
        numbers["frame_age_s"] = health.age_s
    return {name: min(max(0.0, number), _NUMBER_MAX) for name, number in numbers.items()}


# --- the prompt that outlives its host ------------------------------------------------------------------


class _Keepsake(msgspec.Struct, frozen=True):
    declared: str
    prompt: str


_KEEPSAKES = msgspec.json.Decoder(_Keepsake)


def mark_of(prompt: str) -> str:
    """Return the mark by which the server and keeper know the same declared prompt."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:16]


def keepsake_of(health: Health, declared: str) -> str:
    """Return what the next host must be told; "" while the server shows another declaration's."""
    prompt = plain(health.prompt, PROMPT_MAX).strip()
    if not prompt or health.declared != mark_of(declared):
        return ""
    kept = _Keepsake(declared=health.declared, prompt=prompt)
    return msgspec.json.encode(kept).decode()


def remembered(keepsake: str, declared: str) -> str:
    """Return the prompt to begin with: what was shown last, unless the operator now declares another."""
    try:
        kept = _KEEPSAKES.decode(keepsake)
    except (msgspec.MsgspecError, RecursionError):
        return declared
    prompt = plain(kept.prompt, PROMPT_MAX).strip()
    return prompt if prompt and kept.declared == mark_of(declared) else declared
