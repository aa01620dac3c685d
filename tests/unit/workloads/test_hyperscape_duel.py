"""What the duel's answers mean, without a host: every row of its catalogue, every garbage it survives."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from keeper.core.model import InstanceId, OfferNeeds, Reading, Remedy, Rung, Status, Subject
from keeper.core.reasons import Reason
from keeper.ports import Command, CommandResult, Job, Upload
from keeper.workloads import ViewKind, Workload, registered
from keeper.workloads.audition_checks import CONFIGURATIONS
from keeper.workloads.hyperscape_duel import browser, scripts
from keeper.workloads.hyperscape_duel.facts import Facts
from keeper.workloads.hyperscape_duel.settings import SEED_ENV, HyperscapeDuelSettings
from keeper.workloads.hyperscape_duel.symptoms import ROWS
from tests.duel import FAULTS

AT = datetime(2026, 11, 1, tzinfo=UTC)
INSTANCE = InstanceId(7)
SECRETS = {"ADMIN_CODE": "c0de", "TWITCH_STREAM_KEY": "it's `live` $KEY"}

WELL: dict[str, Any] = {
    "process": "up",
    "is_young": False,
    "rotating": False,
    "server": {"code": 200, "silent_s": 0},
    "commit": "8591248d0000",
    "state": {"code": 200, "phase": "FIGHTING", "idle_s": 0, "late_s": 0, "still_s": 0, "still_fights": 0},
    "bridge": {
        "seen": "ok", "alive": True, "is_young": False, "flat_s": 0, "ffmpeg": True, "outputs": 2,
        "down": [], "down_s": 0, "degraded": "", "degraded_s": 0, "still_picture_s": None, "is_old": False,
    },
    "hls": {"seen": True, "flat_s": 0},
    "has_display": True,
    "has_sound": True,
    "has_old_environment": False,
    "memory_mb": 0,
    "log": {},
}  # fmt: skip


def declared(**settings: Any) -> HyperscapeDuelSettings:
    return HyperscapeDuelSettings.model_validate({"kind": "hyperscape-duel", **settings})


def duel(secrets: dict[str, str] | None = None, **settings: Any) -> Workload:
    build = registered()["hyperscape-duel"].build
    return build(declared(**settings), SECRETS if secrets is None else secrets)


def facts(**changes: Any) -> dict[str, Any]:
    """What a good look brings, with some of it changed; ``log`` is lines by name."""
    whole: dict[str, Any] = json.loads(json.dumps(WELL))
    for part, value in changes.items():
        if part == "log":
            whole["log"] = {
                name: {"n": 5, "for_s": 600, "text": text, **more} for name, text, more in value
            }
        elif isinstance(value, dict) and isinstance(whole.get(part), dict):
            whole[part].update(value)
        else:
            whole[part] = value
    return whole


def said(name: str, text: str = "a line", **more: Any) -> tuple[str, str, dict[str, Any]]:
    return name, text, more


def judge(whole: Any, workload: Workload | None = None) -> Reading:
    line = json.dumps({"seq": 1, "facts": {"workload": whole}})
    (reading,) = (workload or duel()).interpret(line, INSTANCE, AT)
    assert reading.subject is Subject.WORKLOAD
    return reading


P, W, H, N = Remedy.RESTART_PROCESS, Remedy.RESTART_WORKLOAD, Remedy.PERSON, Remedy.NOTHING
DOWN = {"server": {"code": 0, "silent_s": 0}, "state": {"code": 0, "phase": ""}}
SILENT = {"server": {"code": 0, "silent_s": 90}, "state": {"code": 0, "phase": ""}}

TABLE: tuple[tuple[str, dict[str, Any], str, Remedy], ...] = (
    ("a bridge that loads its page", {"bridge": {"is_young": True, "flat_s": 90}, "hls": {"flat_s": 90}},
     "bridge_starting", N),
    ("and one whose host had no playlist before", {"bridge": {"is_young": True}, "hls": {"seen": False}},
     "bridge_starting", N),
    ("A1: the log says so while nothing answers", {**DOWN, "log": [said("db", n=1)]}, "database", W),
    ("A1: the log says so again and again", {"log": [said("db")]}, "database", W),
    ("A1: the server says so", {"server": {"db": False}}, "database", W),
    ("A2: code that does not load", {**DOWN, "log": [said("bad_build")]}, "bad_build", W),
    ("A3: the port is taken", {**DOWN, "log": [said("port_held", n=1)]}, "port_held", W),
    ("A3: an orphan answers", {"log": [said("port_held", n=2)]}, "port_held", W),
    ("A3: another stack", {**DOWN, "log": [said("other_stack")]}, "port_held", W),
    ("A4: nobody fights", {"state": {"phase": "IDLE", "idle_s": 700}}, "no_fighters", W),
    ("A4: the page has nobody to show", {"bridge": {"degraded": "agents_missing", "degraded_s": 700}}, "no_fighters", W),
    ("A5: a phase without end", {"state": {"late_s": 70}}, "phase_stuck", P),
    ("A5: a blocked event loop", SILENT, "server_silent", P),
    ("A6: no blow in this fight", {"state": {"still_s": 70}}, "agents_stand_still", P),
    ("A6: no blow in the last one", {"state": {"phase": "ANNOUNCEMENT", "still_fights": 1}}, "agents_stand_still", P),
    ("A7: switched off", {"state": {"code": 503, "phase": "", "error": "not_active"}}, "not_active", H),
    ("A8: right after a start", {"state": {"code": 503, "phase": "", "error": "warmup"}}, "starting", N),
    ("A8: still building", {**SILENT, "is_young": True}, "starting", N),
    ("A12: memory", {"memory_mb": 3800}, "memory_near_limit", N),
    ("A20: the page does not load", {"log": [said("page_timeout")]}, "page_timeout", W),
    ("A21: no canvas", {"log": [said("no_canvas")]}, "no_canvas", W),
    ("A21: because there is no WebGPU", {"log": [said("no_canvas"), said("webgpu")]}, "webgpu_missing", Remedy.REBOOT),
    ("H1: the page says so", {"bridge": {"degraded": "error:webgpu_required"}}, "webgpu_missing", Remedy.REBOOT),
    ("A23: no bytes from the browser", {"bridge": {"flat_s": 90}}, "capture_stalled", P),
    ("A23: stalls again and again", {"log": [said("stalled")]}, "capture_stalled", P),
    ("A23: flips", {"log": [said("flipped")]}, "capture_stalled", P),
    ("A24: renderer silent", {"bridge": {"degraded": "renderer_health_stale", "degraded_s": 70}}, "scene_frozen", P),
    ("A24: no visual change", {"bridge": {"still_picture_s": 70}}, "scene_frozen", P),
    ("A25: black", {"bridge": {"degraded": "canvas_missing", "degraded_s": 0}}, "black", P),
    ("A26: loading screen", {"bridge": {"degraded": "loading_overlay_active", "degraded_s": 190}}, "loading_screen", P),
    ("A27: given up", {"log": [said("gave_up")]}, "ffmpeg_gave_up", P),
    ("A27: the bridge alone", {"bridge": {"ffmpeg": False}}, "ffmpeg_gave_up", P),
    ("A27: a bad key", {"bridge": {"ffmpeg": False}, "log": [said("refused"), said("gave_up")]}, "platform_refuses", H),
    ("A35: a bad key, and no word of the bridge",
     {"bridge": {"seen": "absent", "ffmpeg": None}, "log": [said("refused"), said("gave_up")]}, "platform_refuses", H),
    ("A27: crashes in itself", {"log": [said("segfault")]}, "ffmpeg_segfault", W),
    ("A27: no keys", {"log": [said("no_outputs")]}, "no_outputs", H),
    ("A28: one platform", {"bridge": {"down": ["kick"]}}, "platform_down", H),
    ("A28: by the log alone", {"log": [said("slave_failed")]}, "platform_down", H),
    ("A29: all platforms", {"bridge": {"down": ["a", "b"]}}, "all_platforms_down", P),
    ("A31: filler", {"log": [said("placeholder", for_s=70)]}, "placeholder_shown", P),
    ("A32: lives and says nothing", {"bridge": {"seen": "absent", "absent_s": 70}}, "bridge_hung", P),
    ("A32: is not there", {"bridge": {"seen": "absent", "absent_s": 70, "alive": False}}, "bridge_hung", P),
    ("A33: nothing comes out", {"hls": {"flat_s": 70}}, "output_flat", P),
    ("A34: old keys", {"has_old_environment": True}, "stale_environment", W),
    ("A36: rotation", {"rotating": True, "bridge": {"flat_s": 70}}, "rotation", N),
    ("A37: no sound", {"has_sound": False}, "sound_gone", P),
    ("A38: no browser", {"log": [said("chrome_missing")]}, "chrome_missing", W),
    ("A39: old", {"bridge": {"is_old": True}}, "stream_too_old", N),
    ("A40: too slow", {"log": [said("slow")]}, "encoder_slow", Remedy.REPLACE),
    ("H4: no display", {"has_display": False}, "display_dead", W),
    ("H5: software", {"log": [said("software")]}, "software_rendering", Remedy.REPLACE),
    ("H6: no runtime folder", {"log": [said("vulkan_dir")]}, "vulkan_dir", W),
    ("H8: encoder", {"log": [said("encoder")]}, "encoder_lost", W),
    ("H9: GPU memory", {"log": [said("gpu_memory")]}, "gpu_memory", P),
    ("H10: disk", {"log": [said("no_space")]}, "no_space", W),
    ("H15: after a reboot", {**DOWN, "process": "manager_down"}, "nothing_runs", W),
    ("H15: not known to PM2", {**DOWN, "process": "gone"}, "nothing_runs", W),
    ("H16: names", {"log": [said("dns")]}, "dns", H),
    ("H19: clock", {"log": [said("clock")]}, "clock", H),
    ("in maintenance", {"server": {"maintenance": True}}, "in_maintenance", H),
    ("in keeper's maintenance", {"server": {"maintenance": True, "by_keeper": True}}, "in_maintenance", P),
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "code", "remedy"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_symptom_is_named_and_given_its_remedy(
    changes: dict[str, Any], code: str, remedy: Remedy
) -> None:
    reading = judge(facts(**changes))
    assert reading.symptom is not None
    assert (reading.symptom.code, reading.symptom.remedy) == (code, remedy)
    assert (reading.status, reading.reason) == (Status.FALSE, Reason.SYMPTOM)
    assert 0 < len(reading.symptom.sentence) <= 200


GOOD: tuple[tuple[str, dict[str, Any]], ...] = (
    ("all is well", {}),
    ("A22: one stall that was recovered", {"log": [said("stalled", n=1, for_s=0)]}),
    ("a form that tells neither ffmpeg nor bytes", {"bridge": {"ffmpeg": None, "flat_s": None}}),
    ("bytes fell, as after a restart", {"bridge": {"flat_s": 0}}),
    ("an announcement: nobody fights yet", {"state": {"phase": "ANNOUNCEMENT"}}),
    ("idle between two duels", {"state": {"phase": "IDLE", "idle_s": 100}}),
    ("a bridge that has just been begun again and streams", {"bridge": {"is_young": True, "flat_s": 90}}),
    ("no playlist declared", {"hls": None}),
    ("no X and no sound asked for", {"has_display": None, "has_sound": None}),
    ("the port was taken once, long ago", {"log": [said("port_held", n=1)]}),
)  # fmt: skip


@pytest.mark.parametrize("changes", [row[1] for row in GOOD], ids=[row[0] for row in GOOD])
def test_what_is_ordinary_is_well(changes: dict[str, Any]) -> None:
    reading = judge(facts(**changes))
    assert (reading.status, reading.reason) == (Status.TRUE, Reason.WORKLOAD_WELL)
    assert reading.symptom is None


@pytest.mark.parametrize(
    "whole",
    [None, [], 7, "x", {"server": 3}, {"log": {"db": 1}}, {"bridge": {"down": "all"}}, {},
     {"process": "up"}, {"process": "starting"}],
    ids=repr,
)  # fmt: skip
def test_what_cannot_be_told_is_unknown(whole: object) -> None:
    reading = judge(whole)
    assert reading.status is Status.UNKNOWN
    assert reading.symptom is None


def test_a_host_that_never_had_the_duel_is_not_unwell() -> None:
    """A person was told that the workload is bad before anything was deployed."""
    bare = {**DOWN, "process": "manager_down", "has_display": False, "has_sound": False}
    reading = judge(facts(**bare, is_deployed=False))
    assert (reading.status, reading.symptom) == (Status.UNKNOWN, None)
    assert reading.detail == "nothing is deployed here yet"
    assert judge(facts(**bare, is_deployed=True)).status is Status.FALSE


def test_code_that_did_not_load_once_may_have_been_cut_off() -> None:
    assert judge(facts(**DOWN, log=[said("bad_build", n=2)])).symptom is None


def test_silence_of_the_server_alone_is_neither_good_nor_bad() -> None:
    assert judge(facts(**DOWN)).status is Status.UNKNOWN


def test_a_line_without_a_look_says_nothing_of_the_duel() -> None:
    assert duel().interpret('{"hb":3}', INSTANCE, AT) == ()
    (reading,) = duel().interpret("garbage", INSTANCE, AT)
    assert reading.subject is Subject.PROCESS


def test_what_a_host_says_is_made_plain_and_cut() -> None:
    text = "\x1b[31m" + "<b>\u202e" * 200
    reading = judge(facts(log=[said("bad_build", text)], **DOWN))
    assert reading.symptom is not None
    assert len(reading.symptom.sentence) <= 200
    assert "\x1b" not in reading.symptom.sentence
    assert "\u202e" not in reading.symptom.sentence


def test_gravest_comes_first() -> None:
    both = facts(has_sound=False, bridge={"down": ["a"]}, log=[said("webgpu")])
    assert judge(both).symptom.code == "webgpu_missing"  # type: ignore[union-attr]


def test_a_fight_that_stands_still_is_let_end_first() -> None:
    in_fight = judge(facts(state={"still_s": 70})).symptom
    after = judge(facts(state={"phase": "RESOLUTION", "still_fights": 1})).symptom
    assert in_fight is not None
    assert after is not None
    assert in_fight.wait_s == 160.0
    assert after.wait_s == 0.0


def test_idle_is_ended_before_the_platforms_end_it() -> None:
    """Platforms are said to drop what has been idle for 30 minutes; a filler keeps them."""
    idle = facts(state={"phase": "IDLE", "idle_s": 1560})
    without = duel(env={"STREAM_PLACEHOLDER_ENABLED": "false"})
    assert judge(idle, without).symptom.code == "idle_disconnect"  # type: ignore[union-attr]
    assert judge(idle).symptom.code == "no_fighters"  # type: ignore[union-attr]
    dropped = facts(state={"phase": "IDLE", "idle_s": 1560}, bridge={"down": ["twitch"]})
    assert judge(dropped).symptom.code == "idle_disconnect"  # type: ignore[union-attr]
    for symptom in ("idle_disconnect", "no_fighters"):
        (secrets, *_) = without.restart_workload(symptom)
        assert isinstance(secrets, Upload)
        assert b"STREAM_PLACEHOLDER_ENABLED=true\n" in secrets.content


@pytest.mark.parametrize(
    ("wanted", "has", "is_other"),
    [("8591248d", "8591248d0000", False), ("8591248d", "712516c9", True), ("", "712516c9", False),
     ("8591248d", "", False), ("8591248d", "unknown", False)],
)  # fmt: skip
def test_another_commit_is_told_only_where_one_is_declared(
    wanted: str, has: str, is_other: bool
) -> None:
    symptom = judge(facts(commit=has), duel(commit=wanted)).symptom
    assert (symptom is not None) == is_other
    if symptom is not None:
        assert symptom.code == "other_commit"


# --- the catalogue is whole ---------------------------------------------------------------------------

# Of workloads.md, section 8.2 and 8.3; what is no symptom says where it is looked after.
ELSEWHERE = {
    "A10": "deploy_timeout_s: the job has a deadline and nothing of it holds the channel",
    "A11": "the deploy's step and its exit code",
    "A22": "a stall that was recovered is no symptom",
}


def test_every_row_of_the_catalogue_has_a_symptom_or_a_reason() -> None:
    named = {row for rule in ROWS for row in rule.rows} | set(ELSEWHERE)
    assert [f"A{n}" for n in (*range(1, 13), *range(20, 41)) if f"A{n}" not in named] == []


def test_codes_are_few_and_none_is_used_twice() -> None:
    codes = [row.code for row in ROWS]
    assert len(codes) == len(set(codes)) < 60
    assert all(code.isidentifier() and len(code) <= 30 for code in codes)


def test_every_symptom_is_made_on_a_real_host_or_in_this_table() -> None:
    shown = {fault.symptom for fault in FAULTS} | {row[2] for row in TABLE}
    assert {row.code for row in ROWS} - shown == {"other_commit", "idle_disconnect"} - shown


# --- what reaches the host -------------------------------------------------------------------------------


def test_the_pages_environment_is_the_default_and_each_key_is_overridable() -> None:
    assert declared().environment() == {**SEED_ENV, "PORT": "5555", "DISPLAY": ":99"}
    mine = declared(env={"STREAM_GOP_SIZE": "30", "STREAM_LOW_LATENCY": None}, display="")
    assert mine.environment()["STREAM_GOP_SIZE"] == "30"
    assert "STREAM_LOW_LATENCY" not in mine.environment()
    assert "DISPLAY" not in mine.environment()


def test_each_configuration_that_draws_has_its_settings() -> None:
    said = {each.mode: browser.settings_of(each.mode) for each in CONFIGURATIONS}
    assert all(len(each) == 4 for each in said.values())
    assert said["headless-egl"]["STREAM_CAPTURE_USE_EGL"] == "true"
    assert said["headless-egl"]["STREAM_CAPTURE_ANGLE"] == "default"
    assert said["ozone-headless"]["STREAM_CAPTURE_OZONE_HEADLESS"] == "true"
    for each in CONFIGURATIONS:
        is_headless = "--headless=new" in each.flags
        assert (said[each.mode]["STREAM_CAPTURE_HEADLESS"] == "true") == is_headless, each.mode
        angle = next((f for f in each.flags if f.startswith("--use-angle=")), "--use-angle=default")
        assert said[each.mode]["STREAM_CAPTURE_ANGLE"] == angle.removeprefix("--use-angle=")
    assert browser.settings_of("cube") == {}


def test_phases_are_as_long_as_the_environment_says() -> None:
    assert declared().phases_s()["FIGHTING"] == 160.0
    env = {"STREAMING_FIGHTING_MS": "270000", "STREAMING_END_WARNING_MS": "fifteen"}
    assert declared(env=env).phases_s()["FIGHTING"] == 280.0
    assert declared(env=env).cycle_s() == 320.0


def test_secrets_go_into_one_file_that_only_its_owner_reads() -> None:
    uploads = [step for step in duel().deploy() if isinstance(step, Upload)]
    (file,) = uploads
    assert (file.path, file.mode) == ("/root/hyperscape-secrets.env", 0o600)
    assert b"TWITCH_STREAM_KEY='it'\"'\"'s `live` $KEY'\n" in file.content
    for step in (*duel().deploy(), *duel().restart_workload(), *duel().restart_process("black")):
        if isinstance(step, Command | Job):
            assert "`live`" not in step.script
            assert "c0de" not in step.script


def test_the_admin_code_goes_only_to_what_needs_it() -> None:
    enter, *_, leave = duel().deploy()
    drain = duel().drain()
    assert drain is not None
    for step in (enter, leave, *drain.begin, drain.look):
        assert isinstance(step, Command)
        assert step.env == {"keeper_admin_code": "c0de"}
    question = duel().report()
    assert question is not None
    assert question.env == {}


def test_without_the_code_a_quiet_phase_is_waited_for() -> None:
    drain = duel({}).drain()
    assert drain is not None
    assert drain.begin == ()
    assert not drain.is_restart
    assert drain.bound_s == declared().cycle_s() + 60


@pytest.mark.parametrize(
    "place",
    ["/tmp/x.env", "/var/tmp/x.env", "/run/x.env", "/var/run/x.env", "/var/lock/x.env", "/dev/shm/x.env",
     "/dev/x.env", "/root/../tmp/x.env", "//tmp/x.env", "/tmp//x.env", "/./tmp/x.env", "../tmp/x.env",
     "a/../../tmp/x.env", "/proc/self/x.env", "/sys/x.env"],
)  # fmt: skip
def test_secrets_may_not_lie_where_a_reboot_empties(place: str) -> None:
    with pytest.raises(ValidationError, match=r"emptied when|from the root|match pattern"):
        declared(secrets_file=place)


@pytest.mark.parametrize(
    "place", ["/root/x.env", "secrets/x.env", "/root/a/../x.env", "/tmpx/x.env"]
)
def test_secrets_may_lie_where_they_stay(place: str) -> None:
    assert declared(secrets_file=place).secrets_file == place


def test_bridge_app_must_be_one_of_the_apps() -> None:
    with pytest.raises(ValidationError, match="none of `apps`"):
        declared(pm2={"bridge_app": "rtmp-bridge"})
    both = declared(pm2={"apps": ["hyperscape-duel", "rtmp-bridge"], "bridge_app": "rtmp-bridge"})
    assert both.pm2.apps == ("hyperscape-duel", "rtmp-bridge")


@pytest.mark.parametrize("field", ["address", "path"])
def test_what_a_shell_expands_cannot_run_anything(field: str) -> None:
    for text in ("$(id)", "`id`", 'a"b', "a b", "a;b"):
        with pytest.raises(ValidationError):
            declared(**{field: text})


def test_the_sentinel_stays_far_below_the_bound_of_its_line() -> None:
    worst = Facts()
    assert len(msgspec.json.encode(worst)) < 1000
    assert scripts.program("look").count("2600") == 1


def test_what_is_rented_can_draw() -> None:
    workload = duel(publish=[5555])
    assert workload.rental().env == {"NVIDIA_DRIVER_CAPABILITIES": "all"}
    assert [port.container_port for port in workload.rental().ports] == [5555]
    needs = workload.needs(OfferNeeds(gpu_display_active=False, disk_gb=10))
    assert needs.gpu_display_active
    assert needs.disk_gb == 120
    assert needs.inet_up_min_mbps == pytest.approx(9.256)
    assert workload.rungs() == (Rung.RESTART_PROCESS, Rung.RESTART_WORKLOAD, Rung.REBOOT)
    assert {"webgpu", "vulkan_icd", "x_server", "ingest"} <= {c.name for c in workload.audition()}
    assert "ingest" not in {check.name for check in duel(ingest="").audition()}
    assert duel(hls_path="").view().kind is ViewKind.TCP


def test_a_bridge_that_starts_is_waited_for_only_for_so_long() -> None:
    """Its picture is missing, and that is no reason to begin it anew."""
    young = facts(bridge={"is_young": True}, hls={"flat_s": 90})
    symptom = judge(young).symptom
    assert symptom is not None
    assert (symptom.remedy, symptom.wait_s, symptom.spoils_view) == (N, 300.0, False)


def test_viewers_see_and_hear_the_duel_by_its_own_playlist() -> None:
    view = duel().view()
    assert (view.kind, view.container_port, view.path) == (ViewKind.HLS, 5555, "/live/stream.m3u8")
    # Sound where the stack sends it; and fighters may be waited for in silence.
    assert (view.expects_sound, view.silence_max_s) == (True, 660.0)
    assert not duel(env={"STREAM_AUDIO_ENABLED": "false"}).view().expects_sound
    own = duel(view={"expects_sound": False, "silence_max_s": 20}).view()
    assert (own.expects_sound, own.silence_max_s) == (False, 20.0)
    longer = {"STREAMING_FIGHTING_MS": "1200000"}
    assert duel(env=longer).view().silence_max_s > 1200


def test_a_duel_is_looked_at_where_everybody_watches_it_if_that_is_declared() -> None:
    view = duel(view={"kind": "rtmp", "url_secret": "WATCH", "target_frames_per_s": 30}).view()
    assert (view.kind, view.url_secret, view.target_frames_per_s) == (ViewKind.RTMP, "WATCH", 30)
    # Of two hosts each is told by its own playlist, and `keeper tunnel` leads to its port all the same.
    assert view.container_port == 5555
    assert view.own == duel(view={"target_frames_per_s": 30}).view()
    assert duel(hls_path="", view={"url": "https://a.example/x.m3u8"}).view().own is None


@pytest.mark.parametrize(
    ("view", "why"),
    [
        ({"kind": "rtmp"}, "the host itself plays nothing by `rtmp`"),
        ({"kind": "http", "url": "https://a.example/x"}, "an answer from elsewhere says nothing"),
        ({"kind": "hls", "url": "rtmp://a.example/x"}, "begins with http:// or https://"),
        ({"kind": "http", "expects_sound": True}, "`http` hears no sound"),
        ({"kind": "webrtc"}, "Input should be"),
    ],
)
def test_a_view_that_contradicts_itself_is_refused(view: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        duel(view=view)


def test_a_host_that_is_to_encode_on_its_gpu_shows_that_it_can() -> None:
    names = {check.name for check in duel(env={"STREAM_CAPTURE_MODE": "x11_nvenc"}).audition()}
    assert "encoder" in names
    assert "encoder" not in {check.name for check in duel().audition()}


def test_the_way_to_the_ingest_is_greeted_without_a_key() -> None:
    (way,) = (check for check in duel().audition() if check.name == "ingest")
    assert way.expected.endswith("live.twitch.tv:1935, and RTMP's greeting answered there")
    with pytest.raises(
        ValidationError, match="srt:// is not known here; there are tcp, rtmp, rtmps"
    ):
        duel(ingest="srt://live.example.com:9999")


def test_people_are_shown_what_the_stack_says_before_its_errors() -> None:
    assert duel().logs()[:3] == (
        "/root/hyperscape/logs/duel-out.log",
        "/root/hyperscape/logs/duel-error.log",
        "/var/log/deploy-vast.log",
    )


def test_only_the_bridge_is_ended_where_it_is_the_bridge() -> None:
    (kill,) = duel().restart_process("bridge_hung")
    assert "keeper_verb=kill_bridge" in kill.script
    sound, kill = duel().restart_process("sound_gone")
    assert "pulseaudio" in sound.script
    (restart,) = duel().restart_process("phase_stuck")
    assert "bunx pm2 restart hyperscape-duel" in restart.script


def test_a_full_disk_is_trimmed_and_nothing_is_stopped_for_it() -> None:
    (trim,) = duel().restart_workload("no_space")
    assert isinstance(trim, Command)
    assert "keeper_verb=trim" in trim.script


def test_maintenance_is_left_also_when_a_deploy_fails() -> None:
    for steps in (duel().deploy(), duel().restart_workload("other_commit")):
        assert isinstance(steps[-1], Command)
        assert "keeper_verb=maintenance_exit" in steps[-1].script
        assert [isinstance(step, Command) and step.is_closing for step in steps] == [
            *[False] * (len(steps) - 1),
            True,
        ]
    (leave,) = duel().restart_process("in_maintenance")
    assert "keeper_verb=maintenance_exit" in leave.script


def test_a_database_is_given_time_before_the_start() -> None:
    def start(symptom: str) -> str:
        steps = duel().restart_workload(symptom)
        assert isinstance(steps[-1], Command)
        return steps[-1].script

    assert "wait_s=45\n" in start("database")
    assert "wait_s=0\n" in start("port_held")


def test_the_same_is_deployed_once_and_another_secret_is_another_deploy() -> None:
    def mark(secrets: dict[str, str], **settings: Any) -> str:
        return next(s.mark for s in duel(secrets, **settings).deploy() if isinstance(s, Job))

    assert mark(SECRETS) == mark(SECRETS)
    assert mark(SECRETS) != mark({**SECRETS, "ADMIN_CODE": "other"})
    assert mark(SECRETS) != mark(SECRETS, commit="8591248d")


# --- the report ------------------------------------------------------------------------------------------

REPORT = {
    "health": {"code": 200, "status": "ok"},
    "state": {"code": 200, "phase": "FIGHTING"},
    "context": {"code": 200, "phase": "FIGHTING", "one": "Agent1", "other": "Agent2"},
    "bridge": {"code": 200, "ffmpeg": True, "bytes": 1.2e9, "outputs": 2, "down": []},
    "apps": [{"name": "hyperscape-duel", "pid": 5}, {"name": "rtmp-bridge", "pid": 6}],
    "logs": ["Combat tick processed", "Frame captured"],
}


def report(**changes: Any) -> list[tuple[str, Status, str]]:
    result = CommandResult(exit_code=0, stdout=json.dumps({**REPORT, **changes}), stderr="")
    return [(line.title, line.status, line.text) for line in duel().read_report(result)]


def test_report_has_the_pages_six_lines() -> None:
    assert report() == [
        ("Server Health", Status.TRUE, "OK (200)"),
        ("Streaming API", Status.TRUE, "OK"),
        ("Duel Context", Status.TRUE, "FIGHTING (Agent1 vs Agent2)"),
        ("RTMP Bridge", Status.TRUE, "Active (1.2 GB streamed)"),
        ("PM2 Processes", Status.TRUE, "2 running"),
        ("Recent Logs", Status.TRUE, "Combat tick processed\nFrame captured"),
    ]


def test_report_tells_bad_from_unknown() -> None:
    lines = report(
        health={"code": 0},
        state={"code": 0},
        context={"code": 503, "error": "Streaming delay warmup"},
        bridge={"code": 200, "ffmpeg": None, "bytes": None, "outputs": 2, "down": ["kick"]},
        apps=[{"name": "hyperscape-duel", "pid": 0}],
        logs=[],
    )
    assert lines == [
        ("Server Health", Status.FALSE, "no answer"),
        ("Streaming API", Status.UNKNOWN, "no answer"),
        ("Duel Context", Status.FALSE, "Streaming delay warmup"),
        ("RTMP Bridge", Status.FALSE, "Active, down: kick"),
        ("PM2 Processes", Status.FALSE, "0 running, not running: hyperscape-duel"),
        ("Recent Logs", Status.UNKNOWN, "none"),
    ]


@pytest.mark.parametrize("stdout", ["", "{", "[]", '{"health":3}', "\x1b[31m" * 100])
def test_report_that_cannot_be_read_says_so(stdout: str) -> None:
    (line,) = duel().read_report(CommandResult(exit_code=0, stdout=stdout, stderr=""))
    assert line.status is Status.UNKNOWN
    assert "\x1b" not in line.text
    assert len(line.text) <= 200


TRACE = """\
[eval]:267
verbs[process.env.keeper_verb]();
^

TypeError: verbs[process.env.keeper_verb] is not a function
    at [eval]:267:31
    at runScriptInThisContext (node:internal/vm:209:10)

Node.js v20.20.2
"""


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        (TRACE, "the program that asks there has failed (TypeError: verbs[process.env.keeper_verb] is not a function)"),
        ("sh: 3: bun: not found\n", "sh: 3: bun: not found"),
        ("the runtime is missing\n", "the runtime is missing"),
        ("", "exit code 2"),
    ],
)  # fmt: skip
def test_report_of_a_program_that_failed_is_a_sentence_and_no_stack(stderr: str, said: str) -> None:
    """A person saw a stack trace as Server Health."""
    (line,) = duel().read_report(CommandResult(exit_code=2, stdout="", stderr=stderr))
    assert line.text == f"the host gave no report: {said}"
    assert line.status is Status.UNKNOWN


@pytest.mark.parametrize("whole", [{"memory_mb": 3800}, {"bridge": {"is_old": True}}])
def test_what_will_end_in_the_middle_of_a_fight_is_ended_between_two(whole: dict[str, Any]) -> None:
    between = judge(facts(**{**whole, "state": {"phase": "RESOLUTION"}})).symptom
    assert between is not None
    assert (between.remedy, between.is_planned) == (P, True)
    amid = judge(facts(**whole)).symptom
    assert amid is not None
    assert amid.remedy is N
