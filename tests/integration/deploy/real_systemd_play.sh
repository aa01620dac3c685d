#!/usr/bin/env bash
# What is played in the box of real_systemd.py: one line in `told` for each promise, everything else in `said`.
set -uo pipefail
cd "$1" || exit 1
options=(--wheels "$1/wheels" --python /usr/bin/python3)

check() { # PROMISE WANTED FOUND
    if [[ "$2" == "$3" ]]; then
        echo "ok    $1"
    else
        echo "FAIL  $1: wanted '$2', found '$3'"
    fi >>told
}
install_of() { # VERSION WORDS...
    local version="$1"
    shift
    echo "--- install.sh of $version $*"
    "$version/deploy/install.sh" "$@" "${options[@]}"
}
runs() { basename -- "$(readlink -f /opt/keeper/current)" | sed 's/-.*//'; }
shown() { systemctl show -P "$1" keeper; }

# A box that had the unit of before, with a user that comes and goes.
sed -e 's|^ExecStart=.*|ExecStart=/bin/sh -c "echo old >/var/lib/keeper/old"|; s/^Type=.*/Type=oneshot/' \
    -e 's/^User=.*/User=keeper\nDynamicUser=yes/' \
    -e '/^Group=/d; /^LoadCredential/d; /^Restart=/d; /^WatchdogSec/d' \
    9.0.1/deploy/systemd/keeper.service >/etc/systemd/system/keeper.service
systemctl daemon-reload
systemctl start keeper
check "a dynamic user's memory lies elsewhere" private/keeper "$(readlink /var/lib/keeper)"
install_of 9.0.1
check "a unit that hides ours is refused" 6 $?
rm /etc/systemd/system/keeper.service

install_of 9.0.1
check "a first install succeeds" 0 $?
check "and starts nothing" inactive "$(systemctl is-active keeper)"
cat >/etc/keeper/keeper.yaml <<YAML
vast: {url: "$(cat url)", register_ssh_key: false}
canary: {addresses: []}
http: {listen: "127.0.0.1:0"}
fleet: {tick_interval_s: 2}
streams:
  - name: duel
    workload: {kind: command, image: "python:3.12-slim", view: {kind: tcp, port: 8000}, start: "true", manager: {kind: none}}
YAML
echo a-key | install -m 0600 /dev/stdin /etc/keeper/credentials/vast_api_key
echo a-secret | install -m 0600 /dev/stdin /etc/keeper/credentials/secret/admin_code
install_of 9.0.1
check "with a key and streams it starts and is ready" 0 $?
check "the memory of before is taken over" old "$(cat /var/lib/keeper/old)"
check "and is the fixed user's alone" "keeper keeper 700" "$(stat -c '%U %G %a' /var/lib/keeper)"
check "the socket is the group's" "keeper keeper 660" "$(stat -c '%U %G %a' /run/keeper/keeper.sock)"
check "named secrets arrive" 'a-secret' \
    "$(cat "/proc/$(shown MainPID)/root/run/credentials/keeper.service/secret_admin_code")"
useradd ada
runuser -u ada -- keeper status
check "a stranger may not talk to it" 7 $?
usermod -aG keeper ada
runuser -u ada -- keeper status
check "a member of the group may" 0 $?
runuser -u ada -- cat /var/lib/keeper/keeper.db >/dev/null
check "and may not read its memory" 1 $?
install_of 9.0.1 >again
check "a second run changes nothing" "nothing to change" "$(grep -o '^nothing to change' again)"

install_of 9.0.2
check "an upgrade succeeds" "0 9.0.2" "$? $(runs)"
install_of 9.0.3
check "one that does not start is taken back" "1 9.0.2 active" "$? $(runs) $(systemctl is-active keeper)"

mkdir -p /etc/systemd/system/keeper.service.d
printf '[Service]\nWatchdogSec=8\n' >/etc/systemd/system/keeper.service.d/soon.conf
systemctl daemon-reload
systemctl restart keeper
before="$(shown NRestarts)"
systemctl kill -s STOP keeper
for _ in {1..60}; do
    [[ "$(shown NRestarts)" != "$before" && "$(systemctl is-active keeper)" == active ]] && break
    sleep 1
done
check "the watchdog ends one that hangs, and it comes back" active "$(systemctl is-active keeper)"
check "once" "$((before + 1))" "$(shown NRestarts)"
rm -r /etc/systemd/system/keeper.service.d
systemctl daemon-reload

cp /etc/keeper/keeper.yaml good
echo "nonsense: 1" >>/etc/keeper/keeper.yaml
systemctl restart keeper
check "a wrong configuration is not tried again" "78 failed" "$(shown ExecMainStatus) $(shown ActiveState)"
cp good /etc/keeper/keeper.yaml
systemctl start keeper
check "and a right one starts" 0 $?

sed -e "s|^ExecStart=.*|ExecStart=/opt/keeper/current/bin/python3 -m tests.integration.deploy.parts /var/lib/parts|" \
    -e "s|^Type=.*|Type=oneshot\nWorkingDirectory=$(cat checkout)|; s/^StateDirectory=.*/StateDirectory=parts/" \
    -e '/^Restart=/d; /^WatchdogSec/d; /^RuntimeDirectory=/d' \
    /usr/local/lib/systemd/system/keeper.service >/etc/systemd/system/pieces.service
systemctl daemon-reload
systemctl start pieces
journalctl -u pieces -o cat --no-pager >parts.said
check "pictures are decoded behind the walls" '"frames": 20' "$(grep -o '"frames": [0-9]*' parts.said)"
check "slates are rendered" '"slates": [true]' "$(grep -o '"slates": [^,]*' parts.said)"
check "players find this box's addresses" '"addresses": "gathered"' "$(grep -o '"addresses": "[^"]*"' parts.said)"

install_of 9.0.2 uninstall
check "uninstall refuses while a rental goes on" 6 $?
install_of 9.0.2 uninstall --even-with-rentals
check "and does it when told" "0 kept" "$? $([[ -e /var/lib/keeper/keeper.db && ! -e /opt/keeper ]] && echo kept)"
check "nobody is left" "" "$(pgrep -u keeper)"
systemctl --no-pager status keeper
echo "over" >>told
