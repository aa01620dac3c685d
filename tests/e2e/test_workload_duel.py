"""The duel through the whole daemon: rented, auditioned, deployed over SSH, on air, cured row by row.

The rows are those of `tests/duel.py`. Rows share a host, because a deploy is the dear part; those that end
one come last.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from keeper.core.model import Remedy
from keeper.core.reasons import Reason
from keeper.sim.ssh_host import LoopbackHost
from keeper.workloads import registered
from tests.components import require
from tests.duel import FAULTS, SECRETS, Fault, Stage
from tests.e2e.real_hosts import Fleet, Row, play, put_program
from tests.waiting import look_until

pytestmark = [
    pytest.mark.real("sshd", "pm2", "node", "ffmpeg", "nginx-rtmp"),
    pytest.mark.timeout(600),
]

# Settings under which every row of the shared host can be made.
PATIENCE: dict[str, Any] = {
    "startup_s": 4, "bridge_start_s": 5, "flat_s": 4, "silent_s": 3, "idle_s": 4, "log_s": 3,
    "idle_disconnect_s": 1000, "phase_margin_s": 3,
}  # fmt: skip
SHARED: dict[str, Any] = {
    "env": {"DUEL_USE_PRODUCTION_CLIENT": "false", "STREAMING_ANNOUNCEMENT_MS": "2500"},
    "patience": PATIENCE,
}


@pytest.fixture
def stage(free_port: Callable[[], int]) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="k-", ignore_cleanup_errors=True) as folder:
        stage = Stage(Path(folder), free_port)
        stage.open()
        yield stage
        stage.close()


def declared(stage: Stage, **more: Any) -> dict[str, Any]:
    """Everything lies below the host's home; it has no GPU, and the audition lets it pass."""
    workload = stage.declared(
        workdir="hyperscape",
        secrets_file="secrets.env",
        deploy_log="log/deploy-vast.log",
        address="$SERVER_HOST",
        publish=[stage.port],
        commit=stage.commit_id,
        **more,
    )
    workload["pm2"] = {**workload["pm2"], "home": ""}
    # What a host says of itself is played apart from its picture, which would be seen to stall first.
    workload.setdefault("view", {"kind": "http"})
    plugin = registered()["hyperscape-duel"]
    checks = plugin.build(plugin.settings.model_validate(workload), {}).audition()
    return {**workload, "audition": {"force": sorted({check.name for check in checks})}}


def furnish(host: LoopbackHost) -> None:
    """Let the sentinel ask often."""
    host.variables["keeper_workload_looks"] = "2"
    host.variables["keeper_ask_looks"] = "3"


@pytest.fixture
async def display(free_port: Callable[[], int]) -> AsyncIterator[str]:
    """Give an X server as an image brings it; one that takes its place is the host's own."""
    number = free_port() % 900 + 100
    socket, lock = Path(f"/tmp/.X11-unix/X{number}"), Path(f"/tmp/.X{number}-lock")
    server = await asyncio.create_subprocess_exec(
        require("xvfb"), f":{number}", "-screen", "0", "64x64x24", "-nolisten", "tcp",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip

    async def listens() -> bool:
        return socket.exists()

    await look_until(listens)
    yield f":{number}"
    if server.returncode is None:
        server.kill()
    await server.wait()
    for left in (socket, lock):
        left.unlink(missing_ok=True)


def with_stage_of(display: str) -> tuple[dict[str, Any], Callable[[LoopbackHost], None]]:
    """Declare display and sound. PulseAudio's word is a stand-in: none can run here."""
    source = "1 chrome_audio.monitor module-null-sink.c"

    def furnished(host: LoopbackHost) -> None:
        furnish(host)
        host.variables["DISPLAY"] = display
        put_program(host, "pactl", 'cat "$HOME/sources" 2>/dev/null')
        (host.home / "sources").write_text(f"{source}\n")

    more = {
        "display": display,
        "start_display": f'{require("xvfb")} "$DISPLAY" -screen 0 64x64x24 -nolisten tcp',
        "start_sound": f"echo '{source}' >$HOME/sources",
    }
    return more, furnished


# A broken build dies often until a person has mended it; that it dies often has its own tests.
POLICY = {"crash_loop_changes": 100, "restarts_forgiven_s": 1, "workload_restarts_window_s": 1}


# What keeper's own hands do not cure: it tries once, and a person does the rest.
LEFT_TO_PERSONS = {"bad_build", "no_fighters"}
_AS_SOON_AS_TRIED = 'was=$(cat "$PM2_HOME/pm2.pid"); while [ "$(cat "$PM2_HOME/pm2.pid")" = "$was" ]; do sleep 0.2; done; '


def row_of(fault: Fault, stage: Stage) -> Row:
    """Make a row that the harness can play."""
    enter = 'cd hyperscape && export PM2_HOME="$HOME/.pm2" || exit 1\n'
    make, mend = (enter + fault.script(text, stage) for text in (fault.make, fault.mend or ":"))
    if fault.symptom == "all_platforms_down":
        # They come back by themselves, after keeper has tried what it can.
        make += f"\n( sleep 5; {fault.script(fault.mend, stage)} ) >/dev/null 2>&1 </dev/null &"
    if fault.symptom in LEFT_TO_PERSONS:
        # A person mends it as soon as keeper has tried what it may.
        make += f"\n( {_AS_SOON_AS_TRIED}{fault.script(fault.mend, stage)} ) >/dev/null 2>&1 </dev/null &"

    async def mended(fleet: Fleet) -> bool:
        await fleet.host.run(mend)
        return True

    async def made(fleet: Fleet) -> None:
        await fleet.host.run(make)

    async def trimmed(fleet: Fleet) -> bool:
        logs = fleet.host.home / "hyperscape" / "logs"
        is_short = (logs / "duel-error.log").stat().st_size < 1_000_000
        return is_short and (logs / "duel-error.log.1").exists()

    is_quiet = fault.remedy in {Remedy.PERSON, Remedy.NOTHING}
    keeps_its_cause = (
        fault.remedy is Remedy.RESTART_WORKLOAD
        and fault.mend
        and fault.symptom not in LEFT_TO_PERSONS
    )
    proof = trimmed if fault.symptom == "no_space" else mended if keeps_its_cause else None
    return Row(
        id=fault.id,
        fault=made,
        remedy=fault.remedy,
        dearest=Remedy.RESTART_WORKLOAD if fault.symptom == "all_platforms_down" else None,
        # Of a silent server the viewer is the quicker witness.
        symptom="" if fault.symptom == "server_silent" else fault.symptom,
        mend=mended if is_quiet else None,
        quiet_ticks=2,
        proof=proof,
    )


def rows(stage: Stage, *symptoms: str) -> Sequence[Row]:
    """Return the rows with these symptoms, in the order of the table."""
    return [row_of(fault, stage) for fault in FAULTS if fault.symptom in symptoms]


PLATFORM = (
    "display_dead", "nothing_runs", "stale_environment", "sound_gone", "in_maintenance",
    "vulkan_dir", "no_space", "dns", "clock", "database", "bad_build", "port_held", "no_fighters",
    "phase_stuck", "server_silent", "agents_stand_still", "not_active", "starting", "other_commit", "memory_near_limit",
)  # fmt: skip
BRIDGE = (
    "encoder_lost", "gpu_memory", "page_timeout", "no_canvas", "capture_stalled", "scene_frozen", "black",
    "loading_screen", "ffmpeg_gave_up", "ffmpeg_segfault", "no_outputs", "platform_refuses",
    "platform_down", "all_platforms_down", "placeholder_shown", "bridge_hung", "output_flat",
    "rotation", "chrome_missing", "stream_too_old",
)  # fmt: skip
HOST = ("webgpu_missing", "software_rendering", "encoder_slow")


@pytest.mark.real("xvfb")
@pytest.mark.xdist_group("duel and its platform")
async def test_platform_and_database_are_cured(stage: Stage, display: str) -> None:
    more, furnished = with_stage_of(display)
    env = {**SHARED["env"], "STREAM_AUDIO_ENABLED": "true"}
    workload = declared(stage, **{**SHARED, **more, "env": env})
    async with Fleet(workload, secrets=SECRETS, furnish=furnished, policy=POLICY) as fleet:
        host = await fleet.on_air()
        assert "Hyperscape deployed successfully" in host.log("log/deploy-vast.log")
        assert (host.home / "secrets.env").stat().st_mode & 0o777 == 0o600
        await play(fleet, rows(stage, *PLATFORM))
        assert fleet.spent().rented == 1
        assert all(value not in str(fleet.events) for value in SECRETS.values())


@pytest.mark.xdist_group("duel and its bridge")
async def test_browser_and_bridge_are_cured(stage: Stage) -> None:
    workload = declared(stage, **SHARED)
    async with Fleet(workload, secrets=SECRETS, furnish=furnish, policy=POLICY) as fleet:
        await fleet.on_air()
        await play(fleet, rows(stage, *BRIDGE))
        assert fleet.spent().rented == 1


@pytest.mark.xdist_group("duel and its platform")
async def test_hosts_that_cannot_draw_are_rebooted_or_replaced(stage: Stage) -> None:
    workload = declared(stage, **SHARED)
    async with Fleet(workload, secrets=SECRETS, furnish=furnish, policy=POLICY) as fleet:
        await fleet.on_air()
        await play(fleet, rows(stage, *HOST))
        assert fleet.spent().rented == 3


@pytest.mark.xdist_group("duel and its bridge")
async def test_idle_stream_is_begun_again_before_platforms_drop_it(stage: Stage) -> None:
    idle = {
        "env": {"STREAM_PLACEHOLDER_ENABLED": "false"},
        "patience": {**PATIENCE, "idle_disconnect_s": 4, "idle_s": 1000},
    }
    async with Fleet(
        declared(stage, **idle), secrets=SECRETS, furnish=furnish, policy=POLICY
    ) as fleet:
        await fleet.on_air()
        await play(fleet, rows(stage, "idle_disconnect"))
        environment = (fleet.host.home / "hyperscape/packages/server/.env").read_text()
        assert "STREAM_PLACEHOLDER_ENABLED=true" in environment


# --- the picture --------------------------------------------------------------------------------------

ENTER = 'cd hyperscape && export PM2_HOME="$HOME/.pm2" || exit 1\n'
# Time for a look on a busy box, and for a start of the bridge between two verdicts.
CALM = {
    "probe_interval_s": 3, "probe_timeout_s": 2.7, "probe_stale_s": 20, "replace_after_s": 30,
    "restart_settle_s": 8, "restarts_forgiven_s": 1,
}  # fmt: skip


def drawn(what: str, reason: Reason) -> Row:
    """Make a row of what only viewers see: process, bridge, server and playlist say that all is well."""

    async def made(fleet: Fleet) -> None:
        await fleet.host.run(f"{ENTER}printf {what} >faults/drawn")

    return Row(
        id=f"the picture is {what}",
        fault=made,
        remedy=Remedy.RESTART_PROCESS,
        causes=frozenset({reason}),
    )


@pytest.mark.xdist_group("duel and its bridge")
async def test_what_only_viewers_see_is_cured_though_all_on_the_host_say_that_it_is_well(
    stage: Stage,
) -> None:
    patience = {**PATIENCE, "startup_s": 20, "bridge_start_s": 20, "flat_s": 60}
    workload = declared(stage, patience=patience, view={"kind": "hls"})
    async with Fleet(workload, secrets=SECRETS, furnish=furnish, policy=CALM) as fleet:
        await fleet.on_air()
        await play(fleet, [drawn("still", Reason.FROZEN), drawn("black", Reason.BLACK)])
        assert fleet.spent().rented == 1
