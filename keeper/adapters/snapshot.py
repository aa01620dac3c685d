"""Looks at a picture that is asked for one at a time: twice within a look, and against the look before.

What a server says of its answer is not believed; only whether the bytes are the same ones, and what they
decode to, counts.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from keeper.adapters.kept import Kept, digest_of
from keeper.adapters.mjpeg import FRAME_MAX_BYTES, FrameTally
from keeper.adapters.reach import HTTP_OK, Answer, Ended, Reach
from keeper.ports import PictureLimits

_AGAIN_S = (
    1.0  # what is made anew at all is made anew in a second; slower ones show from look to look
)
_PATIENCE_SHARE = 0.5  # of a look's time may have passed, and there is a second picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """What one look has found."""

    tally: FrameTally
    shots: tuple[
        tuple[float, bytes], ...
    ]  # the different ones that are whole, and when they were asked for
    age_s: float  # since the newest was first seen
    is_same: bool  # the very bytes of the look before, and nothing else


async def take(reach: Reach, url: str, limits: PictureLimits, kept: Kept) -> Pictures:
    """Look once, and note in ``kept`` what the next look needs. Raises Ended."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    bytes_max = min(limits.bytes_max, FRAME_MAX_BYTES)
    tally = FrameTally()
    first = await _picture(reach, url, bytes_max)
    tally.add(first)
    shots = [(began_s, first)]
    if loop.time() - began_s < limits.timeout_s * _PATIENCE_SHARE:
        await asyncio.sleep(min(_AGAIN_S, limits.sample_s))
        again_s = loop.time()
        try:
            second = await _picture(reach, url, min(bytes_max, limits.bytes_max - reach.bytes_read))
        except Ended:
            second = b""  # the next look sees whether that was all; of this one there is a picture
        if second:
            tally.add(second)
            if second != first:
                shots.append((again_s, second))
    name = digest_of(tally.newest).hex() if tally.newest else ""
    is_same = bool(name) and name == kept.newest and tally.unique == 1 and kept.sample is not None
    if not is_same:
        kept.newest, kept.since_s = name, shots[-1][0]
    return Pictures(
        tally=tally,
        shots=tuple((at_s, each) for at_s, each in shots if each in (tally.other, tally.newest)),
        age_s=loop.time() - kept.since_s,
        is_same=is_same,
    )


async def _picture(reach: Reach, url: str, bytes_max: int) -> bytes:
    answer: Answer = await reach.get(url, bytes_max)
    if answer.status != HTTP_OK:
        raise Ended("", status=answer.status)
    if answer.is_late:
        raise Ended("timeout", status=HTTP_OK)
    if not answer.body:
        raise Ended("an empty answer", status=HTTP_OK)
    return answer.body.rstrip(b"\r\n\x00")  # what some cameras send after it
