"""Images of this box that show how a picture may stand still: read when a configuration is, into grids.

One that cannot be read excuses nothing: that is said when a configuration is checked or read again, and
at a start it is only told, because what is on air must be looked after all the same.
"""

from __future__ import annotations

import io
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from keeper.probes.grid import COLUMNS, ROWS

_SIZE_MAX_BYTES = 20_000_000
_PIXELS_MAX = 40_000_000  # an 8K picture has 33 million; for a moment each takes some bytes


@dataclass(frozen=True, slots=True)
class SceneFile:
    """An image of this box that a view names, and where it is named."""

    where: str  # "file:line:col", or another source
    key: str
    path: str


class Unreadable(ValueError):
    """The image cannot be used; the message says why, and what to do."""


def grid_of(path: Path) -> bytes:
    """Read an image as looks see a picture. Raises Unreadable."""
    from PIL import Image  # noqa: PLC0415 - some milliseconds that few files need

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow thinks of it is no line of our log
            with Image.open(io.BytesIO(_content(path)), formats=["JPEG", "PNG"]) as image:
                if image.width * image.height > _PIXELS_MAX:
                    raise Image.DecompressionBombError
                # What is transparent shows nothing, which is black.
                shown = Image.new("RGBA", image.size, "black")
                shown.alpha_composite(image.convert("RGBA"))
    except Unreadable:
        raise
    except Image.DecompressionBombError as error:
        raise Unreadable(
            f"{path} has more than {_PIXELS_MAX // 1_000_000} million pixels: make it smaller"
        ) from error
    except (OSError, SyntaxError, ValueError, MemoryError) as error:
        raise Unreadable(f"{path} is no JPEG or PNG that can be read") from error
    return shown.convert("L").resize((COLUMNS, ROWS), Image.Resampling.BOX).tobytes()


def _content(path: Path) -> bytes:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise Unreadable(f"{path} is no file: name the image itself")
        if found.st_size > _SIZE_MAX_BYTES:
            raise Unreadable(
                f"{path} is larger than {_SIZE_MAX_BYTES // 1_000_000} MB: make it smaller"
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise Unreadable(
            f"{path} is not on this box: put the image there, or correct the path"
        ) from error
    except OSError as error:
        raise Unreadable(
            f"{path} cannot be read ({error.strerror}): let the user that runs keeper read it"
        ) from error


def unreadable(scene: SceneFile) -> Iterator[str]:
    """Say what is wrong with an image, if anything is."""
    try:
        grid_of(Path(scene.path))
    except Unreadable as error:
        yield str(error)
