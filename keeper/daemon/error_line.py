"""An error in one line: what it was, and what a person can do about it. Pure.

It knows nothing of secrets: whoever shows the line takes them out, and shortens it then.
"""

from __future__ import annotations

from keeper.ports import Malformed, Unauthorized

ERROR_MAX = 600  # characters of an error with its cure
_LINE_MAX = 4096  # of an error, before its secrets are taken out


def describe(error: BaseException) -> str:
    """Name an error in one line, and what a person can do about it where that is known.

    Not yet cut to what is shown: half a secret would not be recognised any more. ``shortened`` does
    that, once the secrets are out.
    """
    text = str(error).splitlines()[0][:_LINE_MAX] if str(error) else ""
    kind = "contract broken" if isinstance(error, Malformed) else type(error).__name__
    line = f"{kind}: {text}" if text else kind
    cure = error.cure if isinstance(error, Unauthorized) else ""
    return f"{line}; {cure}" if cure else line


def shortened(said: str) -> str:
    """Cut what an error says to what is kept of it."""
    return said if len(said) <= ERROR_MAX else f"{said[: ERROR_MAX - 1]}…"
