"""What a decoder's process does with one clip, where no thread can be started: as for every user but root.

A decoder allows itself no other process or thread (RLIMIT_NPROC), and the kernel lets root start them all the
same. So they are refused here by a filter, whoever runs it.

    python -m tests.integration.deploy.threadless
"""

import dataclasses
import errno
import json
import os

from keeper.adapters import decoder_child, watching
from keeper.ports import PictureLimits
from tests.coded_clip import coded
from tests.integration.deploy.sandbox import Filter

_CLONE_THREAD = 0x00010000


def main() -> None:
    """Load everything, refuse threads, look."""
    clip = coded(seconds=1.0, loudness=0.5)
    memory = os.memfd_create("clip")
    os.write(memory, clip)
    decoder_child._MEMORY_FD = memory
    assert watching.PIXELS_MAX > 0  # loaded before threads are refused, as a decoder loads it
    refused = Filter()
    refused.deny("clone", errno.EAGAIN, (0, _CLONE_THREAD))
    refused.deny(
        "clone3", errno.ENOSYS
    )  # its flags cannot be looked at; the library then takes the other
    refused.load()
    found = decoder_child._segments(
        {
            "kind": "segments",
            "sizes": [len(clip)],
            "now_s": 0.0,
            "memory": "",
            "ignored": [],
            "wants_frame": True,
            "at_s": [],
            "limits": dataclasses.asdict(PictureLimits()),
        }
    )
    print(json.dumps({"frames": found["frames"], "has_jpeg": bool(found["jpeg"])}))


if __name__ == "__main__":
    main()
