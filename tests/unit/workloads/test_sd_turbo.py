"""SD-Turbo: what its server says, read as symptoms; what its pins ask of a host; what is remembered."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from keeper.core.model import InstanceId, OfferNeeds, Reading, Remedy, Status, Subject
from keeper.core.reasons import Reason
from keeper.ports import Command, CommandResult, Job
from keeper.workloads import Workload, registered
from keeper.workloads.audition import CheckName
from keeper.workloads.sd_turbo.facts import mark_of
from keeper.workloads.sd_turbo.pins import PRESETS, PinsName

AT = datetime(2026, 11, 1, tzinfo=UTC)
INSTANCE = InstanceId(7)
WELL: dict[str, Any] = {
    "keeper": "sd-turbo", "phase": "generating", "prompt": "cat", "declared": mark_of("cat"),
    "has_drawn": True, "frames_per_s": 30.0, "generation_s": 0.021, "age_s": 0, "queue_age_s": 0,
    "loading_s": 0, "errors_in_a_row": 0, "kind": "", "error": "", "request_errors": 0,
    "prompt_errors": 0, "stray_threads": 0, "note": "",
}  # fmt: skip
EARLY = {"has_drawn": False, "frames_per_s": 0.0, "age_s": None, "phase": "loading"}


def build(secrets: dict[str, str] | None = None, /, **settings: object) -> Workload:
    plugin = registered()["sd-turbo"]
    section = plugin.settings.model_validate({"kind": "sd-turbo", **settings})
    return plugin.build(section, secrets or {})


def line(workload: object, *, state: str = "up", why: str = "") -> str:
    process = {"state": state, "pid": 9, "start": "1", "restarts": 0, "why": why}
    facts: dict[str, Any] = {"process": process}
    if workload is not None:
        facts["workload"] = workload
    return json.dumps({"seq": 1, "facts": facts})


def said(text: str, workload: Workload | None = None) -> Reading | None:
    readings = (workload or build()).interpret(text, INSTANCE, AT)
    found = [each for each in readings if each.subject is Subject.WORKLOAD]
    assert len(found) <= 1
    return found[0] if found else None


def health(**changes: object) -> dict[str, Any]:
    return {"health": {**WELL, **changes}}


def test_a_server_that_draws_is_well_and_is_measured() -> None:
    reading = said(line(health(queue_age_s=5)))
    assert reading is not None
    assert (reading.status, reading.reason, reading.symptom) == (
        Status.TRUE, Reason.WORKLOAD_WELL, None,
    )  # fmt: skip
    assert reading.numbers == {
        "generated_frames_per_s": 30.0, "generation_s": 0.021, "queue_age_s": 5, "frame_age_s": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "code", "remedy"),
    [
        (health(**EARLY, loading_s=595), "loading", Remedy.NOTHING),
        (health(**EARLY, loading_s=600), "load_stuck", Remedy.RESTART_PROCESS),
        (
            health(**{**EARLY, "phase": "waiting"}, errors_in_a_row=1, kind="download"),
            "model_unavailable",
            Remedy.PERSON,
        ),
        (
            health(**{**EARLY, "phase": "waiting"}, errors_in_a_row=1, kind="refused"),
            "model_refused",
            Remedy.PERSON,
        ),
        (health(stray_threads=64), "threads_leak", Remedy.RESTART_PROCESS),
        (health(frames_per_s=14.9), "slow", Remedy.PERSON),
        (health(age_s=30), "generator_stuck", Remedy.RESTART_PROCESS),
        (health(errors_in_a_row=3, kind="black"), "generator_fails", Remedy.RESTART_PROCESS),
        ({"how": "refused"}, "not_listening", Remedy.RESTART_PROCESS),
        ({"how": "strange"}, "port_of_another", Remedy.RESTART_PROCESS),
        ({"how": "silent"}, "server_silent", Remedy.RESTART_PROCESS),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_symptom_has_its_remedy(facts: object, code: str, remedy: Remedy) -> None:
    reading = said(line(facts))
    assert reading is not None
    assert reading.symptom is not None
    assert (reading.symptom.code, reading.symptom.remedy) == (code, remedy)
    assert reading.detail == reading.symptom.sentence


@pytest.mark.parametrize(
    "facts",
    [
        health(errors_in_a_row=2, kind="out_of_memory"),  # it has just tried again
        health(age_s=29),
        health(frames_per_s=15.0),
        health(request_errors=4),
        health(stray_threads=56),
    ],
    ids=["two errors", "a late picture", "half the rate", "a few crashes", "a few threads"],
)
def test_what_may_be_over_in_a_moment_is_no_symptom(facts: object) -> None:
    reading = said(line(facts))
    assert reading is not None
    assert reading.symptom is None


def test_what_keeps_a_process_from_living_is_named_before_that_it_is_gone() -> None:
    for kind, code in (
        ("numpy", "numpy_mismatch"), ("port_in_use", "port_in_use"), ("none", "vanished"),
        ("files", "files_missing"), ("other", "generator_fails"),
    ):  # fmt: skip
        reading = said(line({"how": "gone", "here": True, "death": {"kind": kind}}, state="gone"))
        assert reading is not None
        assert reading.symptom is not None
        assert reading.symptom.code == code


def test_a_word_from_before_the_end_is_not_taken_for_one_of_now() -> None:
    assert said(line(health(), state="gone")) is None
    assert said(line(None, state="gone")) is None


def test_a_host_on_which_it_was_never_started_is_not_sick() -> None:
    """A spare that is prepared, or a host before its deploy."""
    facts = {"how": "gone", "here": True, "death": {"kind": "none"}}
    reading = said(line(facts, state="gone", why="never started here"))
    assert reading is not None
    assert (reading.status, reading.symptom) == (Status.UNKNOWN, None)


def test_a_prompts_author_and_a_liar_can_say_what_they_like() -> None:
    hostiles: tuple[object, ...] = (
        {"health": {"phase": 7}}, {"health": {}}, [], 3, {"health": None, "how": 5}, "\x1b[31m",
    )  # fmt: skip
    for hostile in hostiles:
        reading = said(line(hostile))
        assert reading is not None
        assert (reading.status, reading.keepsake) == (Status.UNKNOWN, "")
    reading = said(line(health(prompt="\x1b[31mred\u202e", error="\x00" * 500, frames_per_s=1e300)))
    assert reading is not None
    assert "\x1b" not in reading.detail + reading.keepsake
    assert reading.numbers["generated_frames_per_s"] <= 1e6


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=20),
                    lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["health", "how", "death", "phase", "age_s"]), inner)))  # fmt: skip
def test_no_answer_is_an_exception(facts: object) -> None:
    said(line(facts))
    said(line(facts, state="gone"))


# --- the prompt -----------------------------------------------------------------------------------------


def env_of(workload: Workload) -> dict[str, str]:
    (start,) = (step for step in workload.deploy() if getattr(step, "name", "") == "deploy.start")
    assert isinstance(start, Command)
    return dict(start.env)


def test_a_viewers_prompt_goes_to_the_next_host_until_the_operators_changes() -> None:
    reading = said(line(health(prompt="a dög")))
    assert reading is not None
    told = build().remembering(reading.keepsake)
    assert env_of(told)["INITIAL_PROMPT"] == "a dög"
    assert env_of(told)["DECLARED_PROMPT"] == "cat"
    assert env_of(build(prompt="a lighthouse").remembering(reading.keepsake))["INITIAL_PROMPT"] == (
        "a lighthouse"
    )


@pytest.mark.parametrize(
    "keepsake", ["", "{", "[]", '{"prompt": 5}', '{"declared": "x", "prompt": "y"}']
)
def test_what_is_no_keepsake_of_ours_is_nothing(keepsake: str) -> None:
    workload = build()
    assert workload.remembering(keepsake) == workload


def test_a_server_that_was_told_another_prompt_leaves_no_keepsake() -> None:
    reading = said(line(health(declared=mark_of("an older one"))))
    assert reading is not None
    assert reading.keepsake == ""


# --- what it asks of a host -----------------------------------------------------------------------------


def test_old_pins_take_no_new_gpu_and_new_ones_no_old_driver() -> None:
    wanted = OfferNeeds(gpu_names_excluded=("RTX 3060",), cuda_min=12.0)
    old = build(pins="seed-2023").needs(wanted)
    assert {"RTX 3060", "RTX 5090", "RTX PRO 6000 WS", "B200"} <= set(old.gpu_names_excluded)
    assert "RTX 4090" not in old.gpu_names_excluded
    new = build().needs(wanted)
    assert (new.gpu_names_excluded, new.cuda_min) == (("RTX 3060",), 13.0)
    assert build(pins="cuda-12").needs(wanted).cuda_min == 12.8
    card = build(generator="test-card").needs(wanted)
    assert (card.gpu_names_excluded, card.cuda_min) == (("RTX 3060",), 12.0)


def test_the_largest_comes_first_so_that_a_cut_costs_least() -> None:
    for pins in PRESETS.values():
        assert pins.requirements[0].startswith("torch==")
        assert all("==" in each for each in pins.requirements)


@pytest.mark.parametrize(
    "wrong",
    [
        {"pins": "custom"},
        {"requirements": ["torch"]},
        {"pins": "newest"},
        # It would stand in pip's command line, for everybody on the host.
        {"pip_args": ["--index-url", "https://me:hunter2@index.example/simple"]},
        {"pip_args": ["--extra-index-url=https://token@index.example/simple"]},
        {"pins": "custom", "requirements": ["torch @ https://me:pw@files.example/torch.whl"]},
    ],
)
def test_pins_of_ones_own_are_said_to_be_that(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        build(**wrong)


def test_an_index_without_a_password_and_a_login_by_key_are_taken() -> None:
    build(pip_args=["--index-url", "https://index.example/simple/@scope"])
    build(pins="custom", requirements=["torch @ git+ssh://git@files.example/torch.git"])


def test_other_pins_are_another_set_up_and_the_same_are_not() -> None:
    def mark(workload: Workload) -> str:
        (job,) = (step for step in workload.deploy() if isinstance(step, Job))
        return job.mark

    assert mark(build()) == mark(build(prompt="dog"))
    marks = {mark(build(pins=name)) for name in PinsName if name is not PinsName.CUSTOM}
    assert len(marks) == 3
    assert mark(build(model="another/model")) not in marks


def test_a_host_shows_its_gpu_before_it_gets_gigabytes() -> None:
    names = {check.name for check in build().audition()}
    assert {CheckName.GPU, CheckName.DISK} <= names
    assert CheckName.VULKAN not in names
    assert build(generator="test-card").audition() == ()


def test_a_host_shows_that_it_can_carry_a_viewer_where_a_test_address_is_declared() -> None:
    address = {"upload_test_url": "https://up.example.com/"}
    (upload,) = (
        check for check in build(audition=address).audition() if check.name is CheckName.UPLOAD
    )
    # 30 pictures of 40 kB a second, twice.
    assert upload.expected == "19.2 Mbit/s upwards for 8 s, 2 times the stream's"
    assert CheckName.UPLOAD not in {check.name for check in build().audition()}


def test_a_published_port_is_dialled_before_the_host_gets_gigabytes() -> None:
    names = [check.name for check in build(bind="0.0.0.0").audition()]
    assert names.count(CheckName.PORT) == 1
    assert CheckName.PORT not in {check.name for check in build().audition()}


def test_nobody_reaches_the_server_from_outside_unless_told() -> None:
    assert build().rental().ports == ()
    assert len(build(bind="0.0.0.0").rental().ports) == 1
    assert env_of(build())["BIND"] == "127.0.0.1"


def test_secrets_are_in_no_script() -> None:
    workload = build({"HF_TOKEN": "hf_secret"})
    for step in (*workload.deploy(), *workload.restart_process(), *workload.restart_workload()):
        assert "hf_secret" not in getattr(step, "script", "")
        assert b"hf_secret" not in getattr(step, "content", b"")
    assert env_of(workload)["HF_TOKEN"] == "hf_secret"


# --- the report -----------------------------------------------------------------------------------------


def test_the_report_is_read_and_what_cannot_be_read_is_said() -> None:
    full = {
        "phase": "generating", "backend": "diffusers", "model": "m", "prompt": "cat", "frames": 9,
        "frames_per_s": 30.0, "generation_s": 0.02, "last_frame_age_s": 0.1, "errors": 2,
        "last_error": {"kind": "other", "text": "\x1b[1mbad", "age_s": 40.0}, "viewers": 1, "threads": 4,
    }  # fmt: skip
    gpu = "NVIDIA GeForce RTX 4090, 99 %, 3000 MiB, 24564 MiB, 58"
    text = f"{json.dumps(full)} code=0\n== gpu\n{gpu}\n== log\na\n\x1b[2Jb\n"
    lines = {each.title: each for each in build().read_report(_result(text))}
    assert lines["Generator"].text == "30.0 pictures/s, 20 ms each, 9 so far, the last 0.1 s ago"
    assert lines["Errors"].status is Status.TRUE
    assert "\x1b" not in lines["Errors"].text
    assert lines["GPU"].text == "NVIDIA GeForce RTX 4090, 99 % busy, 3000 MiB of 24564 MiB, 58 C"
    assert lines["Server"].text == "generating, diffusers m, up 0 s"
    assert lines["Recent logs"].text == "a\n\\x1b[2Jb"
    assert lines["Recent logs"].status is Status.TRUE
    for broken in ("", "code=7", "{} code=", '{"phase": 1} code=0', "\x00" * 50):
        assert build().read_report(_result(broken))[0].status is Status.FALSE


def _result(text: str) -> CommandResult:
    return CommandResult(exit_code=0, stdout=text, stderr="")
