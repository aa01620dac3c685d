"""Names what is wrong with an SD-Turbo server: the failure catalogue as a table, the gravest first.

Here is no clock and no memory. The server has its own recovery (it tries again, waits for a model that
cannot be had at once, ends when it is hopeless), and what is still wrong then has a row. What a row
cannot tell is not known, which is not a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from keeper.core.model import Remedy, Rung, Symptom
from keeper.core.text import plain
from keeper.workloads.sd_turbo.facts import Facts, Health
from keeper.workloads.sd_turbo.settings import SdTurboSettings

SENTENCE_MAX = 200
# The server tries again by itself; so many misses, and its own recovery has not helped.
_ERRORS_MIN = 3
_REQUEST_ERRORS_MIN = 5  # within its last five minutes
_STRAY_THREADS_MIN = 64
# What is not the host's fault is told to a person only when it lasts.
_PATIENCE_S = 120.0
# A program that holds the server's port may be its own predecessor, which is about to end.
_ANSWER_S = 20.0
_QUIET_S = 600.0  # a leak of threads is cured in a quiet moment, if one comes


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One look, what the process manager says beside it, and what the operator has declared."""

    facts: Facts
    is_up: bool
    is_suspended: bool
    settings: SdTurboSettings

    @property
    def health(self) -> Health | None:
        """Return the server's word, unless the process is gone by now."""
        return self.facts.health if self.is_up else None

    @property
    def kind(self) -> str:
        """Return the kind of what stops the pictures, now or at the process's end; "": nothing known."""
        health = self.facts.health
        if not self.is_up:
            return "" if health is not None else self.facts.death.kind
        if health is None:
            return ""
        is_loading = health.phase in {"loading", "waiting"}
        return health.kind if is_loading or health.errors_in_a_row >= _ERRORS_MIN else ""

    @property
    def said(self) -> str:
        """Return the error's own words."""
        health = self.facts.health
        return self.facts.death.text if health is None else health.error


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: how it is seen (None: it is not), and what helps."""

    code: str
    catalogue: str  # the row of the failure catalogue
    seen: Callable[[Case], str | None]
    remedy: Remedy
    wait_s: float = 0.0
    dearest: Rung = Rung.REPLACE
    is_partial: bool = False  # pictures are drawn all the same


def diagnose(case: Case) -> Symptom | None:
    """Return the gravest thing that is wrong; None: it is well, as far as it knows."""
    for row in ROWS:
        said = row.seen(case)
        if said is not None:
            return Symptom(
                code=row.code,
                sentence=plain(said, SENTENCE_MAX),
                remedy=row.remedy,
                wait_s=case.settings.slow_s if row.code == "slow" else row.wait_s,
                dearest=row.dearest,
                is_partial=row.is_partial,
            )
    return None


def _of_kind(kind: str, sentence: str) -> Callable[[Case], str | None]:
    def seen(case: Case) -> str | None:
        if case.kind != kind:
            return None
        return f"{sentence}: {case.said}" if case.said else sentence

    return seen


def _is_missing(case: Case) -> str | None:
    if case.is_up or case.facts.here:
        return None
    return "neither the server nor its files are on the host"


def _has_vanished(case: Case) -> str | None:
    if case.is_up or case.facts.health is not None:
        return None
    return "the server's process is gone and has left no word"


def _is_silent(case: Case) -> str | None:
    if case.is_suspended:
        return "the server is suspended by a signal"
    if case.is_up and case.facts.how == "silent":
        return "the server takes connections and does not answer"
    return None


def _does_not_listen(case: Case) -> str | None:
    if case.is_up and case.facts.how == "refused":
        return "the server runs, and nothing listens on its port"
    return None


def _is_somebody_else(case: Case) -> str | None:
    if case.is_up and case.facts.how == "strange":
        return "what answers on the server's port is not the server"
    return None


def _generator_fails(case: Case) -> str | None:
    if not case.kind or case.kind == "none":
        return None
    return f"pictures cannot be drawn ({case.kind}): {case.said}"


def _generator_hangs(case: Case) -> str | None:
    health = case.health
    if health is None or health.age_s is None or health.age_s < case.settings.stuck_s:
        return None
    return f"no new picture for {health.age_s:.0f} s, and no error"


def _loads_for_ever(case: Case) -> str | None:
    health = case.health
    if health is None or health.has_drawn or health.loading_s < case.settings.load_max_s:
        return None
    return f"no first picture after {health.loading_s:.0f} s ({health.phase})"


def _is_loading(case: Case) -> str | None:
    health = case.health
    if health is None or health.has_drawn:
        return None
    return f"the model is being loaded, for {health.loading_s:.0f} s so far ({health.phase})"


def _prompts_fail(case: Case) -> str | None:
    health = case.health
    if health is None or not health.prompt_errors:
        return None
    return f"{health.prompt_errors} prompts could not be taken; the log says why"


def _requests_fail(case: Case) -> str | None:
    health = case.health
    if health is None or health.request_errors < _REQUEST_ERRORS_MIN:
        return None
    return f"{health.request_errors} requests have crashed in the server within minutes"


def _leaks_threads(case: Case) -> str | None:
    health = case.health
    if health is None or health.stray_threads < _STRAY_THREADS_MIN:
        return None
    return f"about {health.stray_threads} threads belong to no viewer"


def _is_slow(case: Case) -> str | None:
    health, wanted = case.health, case.settings.target_frames_per_s
    if health is None or not 0 < health.frames_per_s < wanted * case.settings.slow_ratio:
        return None
    why = health.note or "is the GPU shared or throttled?"
    return f"{health.frames_per_s:g} of {wanted:g} pictures a second; {why}"


_P, _W = Remedy.RESTART_PROCESS, Remedy.RESTART_WORKLOAD
# The versions are declared: another host would get the same.
_SET_UP = Rung.RESTART_WORKLOAD

ROWS: tuple[Row, ...] = (
    Row(code="files_missing", catalogue="B15", seen=_is_missing, remedy=_W),
    Row(
        code="no_kernel", catalogue="B3", remedy=Remedy.REPLACE,
        seen=_of_kind("no_kernel", "this torch has no kernels for this GPU"),
    ),
    Row(
        code="driver_too_old", catalogue="B3", remedy=Remedy.REPLACE,
        seen=_of_kind("driver", "the host's driver is too old for this torch"),
    ),
    Row(
        code="gpu_lost", catalogue="H7", remedy=Remedy.REBOOT,
        seen=_of_kind("gpu_lost", "the GPU does not compute"),
    ),
    Row(
        code="numpy_mismatch", catalogue="B4", remedy=_W, dearest=_SET_UP,
        seen=_of_kind("numpy", "NumPy and torch do not go together"),
    ),
    Row(
        code="imports_fail", catalogue="B5", remedy=_W, dearest=_SET_UP,
        seen=_of_kind("imports", "a library cannot be loaded"),
    ),
    Row(
        code="files_missing", catalogue="B6", remedy=_W,
        seen=_of_kind("files", "the interpreter or the server's file is missing"),
    ),
    Row(
        code="disk_full", catalogue="H10", remedy=_P,
        seen=_of_kind("disk_full", "the disk is full"),
    ),
    Row(
        code="port_in_use", catalogue="B6", remedy=_P,
        seen=_of_kind("port_in_use", "another process holds the server's port"),
    ),
    Row(
        code="model_refused", catalogue="B8", remedy=Remedy.PERSON,
        seen=_of_kind("refused", "the model hub refuses the model (its name, or a token)"),
    ),
    Row(
        code="model_unavailable", catalogue="B8", remedy=Remedy.PERSON, wait_s=_PATIENCE_S,
        seen=_of_kind("download", "the model cannot be had; the server tries again by itself"),
    ),
    Row(
        code="gpu_memory_full", catalogue="B2", remedy=_P,
        seen=_of_kind("out_of_memory", "the GPU's memory is full"),
    ),
    Row(code="generator_fails", catalogue="B1", seen=_generator_fails, remedy=_P),
    Row(code="vanished", catalogue="B15", seen=_has_vanished, remedy=_P),
    Row(code="server_silent", catalogue="B11", seen=_is_silent, remedy=_P),
    Row(
        code="not_listening", catalogue="B6", seen=_does_not_listen, remedy=_P, wait_s=_ANSWER_S
    ),
    Row(
        code="port_of_another", catalogue="B6", seen=_is_somebody_else, remedy=_P, wait_s=_ANSWER_S
    ),
    Row(code="load_stuck", catalogue="B7", seen=_loads_for_ever, remedy=_P),
    Row(code="loading", catalogue="B7", seen=_is_loading, remedy=Remedy.NOTHING),
    Row(code="generator_stuck", catalogue="B1", seen=_generator_hangs, remedy=_P),
    Row(
        code="requests_fail", catalogue="B9", seen=_requests_fail, remedy=_P,
        dearest=Rung.RESTART_PROCESS, is_partial=True,
    ),
    Row(
        code="prompts_fail", catalogue="B10", seen=_prompts_fail, remedy=Remedy.PERSON,
        is_partial=True,
    ),
    Row(
        code="threads_leak", catalogue="B12", seen=_leaks_threads, remedy=_P, wait_s=_QUIET_S,
        dearest=Rung.RESTART_PROCESS, is_partial=True,
    ),
    Row(
        code="slow", catalogue="B16", seen=_is_slow, remedy=Remedy.PERSON, is_partial=True,
    ),
)  # fmt: skip
