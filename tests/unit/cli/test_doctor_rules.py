"""What facts of a box mean: every rule has a box that it is about, and whatever is not well has a cure."""

import dataclasses
import shlex
from typing import Any

import pytest

from keeper.cli import doctor_rules, doctor_rules_outside
from keeper.cli.doctor_facts import (
    Canaries,
    Configuration,
    Daemon,
    Disk,
    Extra,
    Key,
    Market,
    Memory,
    Money,
    Name,
    OpenFiles,
    Receiver,
    Registered,
    Secret,
    SecretFile,
    StateFolder,
    StoreFile,
    StoreState,
    Timekeeping,
    Unit,
    Web,
)
from keeper.cli.doctor_finding import Finding, Level, Row, judged

TABLES: dict[str, tuple[Row[Any], ...]] = {
    name: table
    for module in (doctor_rules, doctor_rules_outside)
    for name, table in vars(module).items()
    if isinstance(table, tuple) and table and isinstance(table[0], Row)
}

EXTRA = Extra(name="webrtc", by="stream arena", is_there=True, python="/opt/k k/bin/python")
CONFIGURATION = Configuration(path="/e/k.yaml", folder="/e", is_there=True, streams=2, slots=3)
SECRET = Secret(name="ADMIN_CODE", is_given=True, file="/e/credentials/secret/admin_code")
KEY = Key(path="/s/id", is_given=True, is_there=True)
MARKET = Market(
    url="https://m.example",
    is_reached=True,
    may=("instance_read", "user_read"),
    credential="/e/credentials/vast_api_key",
)
MONEY = Money(spendable_dollars=50.0, dollars_per_hour=0.5)
REGISTERED = Registered(is_there=True, will_be=True, has_key=True, key="/s/id")
CLOCK = Timekeeping(
    offset_s=0.4, is_synchronised=True, has_timedatectl=True, has_chrony=False
)  # fmt: skip
DISK = Disk(folder="/s", free_bytes=50_000_000_000, total_bytes=100_000_000_000, free_inodes=10**6)
STATE = StateFolder(path="/s", is_there=True, owner="keeper")
STORE = StoreFile(path="/s/keeper.db", state=StoreState.GOOD, schema="0003")
DAEMON = Daemon(socket="/r/s", is_running=True, version="1.0", ours="1.0", on_air=1, slots=2)
WEB = Web(address="127.0.0.1:9877", port=9877, is_running=True, is_keeper=True, metrics=90)
RECEIVER = Receiver(name="channel slack", host="hooks.example", is_reached=True)
UNIT = Unit(
    has_systemd=True, load="loaded", active="active", enabled="enabled", watchdog_s=60.0
)  # fmt: skip

# table, what differs from a box that is well, level, words that are seen, words of the cure or advice
CASES: list[tuple[str, Any, dict[str, Any], Level, str, str]] = [
    ("EXTRA", EXTRA, {}, Level.OK, "webrtc is installed", ""),
    ("EXTRA", EXTRA, {"is_there": False}, Level.FAIL, "stream arena needs the extra webrtc",
     "'/opt/k k/bin/python' -m pip install 'vast-keeper[webrtc]'"),
    ("CONFIGURATION", CONFIGURATION, {}, Level.OK, "streams 2, slots 3", ""),
    ("CONFIGURATION", CONFIGURATION, {"is_there": False, "sudo": "sudo "}, Level.FAIL,
     "there is no /e/k.yaml", "sudo mkdir -p /e && printf 'streams: []\\n' | sudo tee /e/k.yaml"),
    ("CONFIGURATION", CONFIGURATION, {"is_readable": False}, Level.FAIL, "cannot be read",
     "sudo keeper doctor --config /e/k.yaml"),
    ("CONFIGURATION", CONFIGURATION, {"problems": 2, "line": 7}, Level.FAIL, "mistakes: 2",
     '"${EDITOR:-vi}" +7 /e/k.yaml && keeper check-config /e/k.yaml'),
    ("CONFIGURATION", CONFIGURATION, {"streams": 0}, Level.WARN, "declares no stream", "EDITOR"),
    ("SECRET", SECRET, {}, Level.OK, "ADMIN_CODE is given", ""),
    ("SECRET", SECRET, {"is_given": False, "is_hidden": True}, Level.UNKNOWN, "may not look",
     "sudo keeper doctor"),
    ("SECRET", SECRET, {"is_given": False}, Level.FAIL, "named in the configuration and not given",
     "install -D -m 0600 /dev/stdin /e/credentials/secret/admin_code"),
    ("SECRET_FILE", SecretFile(path="/e/c/k", mode=0o400), {}, Level.OK, "owner's alone", ""),
    ("SECRET_FILE", SecretFile(path="/e/c/k", mode=None), {}, Level.UNKNOWN, "cannot be seen",
     "sudo keeper doctor"),
    ("SECRET_FILE", SecretFile(path="/e/c/k k", mode=0o640), {}, Level.FAIL, "mode 0640",
     "chmod 0600 '/e/c/k k'"),
    ("KEY", KEY, {}, Level.OK, "can be used", ""),
    ("KEY", KEY, {"is_there": None}, Level.UNKNOWN, "cannot be seen", "sudo keeper doctor"),
    ("KEY", KEY, {"is_given": False, "is_there": False}, Level.OK, "at the first start", ""),
    ("KEY", KEY, {"is_there": False}, Level.FAIL, "configured and not there", "ssh-keygen -q"),
    ("KEY", KEY, {"mode": 0o644}, Level.FAIL, "mode 0644", "chmod 0600 /s/id"),
    ("KEY", KEY, {"needs_passphrase": True}, Level.FAIL, "passphrase", "ssh-keygen -p -N ''"),
    ("KEY", KEY, {"error": "no key"}, Level.FAIL, "no private key", "mv /s/id /s/id.bad"),
    ("API_KEY", MARKET, {}, Level.OK, "rights seen: instance_read, user_read", ""),
    ("API_KEY", MARKET, {"has_key": False, "is_hidden": True}, Level.UNKNOWN, "may not look",
     "sudo keeper doctor"),
    ("API_KEY", MARKET, {"has_key": False}, Level.FAIL, "no API key", "vast_api_key"),
    ("API_KEY", MARKET, {"is_refused": True, "error": "401", "cure": "make one"}, Level.FAIL,
     "refuses the API key: 401", "make one"),
    ("API_KEY", MARKET, {"is_reached": False}, Level.UNKNOWN, "nobody could be asked", ""),
    ("API_KEY", MARKET, {"lacks": ("instance_read",), "cure": "give it"}, Level.FAIL,
     "lacks instance_read", "give it"),
    ("API_KEY", MARKET, {"lacks": ("user_read",), "cure": "give it"}, Level.WARN,
     "lacks user_read", "give it"),
    ("MARKET", MARKET, {}, Level.OK, "https://m.example answers", ""),
    ("MARKET", MARKET, {"why_not": "no key"}, Level.UNKNOWN, "was not asked: no key", ""),
    ("MARKET", MARKET, {"is_reached": False, "error": "timeout"}, Level.FAIL, "does not answer",
     "curl -sS -m 10 -o /dev/null https://m.example/"),
    ("MONEY", MONEY, {}, Level.OK, "$50.00 lasts 100 h", ""),
    ("MONEY", MONEY, {"dollars_per_hour": 0.0}, Level.OK, "nothing runs", ""),
    ("MONEY", MONEY, {"spendable_dollars": None}, Level.UNKNOWN, "could not be asked", ""),
    ("MONEY", MONEY, {"spendable_dollars": -3.0}, Level.FAIL, "no credit: $-3.00", "billing"),
    ("MONEY", MONEY, {"spendable_dollars": 5.0}, Level.WARN, "lasts 10 h", "billing"),
    ("REGISTERED", REGISTERED, {}, Level.OK, "the account knows", ""),
    ("REGISTERED", REGISTERED, {"is_there": None, "has_key": False}, Level.UNKNOWN, "no SSH key", ""),
    ("REGISTERED", REGISTERED, {"is_there": None}, Level.UNKNOWN, "could not be read", ""),
    ("REGISTERED", REGISTERED, {"is_there": False}, Level.OK, "registers it when it starts", ""),
    ("REGISTERED", REGISTERED, {"is_there": False, "will_be": False}, Level.WARN, "stay shut",
     'vastai create ssh-key "$(ssh-keygen -y -f /s/id)"'),
    ("NAME", Name(host="m.example", addresses=2), {}, Level.OK, "resolves", ""),
    ("NAME", Name(host="m.example", addresses=0), {}, Level.FAIL, "does not resolve", "getent"),
    ("CANARIES", Canaries(asked=2, answered=2), {}, Level.OK, "all 2", ""),
    ("CANARIES", Canaries(asked=0, answered=0), {}, Level.OK, "none are configured", ""),
    ("CANARIES", Canaries(asked=2, answered=1, silent="a:1"), {}, Level.WARN, "silent: a:1", "let"),
    ("CANARIES", Canaries(asked=2, answered=0, silent="a:1"), {}, Level.FAIL, "none answers", "ip"),
    ("CLOCK", CLOCK, {}, Level.OK, "within a second", ""),
    ("CLOCK", CLOCK, {"offset_s": 3600.0}, Level.FAIL, "3600 s behind",
     "sudo timedatectl set-ntp true"),
    ("CLOCK", CLOCK, {"offset_s": -3600.0, "has_chrony": True}, Level.FAIL, "3600 s ahead of",
     "sudo chronyc makestep"),
    ("CLOCK", CLOCK, {"offset_s": 9.0, "has_timedatectl": False}, Level.WARN, "9 s behind",
     "sudo apt-get install -y chrony"),
    ("CLOCK", CLOCK, {"is_synchronised": False}, Level.WARN, "nothing keeps the clock", "timedatectl"),
    ("CLOCK", CLOCK, {"offset_s": None}, Level.UNKNOWN, "nobody to compare", ""),
    ("DISK", DISK, {}, Level.OK, "50.0 GB free", ""),
    ("DISK", DISK, {"free_bytes": None, "error": "shut"}, Level.UNKNOWN, "shut", ""),
    ("DISK", DISK, {"free_bytes": 10_000_000}, Level.FAIL, "0.0 GB free", "find /s "),
    ("DISK", DISK, {"free_inodes": 5}, Level.FAIL, "5 inodes", "du --inodes"),
    ("DISK", DISK, {"free_bytes": 2_000_000_000}, Level.WARN, "(2%)", "find /s "),
    ("STATE_FOLDER", STATE, {}, Level.OK, "keeper's alone", ""),
    ("STATE_FOLDER", STATE, {"is_there": None}, Level.UNKNOWN, "cannot be seen", "sudo"),
    ("STATE_FOLDER", STATE, {"is_there": False}, Level.OK, "made at the first start", ""),
    ("STATE_FOLDER", STATE, {"is_there": False, "can_be_made": False}, Level.FAIL, "cannot make",
     "sudo install -d -m 0700"),
    ("STATE_FOLDER", STATE, {"is_folder": False}, Level.FAIL, "not a folder", "mv /s /s.aside"),
    ("STATE_FOLDER", STATE, {"is_ours": False, "owner": "root"}, Level.FAIL, "belongs to root",
     "sudo chown -R keeper: /s"),
    ("STATE_FOLDER", STATE, {"is_ours": None, "owner": "ann"}, Level.UNKNOWN, "belongs to ann", "sudo"),
    ("STATE_FOLDER", STATE, {"mode": 0o755}, Level.FAIL, "mode 0755", "chmod 0700 /s"),
    ("STORE", STORE, {}, Level.OK, "schema 0003, readable", ""),
    ("STORE", STORE, {"holder": "77"}, Level.OK, "process 77", ""),
    ("STORE", STORE, {"state": StoreState.ABSENT}, Level.OK, "nothing is remembered", ""),
    ("STORE", STORE, {"state": StoreState.CLOSED}, Level.UNKNOWN, "cannot be read", "sudo"),
    ("STORE", STORE, {"state": StoreState.BEYOND, "said": "a newer keeper"}, Level.FAIL,
     "a newer keeper", "install the newer version again"),
    ("STORE", STORE, {"state": StoreState.DAMAGED, "said": "damaged"}, Level.FAIL, "damaged",
     "sqlite3 /s/keeper.db 'PRAGMA integrity_check'"),
    ("STORE", STORE, {"state": StoreState.OTHER, "said": "held"}, Level.FAIL, "held", "fuser -v"),
    ("STORE", STORE, {"state": StoreState.BEHIND}, Level.OK, "brought up to date", ""),
    ("STORE", STORE, {"state": StoreState.AHEAD}, Level.WARN, "may use it", "upgrading"),
    ("DAEMON", DAEMON, {}, Level.OK, "keeper 1.0 runs; 1 of 2 on air", ""),
    ("DAEMON", DAEMON, {"is_running": None}, Level.UNKNOWN, "may not talk", "sudo"),
    ("DAEMON", DAEMON, {"is_running": False, "is_installed": True}, Level.WARN, "no keeper runs",
     "sudo systemctl start keeper"),
    ("DAEMON", DAEMON, {"is_running": False, "config": "/e/k.yaml"}, Level.WARN, "no keeper runs",
     "keeper run --config /e/k.yaml"),
    ("DAEMON", DAEMON, {"error": "late"}, Level.FAIL, "does not answer", "restart keeper"),
    ("DAEMON", DAEMON, {"is_ready": False}, Level.WARN, "not ready yet", "journalctl"),
    ("DAEMON", DAEMON, {"version": "0.9"}, Level.WARN, "keeper 0.9 runs, and this command is 1.0",
     "restart keeper"),
    ("WEB", WEB, {}, Level.OK, "90 metrics", ""),
    ("WEB", WEB, {"port": 0}, Level.OK, "any free port", ""),
    ("WEB", WEB, {"is_keeper": False, "error": "404"}, Level.FAIL, "cannot be read", "curl"),
    ("WEB", WEB, {"is_running": False, "is_taken": True}, Level.FAIL, "another program",
     "sudo ss -ltnp 'sport = :9877'"),
    ("WEB", WEB, {"is_running": False, "error": "late"}, Level.UNKNOWN, "late", ""),
    ("WEB", WEB, {"is_running": False, "is_taken": False}, Level.OK, "is free", ""),
    ("OPEN_FILES", OpenFiles(limit=1024, needed=200, whose="a"), {}, Level.OK, "1024", ""),
    ("OPEN_FILES", OpenFiles(limit=64, needed=200, whose="a"), {}, Level.WARN, "64",
     "ulimit -n 200"),
    ("MEMORY", Memory(free_bytes=10**9, needed_bytes=10**8), {}, Level.OK, "1000 MB free", ""),
    ("MEMORY", Memory(free_bytes=10**7, needed_bytes=10**8), {}, Level.WARN, "10 MB free", "ps"),
    ("MEMORY", Memory(free_bytes=None, needed_bytes=1), {}, Level.UNKNOWN, "does not say", ""),
    ("RECEIVER", RECEIVER, {}, Level.OK, "hooks.example can be reached", ""),
    ("RECEIVER", RECEIVER, {"is_sent": True}, Level.OK, "took a test message", ""),
    ("RECEIVER", RECEIVER, {"is_sent": False, "error": "404"}, Level.FAIL, "404", "check the"),
    ("RECEIVER", RECEIVER, {"is_by_library": True}, Level.OK, "apprise", ""),
    ("RECEIVER", RECEIVER, {"is_reached": None, "error": "no secret"}, Level.UNKNOWN, "no secret", ""),
    ("RECEIVER", RECEIVER, {"is_reached": False, "is_bad_certificate": True}, Level.FAIL,
     "certificate", "openssl s_client -connect hooks.example:443"),
    ("RECEIVER", RECEIVER, {"is_reached": False, "error": "late"}, Level.FAIL, "late",
     "/dev/null https://hooks.example:443/"),
    ("RECEIVER", RECEIVER, {"is_reached": False, "scheme": "http", "host": "127.0.0.1", "port": 1},
     Level.FAIL, "cannot", "/dev/null http://127.0.0.1:1/"),
    ("RECEIVER", RECEIVER, {"trouble": "it is off: HTTP 410", "channel": "the pager"}, Level.FAIL,
     "it is off: HTTP 410", "keeper alerts test 'the pager'"),
    ("RECEIVER", RECEIVER, {"trouble": "it is off", "is_sent": True, "channel": "a"}, Level.FAIL,
     "it is off", "keeper alerts test a"),
    ("RECEIVER", RECEIVER, {"trouble": "it is off", "is_reached": False, "error": "late"},
     Level.FAIL, "late", "curl"),
    ("RECEIVER", RECEIVER, {"waits": "2 messages wait: 503", "channel": "a"}, Level.WARN,
     "2 messages wait", "keeper alerts test a"),
    ("UNIT", UNIT, {}, Level.OK, "active and enabled, with a watchdog of 60 s", ""),
    ("UNIT", UNIT, {"has_systemd": False}, Level.UNKNOWN, "does not run here", ""),
    ("UNIT", UNIT, {"load": "not-found"}, Level.WARN, "not installed", "deploy/install.sh"),
    ("UNIT", UNIT, {"load": "masked"}, Level.FAIL, "masked", "systemctl unmask keeper"),
    ("UNIT", UNIT, {"active": "failed"}, Level.FAIL, "has failed", "journalctl -u keeper -n 50"),
    ("UNIT", UNIT, {"needs_reload": True}, Level.WARN, "changed", "daemon-reload"),
    ("UNIT", UNIT, {"enabled": "disabled"}, Level.WARN, "disabled", "systemctl enable keeper"),
    ("UNIT", UNIT, {"watchdog_s": 40.0}, Level.FAIL, "strikes after 40 s", "WatchdogSec=60"),
    ("UNIT", UNIT, {"watchdog_s": None}, Level.WARN, "no watchdog", "WatchdogSec=60"),
    ("UNIT", UNIT, {"restarts": 9}, Level.WARN, "restarted 9 times", "journalctl"),
]  # fmt: skip


def found(table: str, well: Any, changes: dict[str, Any]) -> Finding:
    return judged("it", dataclasses.replace(well, **changes), TABLES[table])


@pytest.mark.parametrize(("table", "well", "changes", "level", "seen", "cure"), CASES)
def test_a_fact_means(
    table: str, well: Any, changes: dict[str, Any], level: Level, seen: str, cure: str
) -> None:
    finding = found(table, well, changes)
    assert (finding.level, seen in finding.seen) == (level, True), finding
    assert cure in f"{finding.cure}\n{finding.advice}", finding
    if finding.cure:
        assert shlex.split(finding.cure)  # a shell can read it


def test_every_rule_is_met_by_a_case() -> None:
    met = {
        (table, next(at for at, row in enumerate(TABLES[table]) if row.when(fact)))
        for table, well, changes, *_ in CASES
        for fact in (dataclasses.replace(well, **changes),)
    }
    assert met == {(name, at) for name, table in TABLES.items() for at in range(len(table))}


@pytest.mark.parametrize("table", TABLES)
def test_whatever_fails_says_what_to_do(table: str) -> None:
    for row in TABLES[table]:
        if row.level in {Level.FAIL, Level.WARN}:
            assert row.cure or row.advice, row.seen


def test_what_was_seen_cannot_leave_its_word_in_a_command() -> None:
    nasty = "/s/$(touch x)'; rm -rf /"
    finding = found("KEY", KEY, {"path": nasty, "mode": 0o644})
    assert shlex.split(finding.cure) == ["chmod", "0600", nasty]
