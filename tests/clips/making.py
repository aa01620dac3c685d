"""Makes the clips of the table, once for all who ask: ffmpeg, cached in a folder, behind a lock."""

import fcntl
import hashlib
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.clips import stills
from tests.clips.table import MJPEG, NOTHING, Clip
from tests.components import require

_JOBS = 2  # ffmpeg at once; each uses one thread
_DONE = ".done"


def file_of(clip: Clip, folder: Path, way: str) -> Path:
    """Say where a clip lies, in the form that a way of sending it needs."""
    name = hashlib.blake2b(clip.name.encode(), digest_size=6).hexdigest()
    suffix = "mjpeg" if way == MJPEG else "mkv" if "flv1" in clip.codec else "mp4"
    return folder / f"{name}.{suffix}"


def make(wanted: Iterable[tuple[Clip, str]], folder: Path) -> None:
    """Make what is wanted and not there yet. Several processes may ask at once; one of them makes."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "logo.png").exists():
            stills.draw_all(folder)
        files = {file_of(clip, folder, way): (clip, way) for clip, way in wanted}
        missing = [row for file, row in files.items() if not file.exists()]
        with ThreadPoolExecutor(_JOBS) as jobs:
            for _ in jobs.map(lambda row: _make(row[0], row[1], folder), missing):
                pass


def _make(clip: Clip, way: str, folder: Path) -> None:
    done = file_of(clip, folder, way)
    draft = done.with_suffix(f".draft{done.suffix}")
    _ffmpeg(*_inputs(clip, way, folder), *_pressed(clip, way), str(draft))
    if clip.damage and way != MJPEG:
        whole = draft.rename(draft.with_suffix(".whole" + draft.suffix))
        _ffmpeg("-i", str(whole), "-c", "copy", "-bsf:v", clip.damage, str(draft))
        whole.unlink()
    draft.rename(done)


def _ffmpeg(*words: str) -> None:
    command = ["nice", "-n", "5", str(require("ffmpeg")), "-hide_banner", "-loglevel", "error"]
    subprocess.run([*command, "-nostdin", "-y", *words], check=True, timeout=120)


def _inputs(clip: Clip, way: str, folder: Path) -> list[str]:
    """Name the stills and the sound, and how the picture is made of them."""
    words: list[str] = []
    for still in clip.stills:
        words += ["-framerate", str(clip.rate), "-i", str(folder / f"{still}.png")]
    has_sound = bool(clip.sound) and way != MJPEG
    if has_sound:
        words += ["-f", "lavfi", "-i", clip.sound]
    if clip.has_picture:
        words += ["-filter_complex", f"{_graph(clip)},format=yuv420p[v]", "-map", "[v]"]
    if has_sound:
        words += ["-map", f"{len(clip.stills)}:a"]
    return words


def _graph(clip: Clip) -> str:
    width, height = clip.size
    loop = f"loop=-1:1,setpts=N/({clip.rate}*TB)"
    places = {
        "{stand}": f"scale={width}:{height},{loop}",
        "{boxed}": f"scale={width}:{height * 3 // 4},pad={width}:{height}:0:{height // 8},{loop}",
        "{loop}": loop,
        "{w}": str(width),
        "{h}": str(height),
        "{rate}": str(clip.rate),
    }
    graph = clip.graph
    for place, words in places.items():
        graph = graph.replace(place, words)
    return graph


def _pressed(clip: Clip, way: str) -> list[str]:
    words = ["-t", str(clip.seconds), "-r", str(clip.rate), "-threads", "1"]
    if way == MJPEG:
        return [*words, "-c:v", "mjpeg", "-q:v", "5", "-pix_fmt", "yuvj420p", "-f", "mjpeg"]
    gop = round(clip.gop_s * clip.rate)
    if clip.has_picture:
        words += [
            *clip.codec.split(),
            "-g",
            str(gop),
            "-keyint_min",
            str(gop),
            "-sc_threshold",
            "0",
        ]
    if clip.sound:
        quiet = ["-b:a", "32k"] if clip.sound == NOTHING else ["-b:a", "64k"]
        words += ["-c:a", "aac", "-ac", "1", "-ar", "44100", *quiet]
    return words
