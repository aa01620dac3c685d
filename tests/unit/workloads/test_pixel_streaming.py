"""What Pixel Streaming rents, puts onto a host, asks of it, and makes of the answers."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from keeper.core.model import InstanceId, OfferNeeds, Port, Reading, Remedy, Rung, Status, Subject
from keeper.ports import Command, CommandResult, Job, Parcel, Upload
from keeper.workloads import ViewKind, Workload, registered
from keeper.workloads.audition import CheckName, PortLook
from keeper.workloads.identity import identify
from keeper.workloads.pixel_streaming.symptoms import CATALOGUE

AT = datetime(2026, 11, 1, tzinfo=UTC)
ME = InstanceId(7)
DIGEST = "ab" * 32
ARCHIVE = {"url": "https://downloads.example/game.tar.gz", "sha256": DIGEST}


def build(secrets: dict[str, str] | None = None, **more: Any) -> Workload:
    plugin = registered()["pixel-streaming"]
    app = {"executable": "Linux/Game.sh", **more.pop("app", {})}
    declared = {"kind": "pixel-streaming", "app": app, "archive": ARCHIVE, **more}
    return plugin.build(plugin.settings.model_validate(declared), secrets or {})


# --- the rental ---------------------------------------------------------------------------------------


def test_it_is_rented_as_the_images_own_template_has_it() -> None:
    rental = build().rental()
    assert rental.ports == (
        Port(container_port=1111), Port(container_port=3000), Port(container_port=8080),
        Port(container_port=70_000, protocol="udp"),
    )  # fmt: skip
    assert rental.env == {
        "NVIDIA_DRIVER_CAPABILITIES": "all",
        "OPEN_BUTTON_PORT": "1111",
        "PIXEL_STREAMING_ARGS": "--rest_api",
        "PORTAL_CONFIG": "localhost:1111:11111:/:Instance Portal|"
        "localhost:3000:13000:/:Pixel Streaming|localhost:8080:8080:/:Jupyter",
        "TURN_USER": "user",
        "TURN_USERNAME": "user",
    }


def test_what_is_declared_reaches_the_container() -> None:
    rental = build(
        provisioning_script="https://x.example/p.sh", relay_user="bob",
        signalling_args=["--max_players=4"], env={"MORE": "1"},
        image_layout={"relay_port": 0},
    ).rental()  # fmt: skip
    assert rental.env["PROVISIONING_SCRIPT"] == "https://x.example/p.sh"
    assert rental.env["TURN_USER"] == rental.env["TURN_USERNAME"] == "bob"
    assert rental.env["PIXEL_STREAMING_ARGS"] == "--max_players=4 --rest_api"
    assert rental.env["MORE"] == "1"
    assert all(port.protocol == "tcp" for port in rental.ports)


@pytest.mark.parametrize("name", ["TURN_USER", "TURN_USERNAME", "OPEN_BUTTON_TOKEN"])
def test_one_of_the_relays_two_names_cannot_be_set_alone(name: str) -> None:
    with pytest.raises(ValidationError, match="relay_user"):
        build(env={name: "x"})


def test_a_host_shows_that_viewers_and_operators_reach_its_ports() -> None:
    """The page, the portal and Jupyter; a relay's UDP answers no dial, and keeper's player asks it."""
    looks = [check.look for check in build().audition() if check.name is CheckName.PORT]
    dialled = [look.container_port for look in looks if isinstance(look, PortLook)]
    assert dialled == [1111, 3000, 8080]


def test_a_host_shows_room_for_an_archive_and_what_is_unpacked_of_it() -> None:
    (disk,) = (check for check in build().audition() if check.name is CheckName.DISK)
    assert disk.expected == "30 GB and 10% of the disk free"
    (disk,) = (check for check in build(disk_gb=40).audition() if check.name is CheckName.DISK)
    assert disk.expected.startswith("10 GB ")
    (disk,) = (
        each for each in build(disk_free_min_gb=80).audition() if each.name is CheckName.DISK
    )
    assert disk.expected.startswith("80 GB ")


def test_a_host_shows_that_it_can_carry_a_viewer_where_a_test_address_is_declared() -> None:
    address = {"upload_test_url": "https://up.example.com/"}
    checks = build(audition=address, bitrate_bps=8e6).audition()
    (upload,) = (check for check in checks if check.name is CheckName.UPLOAD)
    assert upload.expected == "16 Mbit/s upwards for 8 s, 2 times the stream's"


def test_it_needs_a_display_and_its_disk() -> None:
    needs = build(disk_gb=300).needs(OfferNeeds(gpu_display_active=False, disk_gb=10))
    assert (needs.gpu_display_active, needs.disk_gb) == (True, 300)
    assert needs.inet_up_min_mbps == 40
    assert build().needs(OfferNeeds(inet_up_min_mbps=500)).inet_up_min_mbps == 500


@pytest.mark.parametrize(
    "archive",
    [{}, {"url": "https://x/y"}, {"url": "https://x/y", "path": "/z", "sha256": DIGEST},
     {"url": "ftp://x/y", "sha256": DIGEST}, {"path": "relative", "sha256": DIGEST},
     {"url": "https://x/y", "sha256": "abc"}, {"local_path": "/srv/x.zip"},
     {"local_path": "/srv/x.zip", "path": "/z", "sha256": DIGEST},
     {"local_path": "x.zip", "sha256": DIGEST}],
)  # fmt: skip
def test_an_archive_comes_from_one_place_and_a_fetched_one_has_a_checksum(
    archive: dict[str, str],
) -> None:
    with pytest.raises(ValidationError):
        build(archive=archive)


def test_a_file_of_keepers_box_is_sent_before_it_is_unpacked_and_goes_then() -> None:
    archive = {"local_path": "/srv/x.zip", "sha256": DIGEST, "timeout_s": 900, "stall_s": 20}
    workload = build(archive=archive)
    for steps in (workload.deploy(), workload.prepare(), workload.restart_workload()):
        boot, parcel, project, *_ = steps
        assert isinstance(boot, Job)
        assert isinstance(parcel, Parcel)
        assert isinstance(project, Job)
        assert (parcel.local_path, parcel.sha256) == ("/srv/x.zip", DIGEST)
        assert (parcel.timeout_s, parcel.stall_s, parcel.mode) == (900.0, 20.0, 0o600)
        assert f"path={parcel.path}\nsent=1\n" in project.script
        # Whoever removes the folder gets it again, whatever was done before.
        assert project.mark == ""


def test_a_deploy_is_called_by_what_is_in_an_archive_and_not_by_where_it_lies() -> None:
    def named(**archive: object) -> str:
        plugin = registered()["pixel-streaming"]
        declared = {"kind": "pixel-streaming", "app": {"executable": "x"}, "archive": archive}
        return identify(plugin.settings.model_validate(declared), {}, key=b"k").name

    one = named(local_path="/srv/x.zip", sha256=DIGEST)
    assert named(local_path="/mnt/moved.zip", sha256=DIGEST, stall_s=30, timeout_s=60) == one
    assert named(local_path="/srv/x.zip", sha256="cd" * 32) != one


# --- the deploy ---------------------------------------------------------------------------------------


def test_it_is_deployed_in_steps_that_mean_something() -> None:
    steps = build().deploy()
    names = [step.path if isinstance(step, Upload) else step.name for step in steps]
    assert names == [
        "deploy.boot", "deploy.project",
        "/workspace/.keeper/ue-app.env", "/workspace/.keeper/ue-app.sh",
        "/etc/supervisor/conf.d/ue-app.conf",
        "deploy.install", "deploy.start", "verify.process",
    ]  # fmt: skip
    jobs = {step.name: step for step in steps if isinstance(step, Job)}
    assert jobs["deploy.boot"].mark == "", "a boot is waited for at each deploy"
    assert DIGEST in jobs["deploy.project"].mark


def test_a_spare_gets_the_project_and_no_program_that_a_reboot_would_start() -> None:
    assert [type(step) for step in build().prepare()] == [Job, Job]


def test_the_program_is_under_the_images_supervisord_and_not_roots() -> None:
    (conf,) = [
        step.content.decode()
        for step in build(app={"account": "user"}).deploy()
        if isinstance(step, Upload) and step.path.endswith(".conf")
    ]
    lines = conf.splitlines()
    for line in (
        "[program:ue-app]", "user=user", "startsecs=10", "autorestart=true", "startretries=3",
        "killasgroup=true", "stdout_logfile=/var/log/portal/ue-app.log",
    ):  # fmt: skip
        assert line in lines


def test_supervisord_is_never_told_to_reload() -> None:
    """It would restart everything, the application included."""
    workload = build(tunnel_url="http://localhost:3000")
    steps = [*workload.deploy(), *workload.restart_workload()]
    for row in CATALOGUE:
        steps += workload.restart_process(row.code)
    scripts = [step.script for step in steps if isinstance(step, Command | Job)]
    assert not [script for script in scripts if " reload" in script or "pkill" in script]


def test_a_secret_address_and_secrets_of_the_application_are_in_no_script_and_no_argument() -> None:
    workload = build(
        {"SIGNED": "https://x.example/?key=hidden1", "API_KEY": "it's hidden2"},
        archive={"url_secret": "SIGNED", "sha256": DIGEST},
    )
    for step in workload.deploy():
        match step:
            case Upload(path=path, content=content, mode=mode) if b"hidden" in content:
                assert (path, mode) == ("/workspace/.keeper/ue-app.env", 0o600)
                assert b"hidden1" not in content
            case Job(env=env, script=script) | Command(env=env, script=script):
                assert "hidden" not in script
                assert "hidden2" not in str(env)
            case _:
                pass
    sentinel = workload.sentinel()
    assert "hidden" not in sentinel
    assert not [value for value in workload.rental().env.values() if "hidden" in value]


def test_a_secret_that_is_not_the_streams_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="SIGNED"):
        build(archive={"url_secret": "SIGNED", "sha256": DIGEST})


def test_what_only_looks_and_waits_is_another_revision_for_nobody() -> None:
    plugin = registered()["pixel-streaming"]

    def name(**more: Any) -> str:
        app = {"executable": "Game.sh"}
        section = plugin.settings.model_validate({"kind": "pixel-streaming", "app": app, **more})
        return identify(section, {}, key=b"k").name

    assert name() == name(player={"watch_every_s": 30}) == name(drain_s=5)
    assert name() != name(image_layout={"streamer_port": 8889})
    assert name() != name(player={"rest_api": False}), "it reaches the container"


def test_what_is_declared_of_its_sound_reaches_the_look_and_no_host() -> None:
    silent = build().view()
    assert (silent.expects_sound, silent.silence_max_dbfs, silent.silence_max_s) == (
        False,
        -60.0,
        0,
    )
    declared = build(player={"expects_sound": True, "silence_max_dbfs": -50, "silence_max_s": 120})
    view = declared.view()
    assert (view.expects_sound, view.silence_max_dbfs, view.silence_max_s) == (True, -50.0, 120.0)
    assert declared.rental() == build().rental()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"player": {"expects_sound": True, "sample_s": 0.5}}, "silence of 0.5 s proves nothing"),
        (
            {"player": {"expects_sound": True}, "image_layout": {"audio": []}},
            "says that the stream has no sound",
        ),
    ],
)
def test_sound_that_cannot_be_heard_is_not_expected(more: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        build(**more)


# --- looks --------------------------------------------------------------------------------------------

UP = {
    name: ["RUNNING", 0, 0]
    for name in (
        "caddy", "instance_portal", "pixel-streaming", "coturn", "dbus-system", "dbus-user",
        "pipewire", "pipewire-pulse", "wireplumber", "ue-app",
    )
}  # fmt: skip
WELL = {
    "boot": "ready", "portal_file": 1, "page": 1, "streamer": 1, "portal": 1, "caddy": "well",
    "driver": "there", "relay": "mapped", "programs": UP,
}  # fmt: skip


def read(**facts: Any) -> Reading:
    programs = {**UP, **facts.pop("programs", {})}
    return interpret(json.dumps({**WELL, **facts, "programs": programs}))


def interpret(workload_json: str) -> Reading:
    line = f'{{"seq":1,"facts":{{"workload":{workload_json}}}}}'
    (reading,) = build(tunnel_url="http://localhost:3000").interpret(line, ME, AT)
    assert reading.subject is Subject.WORKLOAD
    return reading


def program(name: str, state: str, respawns: int = 0, skips: int = 0) -> dict[str, Any]:
    return {"programs": {name: [state, respawns, skips]}}


def test_a_host_where_all_is_well_says_so() -> None:
    assert read().status is Status.TRUE


SYMPTOMS: list[tuple[dict[str, Any], str, Remedy]] = [
    ({"supervisor": "down"}, "supervisor_down", Remedy.REBOOT),
    ({"boot": "failed", "why": "x"}, "boot_failed", Remedy.REPLACE),
    ({"boot": "provisioning"}, "provisioning", Remedy.NOTHING),
    ({"portal_file": 0}, "portal_file_empty", Remedy.PERSON),
    ({"driver": "failed"}, "driver_missing", Remedy.REPLACE),
    ({"hang": 4711, "page": 0}, "start_hangs", Remedy.RESTART_PROCESS),
    (program("pixel-streaming", "RUNNING", 1), "signalling_respawned", Remedy.RESTART_PROCESS),
    (program("pixel-streaming", "EXITED"), "signalling_ended", Remedy.RESTART_PROCESS),
    ({"app": "root", **program("ue-app", "FATAL")}, "app_as_root", Remedy.PERSON),
    ({"app": "missing", **program("ue-app", "BACKOFF")}, "app_not_startable", Remedy.PERSON),
    ({"app": "vulkan", **program("ue-app", "FATAL")}, "vulkan_missing", Remedy.REPLACE),
    ({"app": "gpu_lost"}, "gpu_crashed", Remedy.RESTART_PROCESS),
    ({"app": "encoder"}, "encoder_spent", Remedy.RESTART_WORKLOAD),
    ({"app": "memory"}, "gpu_memory_full", Remedy.RESTART_PROCESS),
    (program("ue-app", "ABSENT"), "app_not_installed", Remedy.RESTART_WORKLOAD),
    (program("ue-app", "FATAL"), "app_gave_up", Remedy.RESTART_PROCESS),
    (program("ue-app", "STOPPED"), "app_ended", Remedy.RESTART_PROCESS),
    ({"page": 0}, "page_down", Remedy.RESTART_PROCESS),
    ({"caddy": "placeholder"}, "placeholder", Remedy.RESTART_PROCESS),
    ({"caddy": "unauthorized"}, "token_refused", Remedy.PERSON),
    ({"caddy": "refused"}, "caddy_down", Remedy.RESTART_PROCESS),
    ({"caddy": "silent", "behind": "silent"}, "signalling_silent", Remedy.RESTART_PROCESS),
    ({"relay": "names_differ"}, "relay_names_differ", Remedy.PERSON),
    ({"relay": "unmapped"}, "relay_not_mapped", Remedy.REPLACE),
    (program("coturn", "EXITED"), "relay_down", Remedy.RESTART_PROCESS),
    (program("pipewire", "EXITED"), "audio_down", Remedy.RESTART_PROCESS),
    ({"portal": 0}, "portal_down", Remedy.RESTART_PROCESS),
    ({"tunnel": "gone"}, "tunnel_gone", Remedy.RESTART_PROCESS),
]


@pytest.mark.parametrize(("facts", "code", "remedy"), SYMPTOMS, ids=[row[1] for row in SYMPTOMS])
def test_a_row_of_the_catalogue_is_named(facts: dict[str, Any], code: str, remedy: Remedy) -> None:
    reading = read(**facts)
    assert reading.status is Status.FALSE
    assert reading.symptom is not None
    assert (reading.symptom.code, reading.symptom.remedy) == (code, remedy)


def test_a_placeholder_is_the_proxys_fault_only_where_the_page_behind_it_answers() -> None:
    """Of what the proxy alone is to blame for, keeper's own player sees nothing."""
    behind, own = read(caddy="placeholder", behind="silent"), read(caddy="placeholder")
    assert behind.symptom is not None
    assert own.symptom is not None
    assert (behind.symptom.code, behind.symptom.is_partial) == ("signalling_silent", False)
    assert (own.symptom.code, own.symptom.is_partial) == ("placeholder", True)


def test_every_row_of_the_catalogue_has_a_case() -> None:
    assert {row.code for row in CATALOGUE} == {code for _, code, _ in SYMPTOMS}


@pytest.mark.parametrize(
    "facts",
    [
        # EXITED has two meanings: somebody skipped it, or it has ended.
        program("pixel-streaming", "EXITED", 0, 1),
        {"relay": "external", **program("coturn", "EXITED")},
        program("pipewire", "EXITED", 0, 1),
        program("caddy", "STARTING"),
        {"driver": "absent"},  # the image fetches it
        {"caddy": "unknown"},  # no curl on the host
        {"relay": ""},  # not a rental, or not to be read
        {"app": "root"},  # of an earlier start: it runs
    ],
)
def test_what_only_looks_like_a_failure_is_none(facts: dict[str, Any]) -> None:
    assert read(**facts).status is Status.TRUE


GARBAGE = ["1", '"x"', "[]", '{"programs":1}', '{"programs":{"a":[1,2]}}', '{"boot":5}', "null"]


@pytest.mark.parametrize("text", GARBAGE)
def test_garbage_is_not_known(text: str) -> None:
    assert interpret(text).status is Status.UNKNOWN


def test_what_a_host_says_of_its_boot_is_shown_in_plain_and_short() -> None:
    reading = read(boot="failed", why="\x1b[31m" + "x" * 500)
    assert reading.symptom is not None
    assert reading.symptom.sentence.isprintable()
    assert len(reading.symptom.sentence) <= 200


def test_the_view_is_a_players_past_the_proxy() -> None:
    view = build().view()
    assert (view.kind, view.container_port) == (ViewKind.WEBRTC, 13_000)
    assert view.player is not None
    assert (view.player.streamer_id, view.player.has_rest) == ("Keeper", True)
    assert view.player.places == 0


@pytest.mark.parametrize(
    "words", [["--max_players=1"], ["--max_players", "1"], ["--x", "--max_players=1"]]
)
def test_it_is_known_how_many_players_the_server_takes(words: list[str]) -> None:
    """The last place is a person's."""
    player = build(signalling_args=words).view().player
    assert player is not None
    assert player.places == 1
    with pytest.raises(ValidationError, match=r"Leave rest_api on, or --max_players out"):
        build(signalling_args=words, player={"rest_api": False})


def test_what_may_stand_still_is_declared_as_for_every_picture() -> None:
    lobby = {"name": "lobby", "image": "/etc/keeper/lobby.png"}
    corner = {"left": 0.9, "top": 0.0, "width": 0.1, "height": 0.1}
    view = build(player={"still_max_s": 60, "scenes": [lobby], "ignored": [corner]}).view()
    assert view.still_max_s == 60
    assert [(scene.name, scene.image) for scene in view.scenes] == [
        ("lobby", "/etc/keeper/lobby.png")
    ]
    assert [region.left for region in view.ignored] == [0.9]


# --- cures and reports --------------------------------------------------------------------------------

CURES = {
    "": "start_app", "no_streamer": "start_app", "offer_missing": "start_app",
    "app_gave_up": "start_app", "start_hangs": "end_hanging_start",
    "signalling_respawned": "restart_signalling", "signalling_ended": "start_signalling",
    "page_down": "restart_signalling", "signalling_silent": "restart_signalling",
    "caddy_down": "restart_caddy",
    "relay_down": "restart_relay", "relay_failed": "restart_relay",
    "audio_down": "restart_audio", "tunnel_gone": "refresh_tunnel",
}  # fmt: skip


@pytest.mark.parametrize(("code", "first"), CURES.items())
def test_the_cure_depends_on_the_symptom(code: str, first: str) -> None:
    assert build().restart_process(code)[0].name == f"restart.process.{first}"


def test_it_may_be_restarted_put_there_again_and_rebooted() -> None:
    assert build().rungs() == (Rung.RESTART_PROCESS, Rung.RESTART_WORKLOAD, Rung.REBOOT)


def answered(text: str, exit_code: int = 0) -> CommandResult:
    return CommandResult(exit_code=exit_code, stdout=text, stderr="")


def test_the_report_has_a_line_for_each_part() -> None:
    workload = build()
    lines = workload.read_report(answered(f'"workload":{json.dumps(WELL)}\n'))
    assert [line.title for line in lines] == [
        "Boot", "Signalling", "Application", "Proxy", "Relay", "Sound", "Portal",
    ]  # fmt: skip
    assert {line.status for line in lines} == {Status.TRUE}


@pytest.mark.parametrize(
    "result", [answered(""), answered("\x1b[2J", 1), answered('"workload":{'), answered("x" * 9999)]
)
def test_a_report_that_cannot_be_read_says_so(result: CommandResult) -> None:
    (line,) = build().read_report(result)
    assert line.status is Status.UNKNOWN
    assert line.text.isprintable()
    assert len(line.text) <= 200


def test_it_drains_by_looking_and_not_at_all_when_told_so() -> None:
    drain = build(drain_s=60).drain()
    assert drain is not None
    assert (drain.begin, drain.bound_s) == ((), 60)
    assert build(drain_s=0).drain() is None
