"""Keeper's SD-Turbo server with the real libraries: torch, diffusers and transformers, on the CPU.

The model is made by the test, of the real shape and with random weights, so that nothing is downloaded.
One server for the file; the libraries alone take some seconds to load.
"""

import json
import re
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from keeper.core.model import Remedy
from keeper.workloads.sd_turbo import SdTurbo
from keeper.workloads.sd_turbo.facts import read_facts
from keeper.workloads.sd_turbo.pins import PRESETS, PinsName
from keeper.workloads.sd_turbo.symptoms import Case, diagnose
from tests.components import REPOSITORY, require
from tests.integration.workloads.conftest import build
from tests.waiting import eventually

pytestmark = [
    pytest.mark.real("diffusion"),
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("diffusion"),
]

PAYLOAD = REPOSITORY / "keeper" / "workloads" / "payload"
HERE = Path(__file__).parent
SIZE = 32
LONG_S = 120.0  # what may take seconds, on a machine that does everything else at once
OFFLINE = {"HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "DEVICE": "cpu"}


@dataclass
class Server:
    """A server of the real process, and what it is asked."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    def ask(self, request: urllib.request.Request) -> Any:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return json.loads(reply.read())

    def get(self, path: str) -> Any:
        return self.ask(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}"))

    def phase(self) -> str:
        try:
            return str(self.get("/healthz")["phase"])
        except urllib.error.URLError:
            return "not listening"

    def frames(self, count: int) -> list[bytes]:
        """Read so many parts off the wire."""
        found: list[bytes] = []
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/stream", timeout=60) as stream:
            assert stream.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
            while len(found) < count:
                assert stream.readline() == b"--frame\r\n"
                assert stream.readline() == b"Content-Type: image/jpeg\r\n"
                length = re.fullmatch(rb"Content-Length: (\d+)\r\n", stream.readline())
                assert length is not None
                assert stream.readline() == b"\r\n"
                found.append(stream.read(int(length[1])))
                assert stream.readline() == b"\r\n"
        return found

    def log(self) -> str:
        return (self.folder / "server.log").read_text()


def lay_out(folder: Path) -> Path:
    folder.mkdir()
    for file in (*PAYLOAD.glob("sd_turbo_*"), PAYLOAD / "realtime_stream.py"):
        shutil.copy(file, folder)
    return folder


@contextmanager
def running(folder: Path, **env: str) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    python = str(require("diffusion"))
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [python, "-u", "realtime_stream.py"],
            cwd=folder,
            env={**OFFLINE, "SERVER_PORT": str(port), "OMP_NUM_THREADS": "1", **env},
            stdout=log,
            stderr=log,
        )
    try:
        yield Server(port, folder, process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    python = str(require("diffusion"))
    made = subprocess.run(
        [python, str(HERE / "tiny_diffusion.py"), str(folder)],
        env=OFFLINE, capture_output=True, text=True, timeout=LONG_S, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="module")
def servers(
    model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Server]]:
    """Run one with the model, and beside it one whose model cannot be had."""
    base = tmp_path_factory.mktemp("servers")
    with ExitStack() as stack:
        yield (
            stack.enter_context(
                running(
                    lay_out(base / "with"),
                    MODEL_ID=str(model), IMAGE_SIZE=str(SIZE), TARGET_FPS="4", INITIAL_PROMPT="a cat",
                    TORCH_COMPILE="default", PATH="/nonexistent",
                )
            ),
            stack.enter_context(running(lay_out(base / "without"), MODEL_ID="nobody/has-this")),
        )  # fmt: skip


async def test_the_real_libraries_load_the_model_and_draw_ever_new_pictures(
    servers: tuple[Server, Server],
) -> None:
    server, _ = servers
    await eventually(lambda: server.phase() == "generating", patience_s=LONG_S)
    pictures = server.frames(6)  # one is repeated while it waits for the next
    assert len(set(pictures)) >= 2
    for picture in pictures:
        with Image.open(BytesIO(picture)) as image:
            assert (image.format, image.size) == ("JPEG", (SIZE, SIZE))
    health = server.get("/healthz")
    assert (health["backend"], health["errors"], health["prompt"]) == ("diffusers", 0, "a cat")
    assert health["generation_s"] > 0
    # It was to be compiled, and there is no compiler: slower, and said.
    assert health["note"] == "compiling has failed, drawing in eager mode: InductorError"
    assert health["frames"] >= 2
    in_order = ["[init] loading", "[init] model loaded and compiled", "[gen] starting loop..."]
    places = [server.log().index(line) for line in in_order]
    assert places == sorted(places)


async def test_a_prompt_is_drawn_at_once_and_its_wait_is_measured(
    servers: tuple[Server, Server],
) -> None:
    server, _ = servers
    await eventually(lambda: server.phase() == "generating", patience_s=LONG_S)
    body = json.dumps({"prompt": "a dög on the mœn"}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/prompt", body)
    assert server.ask(request) == {"status": "ok", "prompt": "a dög on the mœn"}
    seen = server.get("/healthz")["frames"]
    await eventually(lambda: server.get("/healthz")["frames"] >= seen + 2, patience_s=LONG_S)
    health = server.get("/healthz")
    assert (health["queue_age_s"], health["errors"]) == (0.0, 0)
    kept = json.loads((server.folder / ".keeper" / "server.prompt").read_text())
    assert kept == {"declared": "a cat", "prompt": "a dög on the mœn"}


async def test_a_model_that_cannot_be_had_is_waited_for_and_said(
    servers: tuple[Server, Server],
) -> None:
    """The libraries' own words, not ours: what they say must be understood."""
    _, server = servers
    await eventually(lambda: server.phase() == "waiting", patience_s=LONG_S)
    health = server.get("/healthz")
    assert health["last_error"]["kind"] == "download", health
    assert health["frames"] == 0
    assert server.process.poll() is None
    # B8, by the workload's own judgement of the server's own brief word.
    workload = build("sd-turbo")
    facts = read_facts(json.dumps({"health": server.get("/healthz?brief")}).encode())
    assert facts is not None
    assert isinstance(workload, SdTurbo)
    case = Case(facts=facts, is_up=True, is_suspended=False, settings=workload.settings)
    symptom = diagnose(case)
    assert symptom is not None
    assert (symptom.code, symptom.remedy) == ("model_unavailable", Remedy.PERSON)


def test_the_set_up_takes_what_is_there_proves_it_and_finds_the_model(
    model: Path, tmp_path: Path
) -> None:
    """The real check by the real libraries: numpy, torch and the pipeline, without a GPU."""
    folder = lay_out(tmp_path / "host")
    python = require("diffusion")
    pins = "".join(f"{each}\n" for each in PRESETS[PinsName.CURRENT].requirements)
    (folder / "sd_turbo.pins").write_text(pins)
    done = subprocess.run(
        ["sh", "sd_turbo_setup.sh"],
        cwd=folder, env={**OFFLINE, "python": str(python), "MODEL_ID": str(model)},
        capture_output=True, text=True, timeout=LONG_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "has everything" in done.stdout
    assert f"the model is a folder: {model}" in done.stdout
    assert (folder / ".keeper" / "server.python").read_text().strip() == str(python)


def test_a_host_without_a_gpu_is_found_out_by_the_set_up(tmp_path: Path) -> None:
    """A CPU would draw one picture in many seconds, and everything would look well."""
    folder = lay_out(tmp_path / "host")
    done = subprocess.run(
        [str(require("diffusion")), "sd_turbo_model.py", "check"],
        cwd=folder, env={**OFFLINE, "DEVICE": "cuda"},
        capture_output=True, text=True, timeout=LONG_S, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    # A torch for processors alone is the wrong one; one with CUDA finds no device.
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith(("[imports]", "[gpu_lost]")), said


def test_what_is_tested_is_what_hosts_get() -> None:
    lock = (HERE / "diffusion.lock").read_text()
    locked = dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", lock, re.MULTILINE))
    pins = (pin.partition("==") for pin in PRESETS[PinsName.CURRENT].requirements)
    for name, _, version in pins:
        assert locked[name.replace("_", "-")] == version
