"""Alerts about a slot name what was kept of its deploy and of its last host."""

from keeper.alerts.rules import firing
from keeper.core.model import SlotId
from keeper.core.reasons import Reason
from keeper.core.under_way import KeptFor
from tests.snapshots import NOW, dark, hold, snapshot

SLOT = SlotId("duel/0")
KEPT = KeptFor(
    deploy_log="deploys/duel.0/keeper-1-duel-0-1.log",
    post_mortem="post-mortems/20261101T123005Z-duel.0-7.tar.gz",
)


def test_an_alert_about_a_slot_names_the_log_and_the_bundle() -> None:
    told = snapshot(dark(), kept={SLOT: KEPT}, decisions=[hold("duel/0", Reason.BUDGET, "replace")])
    alerts = {alert.name: alert for alert in firing(told, NOW)}
    for name in ("KeeperStreamDark", "KeeperSlotHeld"):
        assert KEPT.deploy_log in alerts[name].did, name
        assert KEPT.post_mortem in alerts[name].did, name


def test_nothing_is_named_that_was_not_kept() -> None:
    (alert,) = (each for each in firing(snapshot(dark()), NOW) if each.name == "KeeperStreamDark")
    assert "post-mortems" not in alert.did
    assert "log" not in alert.did
