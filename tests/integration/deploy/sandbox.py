"""A stand-in for the part of systemd that closes a service in, for machines where systemd is not running.

It reads the unit, does to itself what the unit says, and becomes the command: the same system calls are
refused by the same library, written memory cannot be executed, other address families do not exist, and, for
root, the capabilities go and every file system but the unit's own folders is read-only. What it leaves out:
cgroups and devices, ``ProtectHome`` and ``PrivateUsers`` (the tests' Python may live in /root).

    python sandbox.py UNIT SCRATCH WRITABLE[:WRITABLE] COMMAND...
"""

import contextlib
import ctypes
import ctypes.util
import errno
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_NE, _LT, _LE, _EQ, _GE, _GT, _MASKED_EQ = range(1, 8)
_PR_SET_NO_NEW_PRIVS, _PR_CAPBSET_DROP = 38, 24
_CLONE_NEWNS = 0x00020000
_NAMESPACES = 0x7E020080 | 0x00000080  # CLONE_NEW*: mount, cgroup, uts, ipc, user, pid, net, time
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
_MS_NOSUID, _MS_NODEV = 2, 4


class _Compare(ctypes.Structure):
    _fields_ = [
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    ]


class Unit:
    """The lines of a service, as far as they close it in."""

    def __init__(self, path: Path) -> None:
        self._text = path.read_text()

    def values(self, key: str) -> list[str]:
        return re.findall(rf"^{key}=(.*)$", self._text, flags=re.MULTILINE)

    def has(self, key: str) -> bool:
        return self.values(key)[-1:] == ["yes"]

    def calls(self) -> set[str]:
        """Return the names of the system calls that are left."""
        left: set[str] = _members("@default")
        for line in self.values("SystemCallFilter"):
            names = line.removeprefix("~").split()
            meant = {call for name in names for call in _members(name)}
            left = left - meant if line.startswith("~") else left | meant
        return left

    def limits(self) -> dict[int, int]:
        kinds = {"LimitNOFILE": resource.RLIMIT_NOFILE, "LimitCORE": resource.RLIMIT_CORE}
        return {kind: int(self.values(key)[-1]) for key, kind in kinds.items()}


_SETS: dict[str, list[str]] = {}


def _members(name: str) -> set[str]:
    """Spell out a set of system calls, by systemd's own word."""
    if not _SETS:
        told = subprocess.run(
            ["systemd-analyze", "--no-pager", "syscall-filter"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        current = ""
        for line in told.splitlines():
            word = line.strip()
            if line.startswith("@"):
                current = word
                _SETS[current] = []
            elif current and word and not word.startswith("#"):
                _SETS[current].append(word)
    if not name.startswith("@"):
        return {name}
    return {call for each in _SETS[name] for call in _members(each)}


class Filter:
    """A filter of libseccomp, as systemd makes them."""

    def __init__(self, otherwise: int = _ALLOW) -> None:
        self._lib = ctypes.CDLL(ctypes.util.find_library("seccomp") or "libseccomp.so.2")
        self._lib.seccomp_init.restype = ctypes.c_void_p
        self._lib.seccomp_init.argtypes = [ctypes.c_uint32]
        for name in ("seccomp_load", "seccomp_release"):
            getattr(self._lib, name).argtypes = [ctypes.c_void_p]
        self._lib.seccomp_rule_add_array.argtypes = [
            ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p
        ]  # fmt: skip
        self._filter = self._lib.seccomp_init(otherwise)

    def deny(self, call: str, error: int, *bits: tuple[int, int]) -> None:
        """Refuse a call with an error, where an argument has all these bits."""
        self.rule(_ERRNO | error, call, *[(at, _MASKED_EQ, mask, mask) for at, mask in bits])

    def rule(self, action: int, call: str, *compares: tuple[int, int, int, int]) -> None:
        """Add a rule; a call that this architecture does not have is passed over."""
        number = self._lib.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            return
        array = (_Compare * max(1, len(compares)))(*[_Compare(*each) for each in compares])
        answer = self._lib.seccomp_rule_add_array(
            self._filter, action, number, len(compares), ctypes.byref(array)
        )
        if answer not in {0, -errno.EEXIST}:
            message = f"libseccomp refuses a rule for {call}: {os.strerror(-answer)}"
            raise OSError(message)

    def load(self) -> None:
        answer = self._lib.seccomp_load(self._filter)
        if answer:
            raise OSError(-answer, f"the filter cannot be loaded: {os.strerror(-answer)}")
        self._lib.seccomp_release(self._filter)


def close_in(unit: Unit, scratch: Path, writable: Sequence[Path]) -> None:
    """Do to this process what the unit says. There is no way back."""
    for kind, limit in unit.limits().items():
        hard = resource.getrlimit(kind)[1]
        bound = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (bound, bound))
    calls = unit.calls()  # asks systemd-analyze, which needs what goes now
    if os.getuid() == 0:
        _mount(unit, scratch, writable)
        _drop_capabilities()
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _forbid(unit)
    refused = _ERRNO | getattr(errno, unit.values("SystemCallErrorNumber")[-1])
    rest = Filter(refused)
    for call in sorted(calls):
        rest.rule(_ALLOW, call)
    rest.load()


def _forbid(unit: Unit) -> None:
    """Load what is refused by the arguments of a call; a filter each, as systemd does."""
    denied = _ERRNO | errno.EPERM
    some = Filter(_ALLOW)
    if unit.has("MemoryDenyWriteExecute"):
        some.rule(denied, "mmap", (2, _MASKED_EQ, 6, 6))
        some.rule(denied, "mprotect", (2, _MASKED_EQ, 4, 4))
        some.rule(denied, "pkey_mprotect", (2, _MASKED_EQ, 4, 4))
        some.rule(denied, "shmat", (2, _MASKED_EQ, 0o100000, 0o100000))
    if unit.has("RestrictNamespaces"):
        some.rule(denied, "unshare")
        some.rule(denied, "setns")
        some.rule(_ERRNO | errno.ENOSYS, "clone3")
        for bit in (1 << number for number in range(32)):
            if bit & _NAMESPACES:
                some.rule(denied, "clone", (0, _MASKED_EQ, bit, bit))
    if unit.has("RestrictSUIDSGID"):
        for bit in (0o4000, 0o2000):
            for call, argument in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("mkdir", 1)):
                some.rule(denied, call, (argument, _MASKED_EQ, bit, bit))
    if unit.has("LockPersonality"):
        some.rule(denied, "personality", (0, _NE, 0, 0))
    some.load()
    families = [
        getattr(socket, name) for name in unit.values("RestrictAddressFamilies")[-1].split()
    ]
    absent = _ERRNO | errno.EAFNOSUPPORT
    others = Filter(_ALLOW)
    for family in range(46):
        if family not in families:
            others.rule(absent, "socket", (0, _EQ, family, 0))
    others.rule(absent, "socket", (0, _GT, 45, 0))
    others.load()


def _mount(unit: Unit, scratch: Path, writable: Sequence[Path]) -> None:
    """Make every file system read-only but the given folders, and give it a /tmp of its own."""
    if not (unit.has("PrivateTmp") and unit.values("ProtectSystem") == ["strict"]):
        return
    libc = ctypes.CDLL(None, use_errno=True)

    def call(what: str, *arguments: object) -> None:
        if getattr(libc, what)(*arguments):
            number = ctypes.get_errno()
            raise OSError(number, f"{what}{arguments}: {os.strerror(number)}")

    def mount(source: str, target: str, kind: bytes | None, flags: int, data: bytes = b"") -> None:
        words = (source.encode(), target.encode(), kind, ctypes.c_ulong(flags), data)
        call("mount", *words)

    try:
        call("unshare", _CLONE_NEWNS)
    except PermissionError:
        return  # root of a container, who may not mount
    mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    own = scratch / "tmp"
    own.mkdir(exist_ok=True)
    own.chmod(0o1777)
    kept = [*writable, own]
    for folder in kept:
        mount(str(folder), str(folder), None, _MS_BIND)
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    places = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    for place in places:
        if place.startswith(("/proc", "/dev", "/sys")) or Path(place) in kept:
            continue
        try:
            mount("none", place, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.ENOENT}:  # hidden below another one
                raise
    if unit.values("ProcSubset") == ["pid"]:
        with contextlib.suppress(PermissionError):  # a container's /proc has things mounted over it
            mount("proc", "/proc", b"proc", _MS_NOSUID | _MS_NODEV, b"subset=pid,hidepid=invisible")
    os.environ["TMPDIR"] = str(own)


def _drop_capabilities() -> None:
    """Empty the bounding set: what is executed next has no capability, not even as root."""
    number = 0
    while ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) == 0:
        number += 1


def _prctl(what: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(what, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def main() -> None:
    """Close in, and become the command."""
    unit, scratch, writable, *command = sys.argv[1:]
    folders = [Path(each) for each in writable.split(":") if each]
    close_in(Unit(Path(unit)), Path(scratch), folders)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
