"""What another host would not cure: the rows of the catalogues whose ladder ends before one."""

from __future__ import annotations

from typing import Protocol

import pytest

from keeper.core.model import Remedy, Rung
from keeper.workloads.hyperscape_duel.symptoms import ROWS as DUEL
from keeper.workloads.pixel_streaming.symptoms import CATALOGUE as PIXEL
from keeper.workloads.sd_turbo.symptoms import ROWS as TURBO


class Row(Protocol):
    """What the catalogues' rows have in common."""

    @property
    def code(self) -> str: ...
    @property
    def remedy(self) -> object: ...
    @property
    def dearest(self) -> Rung: ...
    @property
    def is_partial(self) -> bool: ...


P, W, B = Rung.RESTART_PROCESS, Rung.RESTART_WORKLOAD, Rung.REBOOT
CATALOGUES: dict[str, tuple[Row, ...]] = {
    "hyperscape-duel": DUEL,
    "pixel-streaming": PIXEL,
    "sd-turbo": TURBO,
}
# Whatever is not here may cost another host in the end. What is there in part, and what a person
# follows according to the catalogue, may not.
DEAREST = {
    "hyperscape-duel": {
        "database": W, "page_timeout": W, "chrome_missing": W, "idle_disconnect": W,
        "other_commit": W, "phase_stuck": P, "agents_stand_still": P, "sound_gone": P,
        "in_maintenance": W, "bad_build": W, "no_space": W, "no_fighters": W,
    },
    "pixel-streaming": {
        "placeholder": B, "caddy_down": P, "relay_down": P, "audio_down": P, "portal_down": P,
        "tunnel_gone": P,
    },
    "sd-turbo": {"numpy_mismatch": W, "imports_fail": W, "requests_fail": P, "threads_leak": P},
}  # fmt: skip
# Viewers have a picture with these: where keeper has none, they are not what is wrong.
PARTIAL = {
    "hyperscape-duel": {
        "other_commit", "phase_stuck", "agents_stand_still", "sound_gone", "platform_down",
        "in_maintenance", "no_space", "no_fighters",
    },
    "pixel-streaming": set(DEAREST["pixel-streaming"]),
    "sd-turbo": {"requests_fail", "threads_leak", "prompts_fail", "slow"},
}  # fmt: skip


@pytest.mark.parametrize("kind", CATALOGUES)
def test_the_rows_that_never_cost_another_host_are_these(kind: str) -> None:
    found = {row.code: row.dearest for row in CATALOGUES[kind] if row.dearest is not Rung.REPLACE}
    assert found == DEAREST[kind]
    assert {row.code for row in CATALOGUES[kind] if row.is_partial} == PARTIAL[kind]


@pytest.mark.parametrize("kind", CATALOGUES)
def test_no_row_forbids_its_own_remedy(kind: str) -> None:
    order = tuple(Rung)
    for row in CATALOGUES[kind]:
        if isinstance(row.remedy, Remedy) and row.remedy.value in {rung.value for rung in order}:
            assert order.index(Rung(row.remedy.value)) <= order.index(row.dearest), row.code
