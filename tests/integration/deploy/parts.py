"""What keeper starts besides itself, done once, in a line of JSON: run inside ``sandbox.py``.

python -m tests.integration.deploy.parts STATE_DIR
"""

import asyncio
import json
import sys
from pathlib import Path

import aioice
import ifaddr

from keeper.adapters.decoder import Decoders
from keeper.adapters.slates import ProcessSlates
from keeper.ports import PictureLimits, PortError, SlateLook
from tests.coded_clip import coded

LOOK = SlateLook(
    title="Duel", subtitle="soon", width=160, height=90, frames_per_s=12, bitrate_bps=100_000
)


async def tried(state_dir: Path) -> dict[str, object]:
    """Decode a clip, render a slate, ask for the addresses of this box as a WebRTC player does."""
    told: dict[str, object] = {}
    decoders = Decoders()
    try:
        found = await decoders.segments([coded(seconds=1.0, loudness=0.5)], PictureLimits())
        told["frames"], told["decoding"] = found.frames, found.error
    finally:
        await decoders.close()
    try:
        await ProcessSlates(state_dir).prepare(LOOK)
    except PortError as error:
        told["slate"] = str(error)
    told["slates"] = [each.stat().st_size > 0 for each in (state_dir / "slates").glob("*.mp4")]
    try:
        told["adapters"] = len(list(ifaddr.get_adapters()))
        connection = aioice.Connection(ice_controlling=True)
        await connection.gather_candidates()
        await connection.close()
        told["addresses"] = "gathered"
    except OSError as error:
        told["addresses"] = str(error)
    return told


if __name__ == "__main__":
    print(json.dumps(asyncio.run(tried(Path(sys.argv[1])))))
