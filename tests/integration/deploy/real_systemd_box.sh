#!/usr/bin/env bash
# The box of real_systemd.py, from inside its namespaces: this machine's files below a layer that is thrown away,
# a /dev, /run and control groups of its own, and systemd as the first process. Changes nothing outside.
set -euo pipefail
folder="$1"
root="$folder/box/root"

mount --make-rprivate /
mkdir -p "$folder/box"
mount -t tmpfs none "$folder/box"
mkdir "$folder/box/upper" "$folder/box/work" "$root"
mount -t overlay none -o "lowerdir=/,upperdir=$folder/box/upper,workdir=$folder/box/work" "$root"
mount -t proc proc "$root/proc"
# Its settings of the kernel are everybody's.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs none "$root/sys/fs/cgroup" || true
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 none "$root/run"
mount -t tmpfs -o mode=755 none "$root/dev"
for device in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0"; do
    read -r name major minor <<<"$device"
    mknod "$root/dev/$name" c "$major" "$minor"
    chmod 0666 "$root/dev/$name"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t tmpfs none "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
: >"$folder/console"
: >"$root/dev/console"
mkdir -p "$root$folder"
mount --bind "$folder" "$root$folder"
mount --bind "$folder/console" "$root/dev/console"
hostname keeper-box

# Nothing of this machine's own services: the bus, the journal, and the play.
rm -rf "$root/etc/systemd/system"
mkdir -p "$root/etc/systemd/system" "$root/etc/systemd/system-generators"
for generator in "$root"/lib/systemd/system-generators/*; do
    ln -sf /dev/null "$root/etc/systemd/system-generators/$(basename -- "$generator")"
done
cat >"$root/etc/systemd/system/box.target" <<UNIT
[Unit]
DefaultDependencies=no
Wants=systemd-journald.service dbus.socket play.service
UNIT
cat >"$root/etc/systemd/system/play.service" <<UNIT
[Unit]
DefaultDependencies=no
After=dbus.socket
[Service]
Type=oneshot
TimeoutStartSec=350
Environment=HOME=/root PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
ExecStart=/bin/bash $folder/real_systemd_play.sh $folder
ExecStopPost=/bin/systemctl --no-block exit 0
StandardOutput=file:$folder/said
StandardError=file:$folder/said
UNIT

mkdir "$root/old"
cd "$root"
pivot_root . old
cd /
umount -l /old
mount --make-rshared /
exec env -i container=oci PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=box.target --log-target=console --show-status=no
