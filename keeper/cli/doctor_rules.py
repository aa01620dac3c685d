"""What facts of a box mean, as tables: the first row that holds is the finding. Pure.

Each row that is not well has the command that cures it, to be copied as it stands, or says what a person
must do where no command can. docs/doctor.md lists the checks.
"""

from __future__ import annotations

from keeper.cli.doctor_facts import (
    Configuration,
    Daemon,
    Disk,
    Extra,
    Key,
    Memory,
    OpenFiles,
    Secret,
    SecretFile,
    StateFolder,
    StoreFile,
    StoreState,
    Unit,
    Web,
)
from keeper.cli.doctor_finding import Level, Row

# Group and others may do nothing with what holds a secret.
_OTHERS = 0o077
# Below it a commit may fail any moment; a write-ahead log alone grows to some MB.
DISK_FAIL_BYTES = 100_000_000
DISK_WARN_BYTES = 1_000_000_000
_DISK_WARN_SHARE = 0.03
_INODES_FAIL = 1_000
# The watchdog is fed by finished ticks; systemd's own advice is half of the time.
_WATCHDOG_TICKS = 2.0
_RESTARTS_MANY = 5

OK, WARN, FAIL, UNKNOWN = Level.OK, Level.WARN, Level.FAIL, Level.UNKNOWN


def _always(_: object) -> bool:
    return True


EXTRA: tuple[Row[Extra], ...] = (
    Row(when=lambda f: f.is_there, level=OK, seen="{f.name} is installed, for {f.by}"),
    Row(
        when=_always,
        level=FAIL,
        seen="{f.by} needs the extra {f.name}, which is not installed",
        cure="{f.python!q} -m pip install 'vast-keeper[{f.name}]'",
    ),
)

CONFIGURATION: tuple[Row[Configuration], ...] = (
    Row(
        when=lambda f: not f.is_there,
        level=FAIL,
        seen="there is no {f.path}",
        cure="{f.sudo}mkdir -p {f.folder!q} && printf 'streams: []\\n' | {f.sudo}tee {f.path!q}",
        advice="then declare your streams; config/keeper.example.yaml has every key",
    ),
    Row(
        when=lambda f: not f.is_readable,
        level=FAIL,
        seen="{f.path} cannot be read by this user",
        cure="sudo keeper doctor --config {f.path!q}",
    ),
    Row(
        when=lambda f: f.problems > 0,
        level=FAIL,
        seen="{f.path} has mistakes: {f.problems}",
        cure='{f.sudo}"${{EDITOR:-vi}}" +{f.line} {f.path!q} && keeper check-config {f.path!q}',
    ),
    Row(
        when=lambda f: not f.streams,
        level=WARN,
        seen="{f.path} is good, and declares no stream",
        cure='{f.sudo}"${{EDITOR:-vi}}" {f.path!q} && keeper check-config {f.path!q}',
    ),
    Row(when=_always, level=OK, seen="{f.path}: streams {f.streams}, slots {f.slots}"),
)

SECRET: tuple[Row[Secret], ...] = (
    Row(when=lambda f: f.is_given, level=OK, seen="{f.name} is given"),
    Row(
        when=lambda f: f.is_hidden,
        level=UNKNOWN,
        seen="{f.name}: this user may not look where the service's secrets are",
        cure="sudo keeper doctor",
    ),
    Row(
        when=_always,
        level=FAIL,
        seen="{f.name} is named in the configuration and not given",
        cure="{f.sudo}install -D -m 0600 /dev/stdin {f.file!q}",
        advice="paste the value, then Ctrl-D; restart keeper afterwards",
    ),
)

SECRET_FILE: tuple[Row[SecretFile], ...] = (
    Row(when=lambda f: f.mode is None, level=UNKNOWN, seen="{f.path} cannot be seen by this user",
        cure="sudo keeper doctor"),
    Row(
        when=lambda f: bool((f.mode or 0) & _OTHERS),
        level=FAIL,
        seen="{f.path} has mode {f.octal}: others than its owner may read it",
        cure="{f.sudo}chmod 0600 {f.path!q}",
    ),
    Row(when=_always, level=OK, seen="{f.path} is its owner's alone"),
)  # fmt: skip

KEY: tuple[Row[Key], ...] = (
    Row(when=lambda f: f.is_there is None, level=UNKNOWN, seen="{f.path} cannot be seen by this user",
        cure="sudo keeper doctor"),
    Row(
        when=lambda f: not f.is_there and not f.is_given,
        level=OK,
        seen="keeper makes its own key at the first start: {f.path}",
    ),
    Row(
        when=lambda f: not f.is_there,
        level=FAIL,
        seen="{f.path} is configured and not there",
        cure="{f.sudo}ssh-keygen -q -t ed25519 -N '' -f {f.path!q}",
    ),
    Row(
        when=lambda f: bool(f.mode & _OTHERS),
        level=FAIL,
        seen="{f.path} has mode {f.octal}: others than its owner may read it",
        cure="{f.sudo}chmod 0600 {f.path!q}",
    ),
    Row(
        when=lambda f: f.needs_passphrase,
        level=FAIL,
        seen="{f.path} has a passphrase, and nobody is there to type it",
        cure="{f.sudo}ssh-keygen -p -N '' -f {f.path!q}",
        advice="it asks for the present passphrase",
    ),
    Row(
        when=lambda f: bool(f.error),
        level=FAIL,
        seen="{f.path} is no private key that can be used: {f.error}",
        cure="{f.sudo}mv {f.path!q} {f.path!q}.bad && {f.sudo}ssh-keygen -q -t ed25519 -N '' -f {f.path!q}",
    ),
    Row(when=_always, level=OK, seen="{f.path} can be used"),
)  # fmt: skip

_ROOM = (
    "find {f.folder!q} -mindepth 2 -path '*/post-mortems/*' -type f -mtime +2 -delete;"
    " sudo journalctl --vacuum-size=200M; df -h {f.folder!q}"
)
DISK: tuple[Row[Disk], ...] = (
    Row(when=lambda f: f.free_bytes is None, level=UNKNOWN, seen="{f.folder}: {f.error}"),
    Row(
        when=lambda f: (f.free_bytes or 0) < DISK_FAIL_BYTES,
        level=FAIL,
        seen="{f.free} free under {f.folder}: keeper does nothing that it cannot write down first",
        cure=_ROOM,
    ),
    Row(
        when=lambda f: f.free_inodes is not None and f.free_inodes < _INODES_FAIL,
        level=FAIL,
        seen="{f.free_inodes} inodes free under {f.folder}: hardly a file can be made",
        cure="sudo du --inodes -xS / 2>/dev/null | sort -n | tail",
    ),
    Row(
        when=lambda f: (f.free_bytes or 0) < DISK_WARN_BYTES or f.share < _DISK_WARN_SHARE,
        level=WARN,
        seen="{f.free} free under {f.folder} ({f.share:.0%})",
        cure=_ROOM,
    ),
    Row(when=_always, level=OK, seen="{f.free} free under {f.folder}"),
)

STATE_FOLDER: tuple[Row[StateFolder], ...] = (
    Row(when=lambda f: f.is_there is None, level=UNKNOWN, seen="{f.path} cannot be seen by this user",
        cure="sudo keeper doctor"),
    Row(
        when=lambda f: not f.is_there and f.can_be_made,
        level=OK,
        seen="{f.path} is made at the first start",
    ),
    Row(
        when=lambda f: not f.is_there,
        level=FAIL,
        seen="{f.path} is not there, and this user cannot make it",
        cure='sudo install -d -m 0700 -o "$(id -un)" {f.path!q}',
    ),
    Row(
        when=lambda f: not f.is_folder,
        level=FAIL,
        seen="{f.path} is not a folder",
        cure="{f.sudo}mv {f.path!q} {f.path!q}.aside",
    ),
    Row(when=lambda f: f.is_ours is None, level=UNKNOWN,
        seen="{f.path} belongs to {f.owner}; this user is another one",
        cure="sudo keeper doctor"),
    Row(
        when=lambda f: not f.is_ours,
        level=FAIL,
        seen="{f.path} belongs to {f.owner}, not to the user that keeper runs as",
        cure="sudo chown -R {f.service_user!q}: {f.path!q}",
    ),
    Row(
        when=lambda f: bool(f.mode & _OTHERS),
        level=FAIL,
        seen="{f.path} has mode {f.octal}: others may look into it, and it holds keys",
        cure="{f.sudo}chmod 0700 {f.path!q}",
    ),
    Row(when=_always, level=OK, seen="{f.path} is {f.owner}'s alone"),
)  # fmt: skip

STORE: tuple[Row[StoreFile], ...] = (
    Row(when=lambda f: f.state is StoreState.ABSENT, level=OK, seen="nothing is remembered yet"),
    Row(when=lambda f: f.state is StoreState.CLOSED, level=UNKNOWN,
        seen="{f.path} cannot be read by this user", cure="sudo keeper doctor"),
    Row(
        when=lambda f: f.state is StoreState.BEYOND,
        level=FAIL,
        seen="{f.said}",
        advice="install the newer version again; docs/upgrading.md says why",
    ),
    Row(
        when=lambda f: f.state is StoreState.DAMAGED,
        level=FAIL,
        seen="{f.said}",
        cure="sqlite3 {f.path!q} 'PRAGMA integrity_check'",
        advice="restore a copy; without one keeper begins with an empty memory, as the line above says",
    ),
    Row(
        when=lambda f: f.state is StoreState.OTHER,
        level=FAIL,
        seen="{f.said}",
        cure="fuser -v {f.path!q}",
    ),
    Row(
        when=lambda f: f.state is StoreState.BEHIND,
        level=OK,
        seen="schema {f.schema}, of an earlier keeper; it is brought up to date at the next start",
    ),
    Row(
        when=lambda f: f.state is StoreState.AHEAD,
        level=WARN,
        seen="schema {f.schema}, of a newer keeper; this one may use it",
        advice="install the newer version again when you can; docs/upgrading.md",
    ),
    Row(
        when=lambda f: bool(f.holder),
        level=OK,
        seen="schema {f.schema}, in use by the running keeper (process {f.holder})",
    ),
    Row(when=_always, level=OK, seen="schema {f.schema}, readable"),
)  # fmt: skip

DAEMON: tuple[Row[Daemon], ...] = (
    Row(when=lambda f: f.is_running is None, level=UNKNOWN,
        seen="this user may not talk to the keeper at {f.socket}", cure="sudo keeper doctor"),
    Row(
        when=lambda f: not f.is_running and f.is_installed,
        level=WARN,
        seen="no keeper runs behind {f.socket}",
        cure="sudo systemctl start keeper",
    ),
    Row(
        when=lambda f: not f.is_running,
        level=WARN,
        seen="no keeper runs behind {f.socket}",
        cure="keeper run --config {f.config!q}",
    ),
    Row(
        when=lambda f: bool(f.error),
        level=FAIL,
        seen="a keeper runs and does not answer as it should: {f.error}",
        cure="sudo systemctl restart keeper",
    ),
    Row(
        when=lambda f: not f.is_ready,
        level=WARN,
        seen="keeper {f.version} runs and is not ready yet: it waits for the first complete listing",
        cure="journalctl -u keeper -n 30 --no-pager",
    ),
    Row(
        when=lambda f: bool(f.version) and f.version != f.ours,
        level=WARN,
        seen="keeper {f.version} runs, and this command is {f.ours}",
        cure="sudo systemctl restart keeper",
    ),
    Row(when=_always, level=OK, seen="keeper {f.version} runs; {f.on_air} of {f.slots} on air"),
)  # fmt: skip

WEB: tuple[Row[Web], ...] = (
    Row(when=lambda f: not f.port, level=OK, seen="{f.address}: any free port"),
    Row(
        when=lambda f: f.is_running and f.is_keeper and bool(f.metrics),
        level=OK,
        seen="{f.address} answers; {f.metrics} metrics at /metrics",
    ),
    Row(
        when=lambda f: f.is_running,
        level=FAIL,
        seen="a keeper runs, and its metrics cannot be read at {f.address}: {f.error}",
        cure="curl -sS -m 5 http://{f.address}/metrics | head",
    ),
    Row(
        when=lambda f: f.is_taken is True,
        level=FAIL,
        seen="another program listens on {f.address}",
        cure="sudo ss -ltnp 'sport = :{f.port}'",
        advice="stop it, or give keeper another http.listen",
    ),
    Row(when=lambda f: f.is_taken is None, level=UNKNOWN, seen="{f.address}: {f.error}"),
    Row(when=_always, level=OK, seen="{f.address} is free"),
)

OPEN_FILES: tuple[Row[OpenFiles], ...] = (
    Row(
        when=lambda f: f.limit < f.needed,
        level=WARN,
        seen="{f.whose} may open {f.limit} files, and {f.needed} are needed for all slots",
        cure="ulimit -n {f.needed}",
        advice="the service's unit has LimitNOFILE=16384; systemctl edit keeper changes it",
    ),
    Row(when=_always, level=OK, seen="{f.whose} may open {f.limit} files; {f.needed} are needed"),
)

MEMORY: tuple[Row[Memory], ...] = (
    Row(when=lambda f: f.free_bytes is None, level=UNKNOWN, seen="this system does not say"),
    Row(
        when=lambda f: (f.free_bytes or 0) < f.needed_bytes,
        level=WARN,
        seen="{f.free} free, and about {f.needed} are needed",
        cure="ps -eo rss,pid,comm --sort=-rss | head",
    ),
    Row(when=_always, level=OK, seen="{f.free} free; about {f.needed} are needed"),
)

UNIT: tuple[Row[Unit], ...] = (
    Row(when=lambda f: not f.has_systemd, level=UNKNOWN, seen="systemd does not run here"),
    Row(
        when=lambda f: f.load in {"", "not-found"},
        level=WARN,
        seen="keeper is not installed as a service: nothing starts it again after a crash",
        cure="sudo deploy/install.sh",
        advice="from the release, or a checkout",
    ),
    Row(
        when=lambda f: f.load != "loaded",
        level=FAIL,
        seen="the unit is {f.load}",
        cure="systemd-analyze verify keeper.service; systemctl unmask keeper",
    ),
    Row(
        when=lambda f: f.active == "failed",
        level=FAIL,
        seen="the service has failed and is not tried again",
        cure="journalctl -u keeper -n 50 --no-pager; sudo systemctl reset-failed keeper;"
        " sudo systemctl start keeper",
    ),
    Row(
        when=lambda f: f.needs_reload,
        level=WARN,
        seen="the unit's file has changed since systemd read it",
        cure="sudo systemctl daemon-reload",
    ),
    Row(
        when=lambda f: f.enabled not in {"enabled", "static", "generated"},
        level=WARN,
        seen="the service is {f.enabled}: it does not come back after a reboot",
        cure="sudo systemctl enable keeper",
    ),
    Row(
        when=lambda f: (
            bool(f.watchdog_s) and (f.watchdog_s or 0) < _WATCHDOG_TICKS * f.tick_interval_s
        ),
        level=FAIL,
        seen="the watchdog strikes after {f.watchdog_s:.0f} s, and a tick may take"
        " {f.tick_interval_s:.0f} s: twice that is the least",
        cure="printf '[Service]\\nWatchdogSec=60\\n' | sudo install -D"
        " -m 0644 /dev/stdin /etc/systemd/system/keeper.service.d/watchdog.conf && sudo systemctl daemon-reload",
    ),
    Row(
        when=lambda f: not f.watchdog_s,
        level=WARN,
        seen="the unit has no watchdog: a keeper that hangs stays so",
        cure="printf '[Service]\\nWatchdogSec=60\\n' | sudo install -D"
        " -m 0644 /dev/stdin /etc/systemd/system/keeper.service.d/watchdog.conf && sudo systemctl daemon-reload",
    ),
    Row(
        when=lambda f: f.restarts >= _RESTARTS_MANY,
        level=WARN,
        seen="the service is {f.active}, and was restarted {f.restarts} times",
        cure="journalctl -u keeper -p warning -n 50 --no-pager",
    ),
    Row(
        when=_always,
        level=OK,
        seen="the service is {f.active} and {f.enabled}, with a watchdog of {f.watchdog_s:.0f} s",
    ),
)
