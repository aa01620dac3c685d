"""Which alerts fire, read off one snapshot. Pure: the same snapshot and now, the same alerts.

A rule says what is wrong, why, what keeper does about it and what a person should do. The texts hold
no elapsed times: an alert that has not changed is an equal value, tick after tick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from keeper.alerts import Alert, Severity
from keeper.alerts import about_causes as causes
from keeper.alerts import about_deploys as deploys
from keeper.alerts import about_disks as disks
from keeper.alerts import about_handovers as handovers
from keeper.alerts import about_market as market
from keeper.alerts import about_money as money
from keeper.alerts import about_restarts as restarts
from keeper.alerts import about_slots as slots
from keeper.alerts import about_spares as spares
from keeper.alerts import about_viewers as viewers
from keeper.alerts import about_workloads as workloads
from keeper.core.world import Snapshot

Rule = Callable[[Snapshot, datetime], Iterator[Alert]]

# By the name of the alert, which is also the name of its runbook.
RULES: dict[str, Rule] = {
    "KeeperStreamDark": slots.stream_dark,
    "KeeperStreamStuttering": viewers.stream_stuttering,
    "KeeperErrorBudgetSpent": viewers.error_budget_spent,
    "KeeperSlotHeld": slots.slot_held,
    "KeeperNeedsPerson": workloads.needs_person,
    "KeeperDiskFull": disks.disk_full,
    "KeeperMarketUnreadable": market.market_unreadable,
    "KeeperMassFailure": causes.mass_failure,
    "KeeperCommonCause": causes.common_cause,
    "KeeperDeployBad": deploys.deploy_bad,
    "KeeperNoOffer": market.no_offer,
    "KeeperOrphan": market.orphan,
    "KeeperDestroyStuck": market.destroy_stuck,
    "KeeperRestartsHideSickness": restarts.restarts_hide_sickness,
    "KeeperHandoverUndone": handovers.handover_undone,
    "KeeperContractEnding": slots.contract_ending,
    "KeeperMachineUnlisted": slots.machine_unlisted,
    "KeeperCreditLow": market.credit_low,
    "KeeperBudgetStop": money.budget_stop,
    "KeeperBudgetUsed": money.budget_used,
    "KeeperDarkSpend": money.dark_spend,
    "KeeperSpendDrift": money.spend_drift,
    "KeeperPaused": slots.paused,
    "KeeperSuggestion": slots.suggestion,
    "KeeperSpareTookOver": spares.spare_took_over,
    "KeeperSpareMissing": spares.spare_missing,
}


def firing(snapshot: Snapshot, now: datetime) -> tuple[Alert, ...]:
    """Return every alert that holds now, each key once, the most severe first."""
    found: dict[str, Alert] = {}
    for rule in RULES.values():
        for alert in rule(snapshot, now):
            found.setdefault(alert.key, alert)
    if not found:
        return ()
    order = list(reversed(Severity))
    return tuple(sorted(found.values(), key=lambda a: (order.index(a.severity), a.key)))
