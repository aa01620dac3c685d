"""Shell for a Pixel Streaming host: the application's program, its archive, and a cure for each symptom.

Everything bears repetition. Nothing is ever ended by a name: by the pid that supervisord tells, or by
one that was looked up and compared. supervisord is never told to reload: that restarts all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote

from keeper.ports import Command, Job, Parcel, Upload
from keeper.workloads.pixel_streaming.settings import ArchiveSettings, PixelStreamingSettings

# In front of each start's output: what stands above it in the log is of an earlier one.
START_LINE = "keeper: the application starts"
_CONTROL_S = 60.0
_URL_VARIABLE = "KEEPER_ARCHIVE_URL"
_LOG_MAX = "20MB"


def questions(settings: PixelStreamingSettings) -> Mapping[str, str]:
    """Return the variables that payload/pixel_questions.sh stands on."""
    image = settings.image_layout
    names = (
        image.caddy, image.portal, image.signalling, image.relay, *image.audio,
        *((image.tunnels,) if settings.tunnel_url else ()), settings.app.program,
    )  # fmt: skip
    return {
        "pixel_programs": " ".join(dict.fromkeys(names)),
        "pixel_signalling": image.signalling,
        "pixel_environ": image.environ_file,
        "pixel_markers": image.markers_folder.rstrip("/"),
        "pixel_failures": image.failures_file,
        "pixel_portal_file": image.portal_file,
        "pixel_skips": image.skips_folder,
        "pixel_log": f"{image.logs_folder}/{image.signalling}.log",
        "pixel_app_log": app_log(settings),
        "pixel_start_line": START_LINE,
        "pixel_page": str(image.page_port),
        "pixel_page_inside": str(image.page_port_inside),
        "pixel_streamer": str(image.streamer_port),
        "pixel_portal": str(image.portal_port_inside),
        "pixel_tunnel": settings.tunnel_url,
        "pixel_hang_s": str(image.hang_s),
    }


def app_log(settings: PixelStreamingSettings) -> str:
    """Return where the application's output goes."""
    return f"{settings.image_layout.logs_folder}/{settings.app.program}.log"


def assignments(values: Mapping[str, str]) -> str:
    """Return shell assignments."""
    return "".join(f"{name}={quote(value)}\n" for name, value in values.items())


# --- the boot -----------------------------------------------------------------------------------------

_BOOT = r"""
tries=0
while :; do
    if [ -e "$markers/.provisioning_failed" ]; then
        echo "the image's provisioning has failed:" >&2
        tail -n 5 -- "$failures" >&2 2>/dev/null
        exit 1
    fi
    if [ ! -e "$markers/.provisioning" ] && [ -s "$portal_file" ]; then
        said=$($supervisorctl status 2>&1)
        case $said in
        *'://'*'no such file'* | *'refused connection'* | *SHUTDOWN_STATE* | '') ;;
        *) exit 0 ;;
        esac
    fi
    [ "$tries" -lt "$tries_max" ] || break
    tries=$((tries + 1))
    sleep 1
done
echo 'the image has not finished its boot:' >&2
[ -s "$portal_file" ] || echo "$portal_file is missing or empty: is PORTAL_CONFIG well formed?" >&2
[ ! -e "$markers/.provisioning" ] || echo 'the provisioning script still runs' >&2
printf '%s\n' "$said" | tail -n 5 >&2
exit 1
"""


def boot(settings: PixelStreamingSettings, *, name: str) -> Job:
    """Wait until the image has booted: provisioned, with its portal's list, supervisord answering."""
    image = settings.image_layout
    values = {
        "markers": image.markers_folder.rstrip("/"),
        "failures": image.failures_file,
        "portal_file": image.portal_file,
        "supervisorctl": image.supervisorctl,
        "tries_max": str(int(image.boot_s)),
    }
    script = assignments(values) + "said=''\n" + _BOOT
    return Job(name=name, script=script, timeout_s=image.boot_s + 60.0, mark="")


# --- the archive --------------------------------------------------------------------------------------

_FETCH = r"""
umask 022
mkdir -p -- "$workdir/.keeper" && cd -- "$workdir" || exit 1
stamp=.keeper/project.stamp
wanted="$digest $folder"
if [ -z "$digest" ]; then
    set -- $(cksum <"$path") && wanted="$1-$2 $folder"
fi
if [ -d "$folder" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    [ "$sent" = 0 ] || rm -f -- "$path" "$path.part"
    echo 'the project is in place'
    exit 0
fi
if [ -z "$path" ]; then
    path=.keeper/archive.$digest
    tries=0
    while :; do
        # The address may be a key in itself: it comes by stdin and stands in no list of processes.
        printf 'url = "%s"\n' "$KEEPER_ARCHIVE_URL" |
            curl -fsSL --retry 3 --connect-timeout 20 --speed-limit 1000 --speed-time 60 \
                -C - -o "$path" -K - && break
        rc=$?
        # 33 and 36: nothing can be resumed there. 22 after a whole file: there is nothing left of it.
        case $rc in 22 | 33 | 36)
            if echo "$digest  $path" | sha256sum -c --status 2>/dev/null; then break; fi
            rm -f -- "$path" ;;
        esac
        tries=$((tries + 1))
        [ "$tries" -lt 4 ] || { echo "fetching the archive failed, curl says $rc" >&2; exit 1; }
        sleep $((tries * 3))
    done
    fetched=1
else
    fetched=$sent
    [ -f "$path" ] || { echo "there is no archive $path" >&2; exit 1; }
fi
if [ -n "$digest" ] && ! echo "$digest  $path" | sha256sum -c --status; then
    [ "$fetched" = 0 ] || rm -f -- "$path"
    echo 'the archive has another checksum than was declared' >&2
    exit 1
fi
rm -rf -- "$folder.new" && mkdir -- "$folder.new" || exit 1
kind=$(head -c 4 -- "$path" | od -An -tx1 | tr -d ' \n')
case $kind in
504b0304)
    if command -v unzip >/dev/null 2>&1; then unzip -q -o "$path" -d "$folder.new"
    else python3 -m zipfile -e "$path" "$folder.new"; fi ;;
*) tar -xf "$path" -C "$folder.new" --no-same-owner ;;
esac || { echo 'the archive cannot be unpacked' >&2; df -Pk . >&2; exit 1; }
rm -rf -- "$folder.old"
[ ! -e "$folder" ] || mv -- "$folder" "$folder.old" || exit 1
mv -- "$folder.new" "$folder" || exit 1
printf '%s\n' "$wanted" >"$stamp"
rm -rf -- "$folder.old"
[ "$fetched" = 0 ] || rm -f -- "$path"
"""


# What unzip and tar take: the beginnings of such files.
_HEADS = (
    (0, b"PK\x03\x04"), (257, b"ustar"), (0, b"\x1f\x8b"), (0, b"BZh"), (0, b"\xfd7zXZ\x00"),
    (0, b"\x28\xb5\x2f\xfd"),
)  # fmt: skip
_HEADS_SAID = "a zip, or a tar as it is or compressed by gzip, bzip2, xz or zstd"

_IN_PLACE = r"""
cd -- "$workdir" && [ -d "$folder" ] && [ "$(cat .keeper/project.stamp)" = "$digest $folder" ]
"""


def parcel(settings: PixelStreamingSettings, archive: ArchiveSettings, *, name: str) -> Parcel:
    """Send an archive of keeper's box, unless what is in it is in place already.

    Always under the same name: the beginning of an earlier one that never came whole is overwritten.
    """
    values = {
        "workdir": settings.workdir,
        "folder": settings.app.folder,
        "digest": archive.sha256,
    }
    return Parcel(
        name=name,
        local_path=archive.local_path,
        sha256=archive.sha256,
        path=_sent(settings),
        mode=0o600,
        timeout_s=archive.timeout_s,
        stall_s=archive.stall_s,
        unless=assignments(values) + _IN_PLACE,
        heads=_HEADS,
        heads_said=_HEADS_SAID,
    )


def _sent(settings: PixelStreamingSettings) -> str:
    return f"{settings.workdir}/.keeper/sent-archive"


def project(
    settings: PixelStreamingSettings, archive: ArchiveSettings, url: str, *, name: str
) -> Job:
    """Fetch, verify and unpack the application, unless this very one is there already."""
    values = {
        "workdir": settings.workdir,
        "folder": settings.app.folder,
        "digest": archive.sha256,
        "path": _sent(settings) if archive.local_path else archive.path,
        "sent": "1" if archive.local_path else "0",
    }
    mark = f"{archive.sha256}:{archive.path}:{settings.workdir}:{settings.app.folder}"
    return Job(
        name=name,
        script=assignments(values) + _FETCH,
        timeout_s=archive.timeout_s,
        # An archive on the host without a checksum may be another one tomorrow; and one that was sent
        # because the folder is gone must be unpacked, whatever was done before.
        mark=mark if archive.sha256 and not archive.local_path else "",
        env={_URL_VARIABLE: url} if url else {},
    )


# --- the application's program ------------------------------------------------------------------------


def _own(settings: PixelStreamingSettings, name: str) -> str:
    return f"{settings.workdir}/.keeper/{settings.app.program}{name}"


def program(settings: PixelStreamingSettings, secrets: Mapping[str, str]) -> tuple[Upload, ...]:
    """Return the three files of the application's own program at supervisord."""
    app = settings.app
    account = f"user={app.account}\n" if app.account else ""
    conf = (
        f"; written by keeper at each deploy\n[program:{app.program}]\n"
        f"command=/bin/sh {quote(_own(settings, '.sh'))}\n"
        f"directory={settings.workdir}\n{account}"
        "autostart=true\nautorestart=true\n"
        f"startsecs={app.start_s}\nstartretries={app.start_retries}\n"
        f"stopasgroup=true\nkillasgroup=true\nstopsignal=TERM\nstopwaitsecs={app.stop_s}\n"
        f"stdout_logfile={app_log(settings)}\nredirect_stderr=true\n"
        f"stdout_logfile_maxbytes={_LOG_MAX}\nstdout_logfile_backups=1\n"
    )
    env = {**app.env, **secrets}
    exports = "".join(f"export {name}={quote(value)}\n" for name, value in env.items())
    return (
        Upload(path=_own(settings, ".env"), content=exports.encode(), mode=0o600),
        Upload(path=_own(settings, ".sh"), content=_wrapper(settings).encode(), mode=0o755),
        Upload(path=_conf(settings), content=conf.encode()),
    )


def _conf(settings: PixelStreamingSettings) -> str:
    return f"{settings.image_layout.programs_folder}/{settings.app.program}.conf"


def _wrapper(settings: PixelStreamingSettings) -> str:
    app = settings.app
    executable = app.executable
    if not executable.startswith("/"):
        executable = f"{settings.workdir}/{app.folder}/{executable}"
    name = (f"-PixelStreamingID={app.streamer_id}",) if app.streamer_id else ()
    url = f"-PixelStreamingURL=ws://127.0.0.1:{settings.image_layout.streamer_port}"
    line = " ".join(quote(word) for word in (*app.launcher, executable, url, *name, *app.args))
    # supervisord changes the user and leaves the rest of the environment as it was for root.
    return (
        "#!/bin/sh\n"
        f"echo {quote(START_LINE)}\n"
        f"{_own_values(settings)}"
        'home=$(getent passwd "$(id -u)" | cut -d: -f6)\n'
        '[ -z "$home" ] || export HOME="$home"\n'
        'export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/run/user/$(id -u)}"\n'
        f"cd -- {quote(f'{settings.workdir}/{app.folder}')} 2>/dev/null || cd /\n"
        f"[ -e {quote(executable)} ] || {{ echo {quote(executable)}': No such file or directory'; exit 1; }}\n"
        f"exec {line}\n"
    )


def _own_values(settings: PixelStreamingSettings) -> str:
    return f". {quote(_own(settings, '.env'))}\n"


def install(settings: PixelStreamingSettings, *, name: str) -> Command:
    """Make supervisord take up the program; nothing else of it is touched."""
    app = settings.app
    executable = app.executable
    if not executable.startswith("/"):
        executable = f"{settings.workdir}/{app.folder}/{executable}"
    values = {
        "supervisorctl": settings.image_layout.supervisorctl,
        "account": app.account,
        "env_file": _own(settings, ".env"),
        "log": app_log(settings),
        "executable": executable,
        "program": app.program,
    }
    script = r"""
if [ -n "$account" ]; then
    id -u "$account" >/dev/null 2>&1 || { echo "there is no account $account on the host" >&2; exit 1; }
    chown -- "$account" "$env_file" || exit 1
fi
mkdir -p -- "${log%/*}" || exit 1
[ -e "$executable" ] || { echo "the project has no $executable" >&2; exit 1; }
[ -x "$executable" ] || chmod a+rx -- "$executable" 2>/dev/null
said=$($supervisorctl reread 2>&1) || { printf '%s\n' "$said" >&2; exit 1; }
case $said in *ERROR*) printf '%s\n' "$said" >&2; exit 1 ;; esac
$supervisorctl update "$program" >/dev/null || exit 1
"""
    return Command(name=name, script=assignments(values) + script, timeout_s=_CONTROL_S)


_VERIFY = r"""
tries=0
while [ "$tries" -lt "$tries_max" ]; do
    said=$($supervisorctl status "$program" 2>&1)
    case $said in
    *RUNNING*) exit 0 ;;
    *FATAL*) break ;;
    esac
    tries=$((tries + 1))
    sleep 1
done
printf '%s\n' "$said" >&2
tail -n 15 -- "$log" >&2 2>/dev/null
exit 1
"""


def verify(settings: PixelStreamingSettings, *, name: str) -> Command:
    """See that supervisord calls the application running: up for longer than it takes to fail."""
    app = settings.app
    wait_s = (app.start_s + 3) * (app.start_retries + 1) + 6 * app.start_retries
    values = {
        "supervisorctl": settings.image_layout.supervisorctl,
        "program": app.program,
        "log": app_log(settings),
        "tries_max": str(min(wait_s, 150)),
    }
    script = assignments(values) + _VERIFY
    return Command(name=name, script=script, timeout_s=min(wait_s, 150) + 30.0)
