"""What the account can still pay for, and what follows from it. Pure.

At zero Vast.ai stops every rental of the account and refuses to start or create any, until somebody
adds credit (docs, billing, read 2026-08). So keeper spends nothing meanwhile, and blames no host.
"""

from __future__ import annotations

from datetime import datetime

from keeper.core.model import Tenure
from keeper.core.moments import elapsed_s, later
from keeper.core.world import AccountSeen

# An older answer says nothing about now. Longer than any pause between two questions that worked.
ACCOUNT_STALE_S = 3600.0


def is_out_of_credit(account: AccountSeen | None, now: datetime) -> bool:
    """Say whether the account is known to be empty. Not knowing is not empty."""
    return (
        account is not None
        and account.spendable_dollars <= 0
        and elapsed_s(account.at, now) < ACCOUNT_STALE_S
    )


def was_starved(account: AccountSeen | None, tenure: Tenure | None) -> bool:
    """Say whether a rental went down while the account was empty: that is no sickness of its host.

    As long as the latest answer says empty, also what goes down after it.
    """
    if account is None or account.empty_at is None or tenure is None or tenure.dead_since is None:
        return False
    is_empty = account.spendable_dollars <= 0
    until = later(account.at, ACCOUNT_STALE_S) if is_empty else account.empty_at
    return tenure.dead_since <= until
