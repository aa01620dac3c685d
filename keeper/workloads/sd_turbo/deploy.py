"""What is carried to a host, and how the server is started, ended and cured there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote

from keeper.ports import Command, Job, Upload
from keeper.workloads import Step
from keeper.workloads import managers as manager_of
from keeper.workloads.sd_turbo.settings import SdTurboSettings

MANAGER = manager_of.Background(name="server", stop_s=5)
_SERVER_FILES = ("realtime_stream.py", "sd_turbo_state.py", "sd_turbo_http.py")
_BACKEND_FILES = {"diffusers": "sd_turbo_model.py", "test-card": "sd_turbo_card.py"}
_SETUP = "sd_turbo_setup.sh"

# A predecessor that nobody has a pid file for: Python, in our folder, with our file on its command
# line. No name is matched against other people's processes, nor against the shell that looks.
_END_STRAYS = r"""
here=$(cd -- "$workdir" 2>/dev/null && pwd -P) || exit 0
strays() {
    for folder in /proc/[0-9]*; do
        pid=${folder#/proc/}
        [ "$pid" != $$ ] && [ "$(readlink "$folder/cwd" 2>/dev/null)" = "$here" ] || continue
        case $(readlink "$folder/exe" 2>/dev/null) in */python*) ;; *) continue ;; esac
        case $(tr '\0' ' ' 2>/dev/null <"$folder/cmdline") in
        *' realtime_stream.py '* | *'/realtime_stream.py '*) echo "$pid" ;;
        esac
    done
}
for signal in TERM KILL; do
    found=$(strays)
    [ -n "$found" ] || exit 0
    echo "ending $(echo $found) by SIG$signal"
    kill -s "$signal" $found 2>/dev/null
    tries=0
    while [ -n "$(strays)" ] && [ "$tries" -lt 25 ]; do sleep 0.2; tries=$((tries + 1)); done
done
[ -z "$(strays)" ]
"""

# Only what nobody misses: the log before this one, and what pip has put aside.
_TRIM = r"""
cd -- "$workdir" 2>/dev/null || exit 0
rm -f -- server.log.1
rm -rf -- "${HOME:-/root}/.cache/pip"
tail -c 65536 -- server.log >server.log.end 2>/dev/null && cat server.log.end >server.log
rm -f -- server.log.end
exit 0
"""


@dataclass(frozen=True, slots=True)
class Putting:
    """The steps of one declaration; ``prompt`` is what is drawn at first."""

    settings: SdTurboSettings
    secrets: Mapping[str, str]
    prompt: str

    def put(self, act: str, *, is_new: bool) -> tuple[Step, ...]:
        """Carry everything there and set it up. ``is_new``: a set-up that has succeeded stands."""
        workdir = self.settings.workdir
        room = f"mkdir -p -- {quote(workdir)}/.keeper"
        names = (*_SERVER_FILES, _BACKEND_FILES[self.settings.generator], _SETUP)
        pins = "".join(f"{requirement}\n" for requirement in self._pins()).encode()
        return (
            Command(name="room", script=room),
            *(Upload(path=f"{workdir}/{name}", content=manager_of.payload(name)) for name in names),
            Upload(path=f"{workdir}/sd_turbo.pins", content=pins),
            self._setup(act, is_new=is_new),
        )

    def start(self, act: str) -> tuple[Step, ...]:
        """End whatever of ours runs, start, and see whether it stays."""
        return (*self.stop(f"{act}.stop"), *self._start(act))

    def stop(self, name: str) -> tuple[Command, ...]:
        """End whatever of ours runs, for certain."""
        return (
            *manager_of.end(MANAGER, name=name, workdir=self.settings.workdir),
            self._end_strays(),
        )

    def restart(self, symptom: str) -> tuple[Command, ...]:
        """End the server for certain and start it; what the symptom asks for comes in between."""
        act = "restart.process"
        between = [self._end_strays()]
        if symptom == "disk_full":
            between.append(self._command("trim", _TRIM))
        return (
            *manager_of.stop(MANAGER, name=f"{act}.stop", workdir=self.settings.workdir),
            *between,
            *self._start(act),
        )

    def env(self) -> dict[str, str]:
        """Return the server's environment; the operator's own comes before keeper's, secrets last."""
        declared = self.settings
        return {
            "BACKEND": declared.generator,
            "SERVER_PORT": str(declared.port),
            "BIND": declared.bind,
            "TARGET_FPS": f"{declared.target_frames_per_s:g}",
            "INITIAL_PROMPT": self.prompt,
            "DECLARED_PROMPT": declared.prompt,
            "VIEWERS_MAX": str(declared.viewers_max),
            "ERRORS_MAX": str(declared.errors_max),
            "JPEG_QUALITY": str(declared.jpeg_quality),
            "IMAGE_SIZE": str(declared.image_size),
            "TORCH_COMPILE": declared.compile,
            "XFORMERS": "1" if declared.xformers else "0",
            **self._model_env(),
            **declared.env,
            **self.secrets,
        }

    def _model_env(self) -> dict[str, str]:
        declared = self.settings
        return {"MODEL_ID": declared.model, "DEVICE": declared.device, "DTYPE": declared.dtype}

    def _setup(self, act: str, *, is_new: bool) -> Job:
        declared = self.settings
        variables = {
            "python": declared.python,
            "pip_args": " ".join(declared.pip_args),
            # One call of pip, or one try to bring the model, has most of the time and not all of it.
            "step_s": f"{declared.setup_max_s * 0.8:.0f}",
            "proves": "1" if declared.draws_by_model else "0",
        }
        assigned = "".join(f"{name}={quote(value)}\n" for name, value in variables.items())
        script = f"cd -- {quote(declared.workdir)} || exit 1\n{assigned}. ./{_SETUP}\n"
        contents = (
            script,
            *self._pins(),
            manager_of.payload(_SETUP).decode(),
            *self._model_env().values(),
        )
        return Job(
            name=f"{act}.setup",
            script=script,
            timeout_s=declared.setup_max_s,
            mark=hashlib.sha256("\0".join(contents).encode()).hexdigest()[:16],
            env={**self._model_env(), **declared.env, **self.secrets},
            # What it looked for may have been lost since it succeeded: then it looks again, in seconds.
            is_lasting=is_new,
        )

    def _pins(self) -> tuple[str, ...]:
        return self.settings.needed.requirements

    def _start(self, act: str) -> tuple[Command, ...]:
        # Unbuffered: a buffered log hid eight seconds of continuous errors in the original.
        start_line = 'exec "$(cat .keeper/server.python)" -u realtime_stream.py'
        workdir = self.settings.workdir
        return (
            *manager_of.start(
                MANAGER, name=f"{act}.start", workdir=workdir, start_line=start_line, env=self.env()
            ),
            *manager_of.verify(MANAGER, workdir=workdir),
        )

    def _end_strays(self) -> Command:
        return self._command("strays", _END_STRAYS)

    def _command(self, name: str, script: str) -> Command:
        return Command(name=name, script=f"workdir={quote(self.settings.workdir)}\n{script}")
