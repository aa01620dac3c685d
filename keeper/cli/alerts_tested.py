"""What a person can do about a channel that did not take a test message. Pure."""

from __future__ import annotations

import re

from keeper.web.telling_shapes import ChannelTested

# The words are those of keeper.alerts.wording.refused, keeper.daemon.error_line and the adapters.
_STATUS = re.compile(r"HTTP (\d{3})\b")
_WANTS_TIME = re.compile(r"Slack says (ratelimited|rate_limited|message_limit_exceeded)\b")
_HANGS = re.compile(r"TimedOut\b|TimeoutError\b|Uncertain: .*no whole answer in ")
_GONE, _TOO_MANY, _TROUBLE_FROM = 410, 429, 500


def cure_of(tested: ChannelTested) -> str:
    """Say what to do about a channel that did not take it, in what is left of a line of 80 columns."""
    found = _STATUS.match(tested.error)
    status = int(found[1]) if found is not None else 0
    if status == _GONE:
        return "the receiver wants no more: declare another address in alerts.channels"
    if status == _TOO_MANY or _WANTS_TIME.match(tested.error):
        return "it asks for time: test it again in some minutes; what waits is kept"
    if status >= _TROUBLE_FROM:
        return "it has trouble of its own: test it again later; what waits is kept"
    if _HANGS.match(tested.error):
        waited_s = min(max(1, round(tested.duration_s)), 999)
        return f"nobody answers within {waited_s} s: see that it runs, and is reached from here"
    return "see its address and secret in alerts.channels, then keeper check-config"
