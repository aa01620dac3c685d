"""What facts about the world outside this box mean: the marketplace, names, clocks, receivers. Pure.

Tables as in doctor_rules: the first row that holds is the finding.
"""

from __future__ import annotations

from keeper.cli.doctor_facts import (
    Canaries,
    Market,
    Money,
    Name,
    Receiver,
    Registered,
    Timekeeping,
)
from keeper.cli.doctor_finding import Level, Row

# A second is the grain of the marketplace's Date, and an answer takes a while. From a minute on contracts
# end at another time than keeper thinks.
_CLOCK_WARN_S = 5.0
_CLOCK_FAIL_S = 60.0

OK, WARN, FAIL, UNKNOWN = Level.OK, Level.WARN, Level.FAIL, Level.UNKNOWN


def _always(_: object) -> bool:
    return True


API_KEY: tuple[Row[Market], ...] = (
    Row(
        when=lambda f: not f.has_key and f.is_hidden,
        level=UNKNOWN,
        seen="this user may not look where the service's API key is",
        cure="sudo keeper doctor",
    ),
    Row(
        when=lambda f: not f.has_key,
        level=FAIL,
        seen="no API key of the marketplace account is given",
        cure="{f.sudo}install -D -m 0600 /dev/stdin {f.credential!q}",
        advice="paste the key from https://cloud.vast.ai/manage-keys/, then Ctrl-D",
    ),
    Row(
        when=lambda f: f.is_refused,
        level=FAIL,
        seen="the marketplace refuses the API key: {f.error}",
        cure="{f.sudo}install -D -m 0600 /dev/stdin {f.credential!q}",
        advice="{f.cure}",
    ),
    Row(
        when=lambda f: not f.is_reached,
        level=UNKNOWN,
        seen="nobody could be asked about it",
    ),
    Row(
        when=lambda f: "instance_read" in f.lacks,
        level=FAIL,
        seen="the API key lacks {f.lacking}: keeper could not even see its rentals",
        advice="{f.cure}",
    ),
    Row(
        when=lambda f: bool(f.lacks),
        level=WARN,
        seen="the API key lacks {f.lacking}",
        advice="{f.cure}",
    ),
    Row(
        when=_always,
        level=OK,
        seen="the API key is accepted; rights seen: {f.having}. instance_write and misc were not tried:"
        " to try them rents, or counts as a search",
    ),
)

MARKET: tuple[Row[Market], ...] = (
    Row(
        when=lambda f: bool(f.why_not),
        level=UNKNOWN,
        seen="{f.url} was not asked: {f.why_not}",
    ),
    Row(when=lambda f: f.is_reached, level=OK, seen="{f.url} answers"),
    Row(
        when=_always,
        level=FAIL,
        seen="{f.url} does not answer: {f.error}",
        cure="curl -sS -m 10 -o /dev/null {f.url!q}/ && echo reached",
        advice="check vast.url, this box's routes and what stands between (a proxy, a firewall)",
    ),
)

MONEY: tuple[Row[Money], ...] = (
    Row(
        when=lambda f: f.spendable_dollars is None,
        level=UNKNOWN,
        seen="the account could not be asked about its credit",
    ),
    Row(
        when=lambda f: (f.spendable_dollars or 0) <= 0,
        level=FAIL,
        seen="the account has no credit: ${f.spendable_dollars:.2f}",
        advice="add credit at https://cloud.vast.ai/billing/",
    ),
    Row(
        when=lambda f: f.left_h is not None and f.left_h < f.warn_h,
        level=WARN,
        seen="${f.spendable_dollars:.2f} lasts {f.left_h:.0f} h at ${f.dollars_per_hour:.2f} an hour",
        advice="add credit at https://cloud.vast.ai/billing/",
    ),
    Row(
        when=lambda f: f.left_h is not None,
        level=OK,
        seen="${f.spendable_dollars:.2f} lasts {f.left_h:.0f} h at ${f.dollars_per_hour:.2f} an hour",
    ),
    Row(when=_always, level=OK, seen="${f.spendable_dollars:.2f}, and nothing runs"),
)

REGISTERED: tuple[Row[Registered], ...] = (
    Row(when=lambda f: f.is_there is True, level=OK, seen="the account knows keeper's SSH key"),
    Row(when=lambda f: not f.has_key, level=UNKNOWN, seen="there is no SSH key to look for yet"),
    Row(
        when=lambda f: f.is_there is None,
        level=UNKNOWN,
        seen="the keys of the account could not be read: {f.error}",
    ),
    Row(
        when=lambda f: f.will_be,
        level=OK,
        seen="the account does not know keeper's SSH key yet; keeper registers it when it starts",
    ),
    Row(
        when=_always,
        level=WARN,
        seen="the account does not know keeper's SSH key, and vast.register_ssh_key is false: hosts"
        " behind the marketplace's proxy stay shut",
        cure='vastai create ssh-key "$(ssh-keygen -y -f {f.key!q})"',
    ),
)

NAME: tuple[Row[Name], ...] = (
    Row(when=lambda f: f.addresses > 0, level=OK, seen="{f.host} resolves"),
    Row(
        when=_always,
        level=FAIL,
        seen="{f.host} does not resolve: {f.error}",
        cure="getent ahosts {f.host!q} || cat /etc/resolv.conf",
        advice="name a resolver that answers there, or in systemd-resolved",
    ),
)

CANARIES: tuple[Row[Canaries], ...] = (
    Row(when=lambda f: not f.asked, level=OK, seen="none are configured"),
    Row(when=lambda f: f.answered == f.asked, level=OK, seen="all {f.asked} answer"),
    Row(
        when=lambda f: f.answered > 0,
        level=WARN,
        seen="{f.answered} of {f.asked} answer; silent: {f.silent}",
        advice="let this box reach it, or take it out of canary.addresses",
    ),
    Row(
        when=_always,
        level=FAIL,
        seen="none answers ({f.silent}): while that is so, keeper repairs nothing",
        cure="ip route get 1.1.1.1",
        advice="let this box reach them, or name others in canary.addresses",
    ),
)

CLOCK: tuple[Row[Timekeeping], ...] = (
    Row(
        when=lambda f: f.offset_s is not None and abs(f.offset_s) > _CLOCK_FAIL_S,
        level=FAIL,
        seen="the clock is {f.words} the marketplace's",
        cure="{f.cure}",
    ),
    Row(
        when=lambda f: f.offset_s is not None and abs(f.offset_s) > _CLOCK_WARN_S,
        level=WARN,
        seen="the clock is {f.words} the marketplace's",
        cure="{f.cure}",
    ),
    Row(
        when=lambda f: f.is_synchronised is False,
        level=WARN,
        seen="nothing keeps the clock right",
        cure="{f.cure}",
    ),
    Row(
        when=lambda f: f.offset_s is not None,
        level=OK,
        seen="the clock is {f.words} the marketplace's",
    ),
    Row(when=_always, level=UNKNOWN, seen="there was nobody to compare the clock with"),
)

RECEIVER: tuple[Row[Receiver], ...] = (
    Row(
        when=lambda f: bool(f.trouble) and f.is_answering,
        level=FAIL,
        seen="the running keeper says: {f.trouble}",
        cure="keeper alerts test {f.channel!q}",
        advice="if it does not take the test, look at its address and secret in alerts.channels",
    ),
    Row(
        when=lambda f: bool(f.waits) and f.is_answering,
        level=WARN,
        seen="the running keeper says: {f.waits}",
        cure="keeper alerts test {f.channel!q}",
    ),
    Row(
        when=lambda f: f.is_sent is True,
        level=OK,
        seen="{f.host} took a test message",
    ),
    Row(
        when=lambda f: f.is_sent is False,
        level=FAIL,
        seen="{f.host} did not take a test message: {f.error}",
        advice="check the address in its secret with whoever gave it",
    ),
    Row(
        when=lambda f: f.is_by_library,
        level=OK,
        seen="it goes by the extra apprise; `keeper doctor --send` tries it",
    ),
    Row(when=lambda f: f.is_reached is True, level=OK, seen="{f.host} can be reached"),
    Row(when=lambda f: f.is_reached is None, level=UNKNOWN, seen="it was not tried: {f.error}"),
    Row(
        when=lambda f: f.is_bad_certificate,
        level=FAIL,
        seen="{f.host} shows a certificate that is not good: {f.error}",
        cure="openssl s_client -connect {f.host}:{f.port} -brief </dev/null",
    ),
    Row(
        when=_always,
        level=FAIL,
        seen="{f.host} cannot be reached: {f.error}",
        cure="getent ahosts {f.host!q} && curl -sS -m 10 -o /dev/null {f.origin!q}",
    ),
)
