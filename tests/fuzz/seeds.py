"""What the fuzzed parsers are fed with before it is spoiled: one of each kind that was seen or documented."""

import io
import json
from random import Random
from typing import Any, Final

from PIL import Image

SECRET: Final = "a-secret-key-of-the-account"


def _jpeg(size: tuple[int, int], **more: Any) -> bytes:
    out = io.BytesIO()
    noise = Random(7).randbytes(size[0] * size[1] * 3)  # the same in every process
    Image.frombytes("RGB", size, noise).save(out, "JPEG", **more)
    return out.getvalue()


JPEGS: Final = (
    _jpeg((64, 48)),
    _jpeg((96, 64), progressive=True),
    _jpeg((64, 64), subsampling=0, quality=30),
    _jpeg(
        (40, 30),
        exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00",
    ),
)


def as_json(*found: Any) -> tuple[bytes, ...]:
    return tuple(json.dumps(each).encode() for each in found)


ROW: Final = {
    "id": 4711, "label": "keeper:abc:duel/0:3", "actual_status": "running", "intended_status": "running",
    "cur_state": "running", "status_msg": "success, running workload", "image_runtype": "ssh",
    "machine_id": 77, "host_id": 9, "gpu_name": "RTX 4090", "gpu_ram": 24564, "disk_space": 120.0,
    "ssh_host": "ssh5.vast.ai", "ssh_port": 10_022, "public_ipaddr": "198.51.100.7 ",
    "ports": {"22/tcp": [{"HostIp": "0.0.0.0", "HostPort": "40022"}], "8000/tcp": None},
    "dph_total": 0.43, "dph_base": 0.4, "storage_total_cost": 0.03, "is_bid": False, "min_bid": 0.2,
    "rentable": True, "start_date": 1_760_000_000.5, "end_date": 1_790_000_000, "geolocation": "Texas, US",
}  # fmt: skip
OFFER: Final = {
    "id": 5, "ask_contract_id": 5, "machine_id": 77, "host_id": 9, "gpu_name": "RTX 4090", "num_gpus": 1,
    "gpu_ram": 24564, "gpu_display_active": True, "verification": "verified", "rentable": True,
    "reliability2": 0.99, "disk_space": 900.0, "inet_up": 800.0, "inet_down": 900.0, "inet_up_cost": 0.005,
    "internet_up_cost_per_tb": 5.0, "dph_total": 0.43, "dph_base": 0.4, "min_bid": 0.2, "storage_cost": 0.2,
    "storage_total_cost": 0.03, "direct_port_count": 40, "duration": 2e6, "geolocation": "Texas, US",
    "cuda_max_good": 12.6, "is_bid": False,
}  # fmt: skip
PAGES: Final = as_json(
    {"success": True, "instances": [ROW, {**ROW, "id": 4712}], "total_instances": 2, "instances_found": 2,
     "next_token": None},
    {"success": True, "instances": [ROW], "total_instances": 3, "instances_found": 1, "next_token": "abc"},
    {"success": True, "instances": None, "total_instances": 0, "instances_found": 0},
    {"success": True, "instances": [], "total_instances": 0},
)  # fmt: skip
NOES: Final = as_json(
    {"success": False, "error": "no_such_ask", "msg": "error 404/3603: no_such_ask Instance type by id 5"},
    {"success": False, "error": "rate_limit_exceeded", "msg": "API requests too frequent endpoint threshold=4.5",
     "retry_after": 3},
    {"success": True, "new_contract": 4711, "instance_api_key": "x"},
    {"success": False, "error": "invalid_args", "msg": f"bad key {SECRET}", "new_contract": 5},
    {"detail": "Invalid user key"}, {"error": "search_quota_exceeded", "message": "search quota"},
)  # fmt: skip
CHUNKS: Final = (
    b"new 4711 1763776800.123456789 12 0 0\nb25lCnR3bwo=\n", b"rest 4711 - 300000 234464 200\nb25lCnR3bwo=", b"absent\n",
    b"rotated 4712 0.000000000 4 0 0\nb25lCg==", b"truncated 1 0 0 0 0\n", b"0 12 1763776800\n3 0 1\n",
)  # fmt: skip
LINES: Final = (
    b'{"facts":{"process":{"state":"up","pid":812,"start":"99231","restarts":2}}}',
    b'{"seq":1,"facts":{"disk":{"free_mb":51200},"gpu":{"ok":true,"display":true}}}',
    b'{"seq":7,"facts":{"process":{"state":"given_up","pid":0,"start":"","restarts":9,"why":"errored"}}}',
    b'{"facts":{"disk":{"free_mb":12.5}}}',
    b'{"hb":12}',
)
DUELS: Final = as_json(
    {"process": "up", "is_young": False, "server": {"code": 200, "silent_s": 0}, "commit": "712516c9",
     "state": {"code": 200, "phase": "FIGHTING", "late_s": 90.0, "still_fights": 1},
     "bridge": {"seen": "ok", "flat_s": 70, "down": ["kick", "x"], "outputs": 2, "degraded": "probe_failed:x",
                "degraded_s": 400, "ffmpeg": None},
     "hls": {"seen": True, "flat_s": 80}, "log": {"db": {"n": 5, "for_s": 9.5, "text": "too many clients"}}},
    {"process": "manager_down", "server": {"code": 0}, "log": {"bad_build": {"n": 1, "text": "\u202eCannot find"}}},
)  # fmt: skip
DUEL_REPORTS: Final = as_json(
    {"health": {"code": 200, "status": "ok"}, "state": {"code": 503, "error": "Streaming delay warmup"},
     "context": {"code": 200, "phase": "FIGHTING", "one": "Ada", "other": "Bo"},
     "bridge": {"code": 200, "bytes": 1.2e9, "outputs": 2, "down": ["kick"]},
     "apps": [{"name": "hyperscape-duel", "pid": 7}], "logs": ["a line", "another"]},
    {"bridge": {"code": 200, "ffmpeg": False, "bytes": -1e300}, "apps": []},
)  # fmt: skip
PIXELS: Final = as_json(
    {
        "boot": "failed", "why": "exit 1", "portal_file": 1, "page": 1, "streamer": 1, "portal": 1,
        "caddy": "well", "hang": 4711, "log": "", "driver": "there", "app": "root",
        "relay": "mapped", "tunnel": "", "programs": {"ue-app": ["FATAL", 0, 0]},
    },
    {"boot": "ready", "caddy": "refused", "page": 1, "programs": {"coturn": ["EXITED", 1, 1]}},
    {"supervisor": "down"},
)  # fmt: skip

SD_TURBOS: Final = as_json(
    {"health": {
        "keeper": "sd-turbo", "phase": "generating", "prompt": "cat", "declared": "77af778b51abd4a3",
        "has_drawn": True, "frames_per_s": 29.5, "generation_s": 0.03, "age_s": 0, "queue_age_s": 0,
        "loading_s": 0, "errors_in_a_row": 4, "kind": "out_of_memory", "error": "CUDA out of memory",
        "request_errors": 7, "prompt_errors": 1, "stray_threads": 64, "note": "eager",
    }},
    {"how": "refused", "here": True, "death": {"kind": "driver", "code": 23, "text": "too old"}},
)  # fmt: skip
SD_TURBO_REPORTS: Final = tuple(
    asked + b" code=0\n== gpu\nNVIDIA RTX 4090, 99 %, 8000 MiB\n== log\n[gen] starting\n"
    for asked in as_json(
        {"phase": "generating", "frames": 9, "frames_per_s": 29.5, "last_frame_age_s": 0.1, "errors": 3,
         "last_error": {"kind": "other", "text": "no", "age_s": 9.0}, "uptime_s": 99.5, "viewers": 2},
        {"phase": "loading"},
    )
)  # fmt: skip
# What the probe of an audition prints, and what looks of one section do.
_PROBES: Final = (
    (("gpu", 0, "RTX 4090, 580.1, 24576 MiB"), ("display", 0, "display_mode=Enabled\nDisp.A=On"),
     ("drm", 0, "loaded"), ("dri", 0, "card0 renderD128"), ("disk", 0, "/dev/vda1 9 1 8 12% /"),
     ("icd", 0, 'library libGLX_nvidia.so.0=/x\nmanifest=/y\n {"ICD":{"library_path":"/x"}}\nexists=/x')),
    (("vulkan", 0, "deviceType = PHYSICAL_DEVICE_TYPE_CPU\ndeviceName = llvmpipe"), ("shm", 0, "shm 9 1 8 12% /"),
     ("encoder", 1, "[h264] OpenEncodeSession failed"), ("clock", 0, "1763726400"), ("x", 0, "answer=silent"),
     ("dns", 0, "live.example.com=0\ngithub.com=2"), ("ingest", 1, "Connection refused\ncontrol=0")),
)  # fmt: skip


def _probed(name: str, code: int, text: str) -> str:
    return f"@keeper begin {name}\n{text}\n\n@keeper end {name} {code}\n"


LOOKS: Final = (
    *("".join(_probed(*one) for one in those).encode() for those in _PROBES),
    b"sent=200 9000000 7.2\n",
    b"total_size=9000000\nout_time_us=8000000\nspeed=1.01x\n",
    b'{"chosen": "xvfb", "results": [{"mode": "xvfb", "verdict": "hardware", "vendor": "nvidia"}]}\n',
)
JOBS: Final = (
    b"job running - 0 12 20261101T120000.000000\na line\nmore\n",
    b"job ended 0 12 12 20261101T120000.000000\n",
    b"job ended late 0 4 x\nabc\n",
    b"job busy - 0 0 none\ndeploy.run\n",
)

SIGNALS: Final = as_json(
    {"type": "config", "peerConnectionOptions": {"iceServers": [
        {"urls": ["turn:relay.example:3478"], "username": "user", "credential": "pw"},
        {"urls": "stun:stun.example:19302"}]}, "protocolVersion": "1.3.0"},
    {"type": "streamerList", "ids": ["Game", "Game1"]},
    {"type": "offer", "sdp": "v=0"},
    {"type": "iceCandidate", "candidate": {"candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 0}},
    {"type": "subscribeFailed", "message": "Streamer Game is full. Max players = 1."},
    {"type": "streamerIdChanged", "newID": "Game2"},
    [{"streamerId": "Game", "subscribers": [{"playerId": "Player1"}]}],
)  # fmt: skip

INGESTS: Final = (
    (
        b"<rtmp><server><application><name>live</name><live><stream><name>key</name>"
        b"<client><id>1</id><publishing/></client><client><id>2</id></client><publishing/>"
        b"</stream></live></application></server></rtmp>"
    ),
    b"<rtmp><server><application><name>live</name><live></live></application></server></rtmp>",
)
PLAYLISTS: Final = (
    b"""#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:41
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T08:00:00.123+0000
#EXTINF:2.000,
x-41.ts?t=a%2Fb
#EXT-X-DISCONTINUITY
#EXTINF:1.5,title
http://198.51.100.7:8000/x-42.ts
#EXT-X-ENDLIST
""",
    b"""#EXTM3U
#EXT-X-MAP:URI="all.mp4",BYTERANGE="700@0"
#EXTINF:2,
#EXT-X-BYTERANGE:50@700
all.mp4
#EXT-X-KEY:METHOD=AES-128,URI="k?a=1,2",IV=0x0A
#EXTINF:2,
#EXT-X-GAP
b.mp4
""",
    b"""#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",DEFAULT=YES,URI="s.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=300000,RESOLUTION=160x90,CODECS="avc1.42c00b,mp4a",AUDIO="a"
160.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=6000000
../1080.m3u8
""",
)

PLAIN: Final = (
    b"Sat, 21 Nov 2026 05:21:51 GMT",
    b"Fri, 31 Dec 9999 23:59:59 GMT",
    b"Sun, 22 Nov 2026 05:21:51 +1200",
    b"keeper:abc:duel/0:3",
    b"198.51.100.7 ",
    b"2001:db8::1",
    b"ssh5.vast.ai",
    b"120",
    b"Bearer a-secret-key-of-the-account https://me:pw@example.com/?token=abc",
    b"multipart/x-mixed-replace; boundary=frame",
    'multipart/x-mixed-replace; boundary="--främe"'.encode(),
    b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKeeperOfTheSimulationxxxxxxxxxxxxxxxxxxx relay\nssh-rsa AAAA",
)
MJPEG: Final = tuple(
    b"".join(
        b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n"
        % (len(each), each)
        for each in frames
    )
    for frames in (JPEGS[:2], (JPEGS[3],) * 3, (b"\xff\xd8x\xff\xd9", b"\xff\xd8yy\xff\xd9"))
)
KEY: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKeeper me@here"
HINTS: Final = as_json(
    {"event_id": "7e9a2c4e6f9e4a24", "user_id": 150_412, "notif_type": "outbid", "subject": "Outbid",
     "message": "Instance 7001 was outbid", "timestamp": 1_772_490_000.123},
    {"version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "keeper", "truncatedAlerts": 0,
     "alerts": [{"status": "firing", "labels": {"alertname": "PictureGone", "stream": "duel"},
                 "annotations": {}, "startsAt": "2026-03-02T22:21:40Z", "fingerprint": "c0ff"}]},
)  # fmt: skip
