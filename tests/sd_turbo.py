"""SD-Turbo's failure catalogue as one table: how each row is made on a real host, and what must follow.

The rows are played by hand in `tests/integration/workloads`, through the whole daemon in `tests/e2e`. The
test card stands in for the model, and says word for word what the libraries would.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keeper.core.model import Remedy
from keeper.core.reasons import Reason

PROCESS, WORKLOAD = Remedy.RESTART_PROCESS, Remedy.RESTART_WORKLOAD

# Under which every row can be made within seconds.
TIGHT: Mapping[str, Any] = {
    "generator": "test-card",
    "target_frames_per_s": 10.0,
    "stuck_s": 5,
    "slow_s": 0,
    "slow_ratio": 0.8,
    "viewers_max": 20,
}
# For how long a request that crashed is remembered, against five minutes on a host.
TIGHT_ENV = {"REQUEST_ERRORS_WINDOW_S": "6"}

_KILL = 'read -r pid start <.keeper/server.pid; kill -s "{signal}" "$pid"'
_UNTIL_FAILED = """\
printf %s prompt >fault
tries=0
while [ "$tries" -lt 100 ]; do
    tries=$((tries + 1))
    code=$(curl -s -m 5 --noproxy '*' -o answer -w '%{http_code}' -d '{"prompt":"cat"}' "$url/prompt")
    if [ "$code" = 500 ]; then exit 0; fi
    sleep 0.1
done
exit 1
"""
_UNTIL_CRASHED = """\
printf %s page >fault
tries=0
while [ "$tries" -lt 100 ]; do
    tries=$((tries + 1))
    curl -s -m 5 --noproxy '*' -o answer "$url/"
    if [ "$(grep -c 'Error: TypeError' server.log)" -ge 8 ]; then exit 0; fi
    sleep 0.1
done
exit 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One row. ``make`` is shell in the working directory, with ``$url`` for the server."""

    row: str
    make: str
    symptom: str
    remedy: Remedy
    said: str  # in the sentence
    seen: Reason | None = None  # what a viewer may see of it before the server says anything
    mend: str = "rm -f fault"  # a person's work, where keeper must do nothing


def card(word: str) -> str:
    """Return the shell that tells the test card to go wrong."""
    return f"printf %s '{word}' >fault"


FAULTS = (
    Fault(
        row="B1-errors", make=card("error other"), symptom="generator_fails", remedy=PROCESS,
        said="mat1 and mat2", seen=Reason.FROZEN,
    ),
    Fault(
        row="B1-hangs", make=card("freeze"), symptom="generator_stuck", remedy=PROCESS,
        said="no new picture", seen=Reason.FROZEN,
    ),
    Fault(
        row="B2", make=card("error oom"), symptom="gpu_memory_full", remedy=PROCESS,
        said="out of memory", seen=Reason.FROZEN,
    ),
    Fault(
        row="B4", make=card("error numpy"), symptom="numpy_mismatch", remedy=WORKLOAD,
        said="Numpy is not available",
    ),
    Fault(
        row="B5", make=card("error imports"), symptom="imports_fail", remedy=WORKLOAD,
        said="cached_download",
    ),
    Fault(
        row="B6-files",
        make=f"rm realtime_stream.py sd_turbo_http.py && {_KILL.format(signal='KILL')}",
        symptom="files_missing", remedy=WORKLOAD, said="files",
    ),
    Fault(
        row="B9", make=_UNTIL_CRASHED, symptom="requests_fail", remedy=PROCESS,
        said="requests have crashed", seen=Reason.UNREACHABLE,
    ),
    Fault(
        row="B10", make=_UNTIL_FAILED, symptom="prompts_fail", remedy=Remedy.PERSON,
        said="prompts could not be taken",
    ),
    Fault(
        row="B11", make=_KILL.format(signal="STOP"), symptom="server_silent", remedy=PROCESS,
        said="suspended", seen=Reason.NO_BYTES,
    ),
    Fault(
        row="B15", make=_KILL.format(signal="KILL"), symptom="vanished", remedy=PROCESS,
        said="left no word",
    ),
    Fault(
        row="B16", make=card("slow"), symptom="slow", remedy=Remedy.PERSON,
        said="pictures a second",
    ),
    Fault(
        row="H10", make=card("error disk"), symptom="disk_full", remedy=PROCESS,
        said="No space left", seen=Reason.FROZEN,
    ),
    # What ends a host, last.
    Fault(
        row="H7", make=card("error gpu"), symptom="gpu_lost", remedy=Remedy.REBOOT,
        said="unspecified launch failure",
    ),
    Fault(
        row="B3", make=card("error kernel"), symptom="no_kernel", remedy=Remedy.REPLACE,
        said="no kernel image",
    ),
    Fault(
        row="B3-driver", make=card("error driver"), symptom="driver_too_old",
        remedy=Remedy.REPLACE, said="insufficient",
    ),
)  # fmt: skip
# Only by more than a shell, with the real libraries, or in time alone: those tests name them.
ELSEWHERE = frozenset(
    {
        "port_in_use", "loading", "load_stuck", "model_refused", "model_unavailable",
        "threads_leak", "not_listening", "port_of_another",
    }
)  # fmt: skip
