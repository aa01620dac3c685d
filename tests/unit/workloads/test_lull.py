"""How each workload names a moment at which viewers lose least: a look that changes nothing."""

from __future__ import annotations

import pytest

from keeper.workloads import Workload, lull_of, registered
from tests.unit.workloads import test_hyperscape_duel, test_pixel_streaming


def of_kind(kind: str, **settings: object) -> Workload:
    plugin = registered()[kind]
    return plugin.build(plugin.settings.model_validate({"kind": kind, **settings}), {})


@pytest.mark.parametrize("has_code", [True, False])
def test_a_duels_lull_is_seen_and_nothing_is_ordered(has_code: bool) -> None:
    """The drain of a restart orders one; before a deploy, or an end, nobody wants that."""
    duel = test_hyperscape_duel.duel() if has_code else test_hyperscape_duel.duel({})
    drain, lull = duel.drain(), lull_of(duel)
    assert drain is not None
    assert lull is not None
    assert drain.is_restart is has_code
    assert (lull.begin, lull.is_restart) == ((), False)
    assert "boundary_look" in lull.look.script
    assert lull.look.env == {}, "it needs no code"
    assert lull.bound_s <= drain.bound_s


def test_a_player_who_has_gone_is_pixel_streamings() -> None:
    pixel = test_pixel_streaming.build()
    assert lull_of(pixel) == pixel.drain()
    assert lull_of(pixel) is not None


def test_pictures_that_are_drawn_anew_have_none() -> None:
    assert lull_of(of_kind("sd-turbo")) is None
