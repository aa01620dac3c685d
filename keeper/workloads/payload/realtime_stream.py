"""Pictures drawn from a prompt without end, served as MJPEG: what keeper's sd-turbo puts on a host.

Stands alone: the standard library and Pillow, Python 3.8 or newer; the model's libraries are loaded
by ``sd_turbo_model.py`` and only when they are asked for, the test card by ``sd_turbo_card.py``.

    GET /         a page with the picture and a form       GET /healthz   what it knows of itself
    GET /stream   multipart/x-mixed-replace, for ever      POST /prompt   {"prompt": "..."}

One thread draws, one thread serves each viewer, and their number is bounded. It answers before the
model is there, so that loading can be told from silence. An error while drawing is never swallowed:
it is logged at once, counted and shown in /healthz; what no retry can cure, and several in a row, end
the process with an exit code of its own and a note in ``.keeper/server.death``, because nobody may be
there to read the code. The prompt is kept in ``.keeper/server.prompt`` and survives a restart.

Every option is an environment variable, too: ``realtime_stream.py --help`` names them.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from sd_turbo_http import Handler, Server
from sd_turbo_state import PROMPT_MAX, TEXT_MAX, Failed, Stream, kind_of, say

ERROR_PAUSE_S = 0.5
# Between two tries to get the model: a rate limit is lifted after minutes.
LOAD_PAUSE_MIN_S, LOAD_PAUSE_MAX_S = 5.0, 120.0
DEATH_FILE = Path(".keeper/server.death")

# What no retry in this process can cure, and the exit code that says so.
FATAL = {"imports": 20, "numpy": 21, "no_kernel": 22, "driver": 23, "port_in_use": 24, "refused": 25}
ERRORS_IN_A_ROW, OTHER_FATAL = 30, 31


class Generator:
    """Loads the backend and draws without end. Runs in one thread: CUDA graphs belong to a thread."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.backend: Any = None

    def run(self) -> None:
        """Never return: what cannot go on ends the process."""
        try:
            self._load()
            say("[gen] starting loop...")
            self._draw_for_ever()
        except BaseException as error:
            die(error, OTHER_FATAL)

    def _load(self) -> None:
        pause_s = LOAD_PAUSE_MIN_S
        options = self.stream.options
        say(f"[init] loading {options.model if options.backend == 'diffusers' else options.backend} ...")
        while True:
            try:
                name = "sd_turbo_card" if options.backend == "test-card" else "sd_turbo_model"
                module = importlib.import_module(name)
                self.backend = module.load(options, say)
            except Exception as error:
                self._note(error, "[init] the model could not be loaded")
                if kind_of(error) not in ("download", "disk_full"):
                    die(error, OTHER_FATAL)
                self.stream.phase = "waiting"
                time.sleep(pause_s)
                pause_s = min(LOAD_PAUSE_MAX_S, 2 * pause_s)
            else:
                self.stream.note = self.backend.note
                self.stream.check_prompt = self.backend.check_prompt
                self.stream.check_page = self.backend.check_page
                self.stream.phase, self.stream.errors_in_a_row = "warming", 0
                say("[init] model loaded and compiled")
                return

    def _draw_for_ever(self) -> None:
        stream, per_frame_s = self.stream, 1 / self.stream.options.fps
        due = time.monotonic()
        while True:
            prompt, began = stream.prompt.text, time.monotonic()
            try:
                picture = self.backend.draw(prompt)
                if picture is not None:
                    stream.publish(encoded(picture, stream.options.quality), time.monotonic() - began)
                    stream.prompt.drawn(prompt)
                elif self.backend.is_silent:
                    stream.clear()
                stream.note = self.backend.note
            except Exception as error:
                self._note(error, "[gen] Error during image generation")
                if kind_of(error) in FATAL:
                    die(error, OTHER_FATAL)
                if stream.errors_in_a_row >= stream.options.errors_max:
                    die(error, ERRORS_IN_A_ROW)
                self.backend.recover()
                time.sleep(ERROR_PAUSE_S)
            due = max(due + per_frame_s, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))

    def _note(self, error: Exception, what: str) -> None:
        kind = kind_of(error)
        is_known = self.stream.last_error is not None and self.stream.last_error[0] == kind
        self.stream.fail(kind, f"{type(error).__name__}: {error}")
        say(f"{what}: [{kind}, {self.stream.errors_in_a_row} in a row] {type(error).__name__}: {error}")
        if not is_known:  # once a kind is enough, or a bad hour fills the disk
            say("".join(traceback.format_exception(type(error), error, error.__traceback__)))


def encoded(picture: Any, quality: int) -> bytes:
    """Return the picture as a JPEG. Raises when it is black all over: half precision has broken down."""
    darkest_to_brightest = picture.convert("L").getextrema()
    if darkest_to_brightest[1] <= 2 and not getattr(picture, "is_meant", False):
        raise Failed("black", "the picture is black all over (not a number in half precision?)")
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def die(error: BaseException, otherwise: int) -> None:
    """End the process for good, and leave a note of why."""
    kind = kind_of(error)
    code = FATAL.get(kind, otherwise)
    text = f"{type(error).__name__}: {error}"[:TEXT_MAX]
    say(f"[exit] {kind}, exit code {code}: {text}")
    traceback.print_exception(type(error), error, error.__traceback__)
    try:
        DEATH_FILE.parent.mkdir(parents=True, exist_ok=True)
        DEATH_FILE.write_text(json.dumps({"kind": kind, "code": code, "text": text}) + "\n")
    except OSError:
        pass
    sys.stderr.flush()
    os._exit(code)


def options_of(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; what it does not name comes from the environment."""
    env = os.environ
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--backend", choices=("diffusers", "test-card"), default=env.get("BACKEND") or "diffusers")
    # SERVER_HOST is the name that its forerunners know; BIND is what keeper was told.
    add("--bind", default=env.get("SERVER_HOST") or env.get("BIND") or "127.0.0.1")
    add("--port", type=int, default=int(env.get("SERVER_PORT") or 8000))
    add("--prompt", default=(env.get("INITIAL_PROMPT") or "cat")[:PROMPT_MAX])
    add("--declared-prompt", default=env.get("DECLARED_PROMPT"))
    add("--prompt-file", default=env.get("PROMPT_FILE") or ".keeper/server.prompt")
    add("--fps", type=float, default=float(env.get("TARGET_FPS") or 30), help="TARGET_FPS")
    add("--model", default=env.get("MODEL_ID") or "stabilityai/sd-turbo")
    add("--device", choices=("auto", "cuda", "cpu"), default=env.get("DEVICE") or "auto")
    add("--dtype", choices=("auto", "float16", "bfloat16", "float32"), default=env.get("DTYPE") or "auto")
    add("--compile", default=env.get("TORCH_COMPILE") or "", help="a mode of torch.compile; empty: eager")
    add("--xformers", action="store_true", default=env.get("XFORMERS") == "1")
    add("--size", type=int, default=int(env.get("IMAGE_SIZE") or 512), help="IMAGE_SIZE, in pixels")
    add("--quality", type=int, default=int(env.get("JPEG_QUALITY") or 80), help="JPEG_QUALITY")
    add("--viewers-max", type=int, default=int(env.get("VIEWERS_MAX") or 32))
    add("--errors-max", type=int, default=int(env.get("ERRORS_MAX") or 8), help="in a row")
    options = parser.parse_args(arguments)
    options.fps = min(240.0, max(0.1, options.fps))
    if options.declared_prompt is None:
        options.declared_prompt = options.prompt
    return options


def main(arguments: list[str]) -> None:
    """Serve until killed."""
    options = options_of(arguments)
    try:
        DEATH_FILE.unlink()
    except OSError:
        pass
    stream = Handler.stream = Server.stream = Stream(options)
    generator = Generator(stream)
    try:
        # Room for a page, a prompt and keeper's own questions beside a full house of viewers.
        server = Server((options.bind, options.port), options.viewers_max + 16)
    except (OSError, OverflowError) as error:
        die(error, OTHER_FATAL)
        raise
    threading.Thread(target=generator.run, name="generator", daemon=True).start()
    say(f"[http] running on {options.bind}:{options.port}")
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
