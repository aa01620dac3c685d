"""Hears each write to a store from the kernel, so that a process can die in the middle of a commit.

SQLite writes a commit to its log page by page and flushes it then; the first of these writes is the
earliest sign of a commit that anybody outside can have. Linux only, standard library only.
"""

from __future__ import annotations

import ctypes
import os
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

_LOG = "keeper.db-wal"
_IN_MODIFY = 0x2
_EVENT = struct.Struct("iIII")
_BUFFER = 16_384
# Writes that come closer than this are of one commit: its pages follow at once, its flush takes longer.
_BURST_S = 0.003


def watch(state: Path, heard: Callable[[], None]) -> Callable[[], None]:
    """Call ``heard``, from a thread, at each commit's first write; returns how to stop it."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init()
    if descriptor < 0 or libc.inotify_add_watch(descriptor, os.fsencode(state), _IN_MODIFY) < 0:
        raise OSError(ctypes.get_errno(), "the kernel does not tell of writes")
    is_over = threading.Event()

    def listen() -> None:
        last_s = 0.0
        while not is_over.is_set():
            told = os.read(descriptor, _BUFFER)
            now_s = time.monotonic()
            if _is_of_the_log(told):
                if now_s - last_s > _BURST_S and not is_over.is_set():
                    heard()
                last_s = now_s

    thread = threading.Thread(target=listen, name="store watcher", daemon=True)
    thread.start()

    def stop() -> None:
        is_over.set()
        (state / "the-end").write_text("wakes the reader")
        thread.join(timeout=5.0)
        os.close(descriptor)

    return stop


def _is_of_the_log(told: bytes) -> bool:
    position = 0
    while position < len(told):
        *_, length = _EVENT.unpack_from(told, position)
        name = told[position + _EVENT.size : position + _EVENT.size + length]
        if name.rstrip(b"\0") == _LOG.encode():
            return True
        position += _EVENT.size + length
    return False
