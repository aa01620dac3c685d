"""Plays the installer and the unit under a real systemd, as the first process of a box of its own.

Not part of `make check`: it needs root, overlay file systems, a cgroup2 hierarchy that may be mounted, Debian's
Python of the same minor version as this one, and a checkout outside of /root and /home, which the unit hides. The
box is this machine's file system with everything that is written thrown away, in namespaces of its own; a
simulated marketplace runs outside of it. Takes a minute or two and prints a line for each promise.

    python -m tests.integration.deploy.real_systemd
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.components import REPOSITORY
from tests.integration.deploy.bundles import archive, libraries

_HERE = Path(__file__).parent
_LIMIT_S = 400.0
_BROKEN = {"keeper/cli/run.py": "import sys\ndef run(): sys.exit('it does not start')\n"}


def main() -> int:
    """Play it; 0 when every promise was kept."""
    folder = Path(tempfile.mkdtemp(prefix="keeper-box-"))
    folder.chmod(0o755)
    wheels = libraries(folder)
    for version, changed in (("9.0.1", {}), ("9.0.2", {}), ("9.0.3", _BROKEN)):
        archive(folder, wheels, version, changed)
    for name in ("real_systemd_box.sh", "real_systemd_play.sh"):
        shutil.copy(_HERE / name, folder)
    keeper = Path(sys.executable).with_name("keeper")
    command = [str(keeper), "sim", "serve", "--port", "0", "--time-scale", "0.01"]
    market = subprocess.Popen(
        [*command, "--state", str(folder / "sim")], stdout=subprocess.PIPE, text=True
    )
    group = Path(_cgroup2()) / f"keeper-box-{os.getpid()}"
    try:
        assert market.stdout is not None
        (folder / "url").write_text(market.stdout.readline().split()[-1])
        (folder / "checkout").write_text(str(REPOSITORY))
        group.mkdir()
        box = ["unshare", "-m", "-p", "-u", "-i", "-C", "-f", "--kill-child"]
        script = f'echo $$ > {group}/cgroup.procs; exec {" ".join(box)} bash "$0" "$1"'
        subprocess.run(
            ["bash", "-c", script, str(folder / "real_systemd_box.sh"), str(folder)],
            check=False, timeout=_LIMIT_S,
        )  # fmt: skip
        told = (folder / "told").read_text()
    finally:
        market.terminate()
        market.communicate(timeout=60)
        for each in sorted(group.rglob("*/"), reverse=True):
            if each.is_dir():
                each.rmdir()
        group.rmdir()
    print(told)
    if told.endswith("over\n") and "FAIL" not in told:
        shutil.rmtree(folder)
        return 0
    print(f"everything that was said: {folder}/said")
    return 1


def _cgroup2() -> str:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return place
    sys.exit("no cgroup2 hierarchy is mounted here")


if __name__ == "__main__":
    sys.exit(main())
