"""Every parser of what a host, the marketplace or a receiver sends: how it is fed, what it may come to.

A parser takes bytes and returns what it read. It may raise nothing but ``raises``; ``check`` says what
is wrong with a value, "" for nothing. None of them may touch a socket, a file or a process.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import asyncssh

from keeper.adapters import ssh
from keeper.adapters.hls import name_of
from keeper.adapters.mjpeg import FRAME_MAX_BYTES, FrameReader, FrameTally, boundary_of
from keeper.adapters.reach import Ended, joined, origin
from keeper.adapters.ssh_channel import (
    CHATTER_MAX_BYTES,
    LINE_MAX_BYTES,
    CommandSession,
    WatchSession,
)
from keeper.adapters.still import still_of
from keeper.adapters.vastai_addresses import address_of, host_name_of, is_near
from keeper.adapters.vastai_errors import Judge, is_already_there, says_no_such_instance
from keeper.adapters.vastai_hints import hint_s, quota_until, threshold_s
from keeper.adapters.vastai_keys import identity_of, keys_of, says_no_key
from keeper.adapters.vastai_offers import offers_of, totals_of
from keeper.adapters.vastai_reply import Effect, Reply, http_date
from keeper.adapters.vastai_rows import Listing, account_of, instance_of, ports_of
from keeper.adapters.vastai_wire import (
    Complaint,
    Created,
    InstanceRow,
    Offers,
    Page,
    Shown,
    User,
    amount,
    decode,
    flag,
    identity,
    integer,
    moment,
    number,
    price,
    text,
)
from keeper.alerts import Delivery, DeliveryKind
from keeper.alerts.block_kit import escape
from keeper.alerts.channels.slack import Slack, SlackSettings
from keeper.alerts.wording import refused, shared_reading
from keeper.cli.terminal import cell
from keeper.core import cause, labels
from keeper.core.model import Instance, InstanceId, Offer, Reading, Status
from keeper.core.text import plain
from keeper.daemon.jobs import Lines
from keeper.ports import Account, CommandResult, Hint, HttpReply, Malformed, PortError, Transient
from keeper.probes.grid import CELLS
from keeper.probes.http import read_http
from keeper.probes.ingest import publishers_at
from keeper.probes.log_file import CONTENT_MAX_BYTES, Mark, read_chunk, read_list
from keeper.probes.playlist import (
    SEGMENTS_KEPT,
    VARIANTS_MAX,
    Choice,
    cheapest,
    read_playlist,
)
from keeper.probes.signalling import Exchange, Finish, watching
from keeper.telemetry import logs
from keeper.telemetry.metrics import label_value
from keeper.telemetry.redact import Redactor
from keeper.web.answers import plain_values
from keeper.web.hints import Why, read_alertmanager, read_vast
from keeper.workloads import jobs, registered
from keeper.workloads.audition import judged
from keeper.workloads.audition_checks import AuditionSettings, Demands, Ingest, audition
from keeper.workloads.audition_host import upload
from keeper.workloads.hyperscape_duel.settings import HyperscapeDuelSettings
from keeper.workloads.managers import dead_man
from keeper.workloads.managers.dead_man import Guard
from keeper.workloads.managers.facts import read_line
from keeper.workloads.pixel_streaming.settings import AppSettings, PixelStreamingSettings
from keeper.workloads.sd_turbo.settings import SdTurboSettings
from tests.fuzz.seeds import (
    CHUNKS,
    DUEL_REPORTS,
    DUELS,
    HINTS,
    INGESTS,
    JOBS,
    JPEGS,
    KEY,
    LINES,
    LOOKS,
    MJPEG,
    NOES,
    OFFER,
    PAGES,
    PIXELS,
    PLAIN,
    PLAYLISTS,
    ROW,
    SD_TURBO_REPORTS,
    SD_TURBOS,
    SECRET,
    SIGNALS,
    as_json,
)

NOW: Final = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOST: Final = InstanceId(5)


@dataclass(frozen=True)
class Parser:
    """One way in."""

    name: str
    parse: Callable[[bytes], Any]
    seeds: Sequence[bytes]
    check: Callable[[Any], str] = lambda _: ""
    raises: tuple[type[Exception], ...] = ()
    share: float = 1.0  # of the inputs; a slow one gets fewer


# Controls, formatting that nobody sees, halves of characters, and other ends of lines.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

# --- what values may be --------------------------------------------------------------------------


def _all(*checks: str) -> str:
    return next(filter(None, checks), "")


def is_sound_number(value: object, bound: float = 1e13) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and abs(value) <= bound


def shown_badly(said: str, length_max: int) -> str:
    if len(said) > length_max:
        return f"{len(said)} characters are shown"
    if not said.isprintable() and _UNSEEN.intersection(map(unicodedata.category, said)):
        return "control characters are shown"
    said.encode()
    return ""


def check_readings(readings: Any) -> str:
    if not isinstance(readings, tuple) or len(readings) > 3:
        return "not a few readings"
    return _all(*map(check_reading, readings))


def check_reading(reading: Any) -> str:
    if not isinstance(reading, Reading):
        return "not a reading"
    if not 0 <= reading.restarts <= 2**31:
        return "an absurd count of restarts"
    if not all(is_sound_number(each) for each in reading.numbers.values()):
        return "an absurd number"
    return shown_badly(reading.detail, 200) or shown_badly(reading.identity, 64)


def check_duel(readings: Any) -> str:
    symptoms = [reading.symptom for reading in readings if reading.symptom is not None]
    return check_readings(readings) or _all(*(shown_badly(each.sentence, 200) for each in symptoms))


def check_duel_report(lines: Any) -> str:
    if not isinstance(lines, tuple) or not 0 < len(lines) <= 12:
        return "not a few lines"
    return _all(*(shown_badly(row, 200) for line in lines for row in line.text.split("\n")))


def check_instance(found: Any) -> str:
    if not isinstance(found, Instance):
        return "not a rental"
    texts = (found.status_text, found.gpu_name, found.ssh_host, found.public_ip, found.geolocation)
    money = (found.dollars_per_hour, found.gpu_dollars_per_hour, found.disk_dollars_per_hour)
    if not all(is_sound_number(each, 1e4) and each >= 0 for each in money):
        return "an absurd price"
    if not all(is_sound_number(each) for each in (found.gpu_ram_gb, found.disk_gb)):
        return "an absurd size"
    if not all(0 < port <= 65_535 for port in found.ports.values()):
        return "no port"
    if is_near(found.public_ip) or is_near(found.ssh_host):
        return "an address of our own"
    cause.network_of(found.public_ip)
    labels.parse(found.label)
    return _all(*(shown_badly(each, 1024) for each in (found.label, *texts)))


def check_offers(found: Any) -> str:
    if not isinstance(found, tuple) or not all(isinstance(each, Offer) for each in found):
        return "not offers"
    if not all(
        is_sound_number(each.dollars_per_hour, 1e4) and each.dollars_per_hour > 0 for each in found
    ):
        return "an absurd price"
    return _all(*(shown_badly(each.gpu_name, 80) for each in found))


def check_error(found: Any) -> str:
    if found is None:
        return ""
    if not isinstance(found, PortError):
        return "not an error of the port"
    wait_s = getattr(found, "retry_after_s", None)
    if wait_s is not None and not 0 <= wait_s <= 300:
        return "an absurd wait"
    if SECRET in str(found):
        return "it repeats the key"
    return shown_badly(str(found), 500)


def check_numbers(found: Any) -> str:
    return "" if all(each is None or math.isfinite(each) for each in found) else "absurd"


# --- how they are fed ----------------------------------------------------------------------------


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def sentinel_line(data: bytes) -> Any:
    return read_line(_text(data), HOST, NOW, needs_display=True)


DUEL: Final = registered()["hyperscape-duel"].build(
    HyperscapeDuelSettings(kind="hyperscape-duel", commit="8591248d"), {}
)


def duel_look(data: bytes) -> Any:
    return DUEL.interpret('{"facts":{"workload":' + _text(data) + "}}", HOST, NOW)


def duel_report(data: bytes) -> Any:
    return DUEL.read_report(CommandResult(exit_code=0, stdout=_text(data), stderr=""))


PIXEL: Final = registered()["pixel-streaming"].build(
    PixelStreamingSettings(kind="pixel-streaming", app=AppSettings(executable="Game.sh")), {}
)


def pixel_look(data: bytes) -> Any:
    return PIXEL.interpret('{"facts":{"workload":' + _text(data) + "}}", HOST, NOW)


def pixel_report(data: bytes) -> Any:
    text = '"workload":' + _text(data)
    return PIXEL.read_report(CommandResult(exit_code=0, stdout=text, stderr=""))


SD_TURBO: Final = registered()["sd-turbo"].build(SdTurboSettings(kind="sd-turbo"), {})


def sd_turbo_look(data: bytes) -> Any:
    told: list[Any] = []
    for state, why in (("up", ""), ("gone", "")):
        process = f'"process":{{"state":"{state}","pid":7,"start":"9","why":"{why}"}}'
        line = f'{{"facts":{{{process},"workload":{_text(data)}}}}}'
        told += SD_TURBO.interpret(line, HOST, NOW)
        for reading in told:
            SD_TURBO.remembering(reading.keepsake)
    return tuple(told)


def check_sd_turbo(readings: Any) -> str:
    symptoms = [each.symptom for each in readings if each.symptom is not None]
    keepsakes = [each.keepsake for each in readings]
    return _all(
        *map(check_reading, readings),
        *(shown_badly(each.sentence, 200) for each in symptoms),
        *(shown_badly(each, 2000) for each in keepsakes),
    )


def sd_turbo_report(data: bytes) -> Any:
    return SD_TURBO.read_report(CommandResult(exit_code=0, stdout=_text(data), stderr=""))


def check_sd_turbo_report(lines: Any) -> str:
    return _all(*(shown_badly(row, 300) for line in lines for row in line.text.split("\n")))


AUDITION: Final = (
    *audition(
        Demands(
            workdir="/workspace", disk_free_min_gb=60, renders=True, encodes=True, x_display=":99",
            webgpu=True, ingest=Ingest(host="live.example.com"), bitrate_bps=4_500_000, shm_min_gb=1,
            ports=(8000,),
        ),
        AuditionSettings(upload_test_url="https://up.example.com/"),
    ),
    upload("rtmp://up.example.com/live/test", 4_500_000),
)  # fmt: skip


def audition_looks(data: bytes) -> Any:
    """One answer, taken for that of each look."""
    code = (0, 0, 0, 1, 28, 124, 127, 255)[len(data) % 8]
    said = CommandResult(exit_code=code, stdout=_text(data), stderr=_text(data[:200]))
    return [judged(check, said, NOW) for check in AUDITION]


def check_findings(found: Any) -> str:
    if not all(is_sound_number(n, 1e16) for each in found for n in each.numbers.values()):
        return "an absurd number"
    if any(each.status is Status.TRUE and each.meaning is not None for each in found):
        return "well, and to be mended"
    return _all(*(shown_badly(each.saw, 200) for each in found))


def job_answer(data: bytes) -> Any:
    reply = jobs.read(CommandResult(exit_code=0, stdout=_text(data), stderr=""))
    guard, why = dead_man.read(CommandResult(exit_code=0, stdout=_text(data), stderr=""))
    assert guard in Guard or why
    return reply, [line for piece in (_text(data), "\n") for line in Lines().take(piece)]


def check_job(found: Any) -> str:
    reply, lines = found
    if any(len(line) > 4096 for line in lines):
        return "a line without end"
    if reply is None:
        return ""
    if not 0 <= reply.offset < 10**31 or not 0 <= reply.next_offset < 10**31:
        return "a place before the beginning"
    return "" if reply.exit_code is None or 0 <= reply.exit_code <= 999 else "an absurd exit code"


def signalling_talk(data: bytes) -> Any:
    """Every message, after the greeting and a list: an exchange takes them in any order."""
    found: list[Any] = []
    for is_subscribing in (True, False):
        exchange = Exchange(is_subscribing=is_subscribing, streamer_id="Game")
        found += exchange.receive(_text(SIGNALS[0])) if data[:1] == b"[" else ()
        for _ in range(3):
            found += exchange.receive(_text(data))
        found.append(Finish("".join((exchange.watched, *exchange.streamers))[:200]))
    watching(data)
    return found


def check_talk(actions: Any) -> str:
    finished = [each.error for each in actions if isinstance(each, Finish)]
    return _all(*(shown_badly(each, 200) for each in finished))


def sentinel_bytes(data: bytes) -> Any:
    session = WatchSession(b"", b"nonce")
    found: list[str] = []
    step = 1 + len(data) % 700
    session.data_received(b"nonce\n", None)
    for at in range(0, len(data), step):
        session.data_received(data[at : at + step], None)
        assert len(session._part) <= LINE_MAX_BYTES
        while session.lines:
            found.append(session.pop())
    return found


def command_bytes(data: bytes) -> Any:
    session = CommandSession(b"", b"nonce", 1000)
    step = 1 + len(data) % 700
    for at in range(0, len(data), step):
        session.data_received(
            data[at : at + step], None if at % 3 else asyncssh.EXTENDED_DATA_STDERR
        )
    session.exit_status_received(0)
    session.connection_lost(None)
    return session.ended.result()


def check_command(found: Any) -> str:
    return (
        "" if len(found.stdout) <= CHATTER_MAX_BYTES and len(found.stderr) <= 1000 else "too long"
    )


def mjpeg_stream(data: bytes) -> Any:
    reader, tally = FrameReader(b"--frame"), FrameTally()
    step = 1 + len(data) * 7 % 5000
    for at in range(0, len(data), step):
        for frame in reader.feed(data[at : at + step]):
            tally.add(frame)
    assert len(reader._buffer) <= FRAME_MAX_BYTES + step
    return tally


def check_tally(found: FrameTally) -> str:
    return "" if 0 <= found.unique <= found.frames + 1 and found.damaged <= found.frames else "odd"


def check_still(found: Any) -> str:
    if found is None:
        return ""
    if len(found.grid) != CELLS:
        return "a grid of another size"
    is_sound = 0 <= found.mean_luma <= 255 and 0 <= found.bright_luma <= 255
    return "" if is_sound else "an absurd brightness"


def content_type(data: bytes) -> Any:
    return boundary_of(data.decode("utf-8", "surrogateescape"))


def _replies(data: bytes) -> list[Reply]:
    status = (200, 400, 401, 404, 410, 429, 500, 503, 200, 307)[len(data) % 10]
    header = data[:200].decode("latin-1")
    headers = {
        "content-type": "application/json",
        "retry-after": header,
        "x-ratelimit-reset": header,
    }
    return [Reply(status=status, body=data, headers=headers), Reply(status=status, body=data)]


_JUDGE: Final = Judge(redact=lambda said: said.replace(SECRET, "[redacted]"))


def refusal(data: bytes) -> Any:
    effect = (Effect.READ, Effect.ONCE, Effect.REPEATABLE)[len(data) % 3]
    first, bare = _replies(data)
    found = _JUDGE.failure_of(first, call="GET /x", effect=effect, now=NOW)
    for reply in (first, bare):
        is_already_there(reply)
        says_no_such_instance(reply)
        says_no_key(reply)
        threshold_s(reply)
        wait_s = hint_s(reply, NOW)
        assert wait_s is None or 0 <= wait_s <= 300
        assert 0 <= (quota_until(reply, NOW) - NOW).total_seconds() <= 90_000
    return found


def rental_row(data: bytes) -> Any:
    return instance_of(decode(data, InstanceRow))


def list_page(data: bytes) -> Any:
    listing = Listing()
    listing.add(decode(data, Page))
    return listing.instances() if listing.is_complete else ()


def shown_rental(data: bytes) -> Any:
    rows = decode(data, Shown).instances
    return [instance_of(row) for row in (rows if isinstance(rows, list) else [rows]) if row]


def offers(data: bytes) -> Any:
    answer = decode(data, Offers)
    totals_of(answer)
    return offers_of(answer, 100.0, is_bid=len(data) % 2 == 0)


def created(data: bytes) -> Any:
    return (identity(decode(data, Created).new_contract),)


def complaint(data: bytes) -> Any:
    found = decode(data, Complaint)
    return [text(each) for each in (found.msg, found.message, found.detail, found.error)]


def account(data: bytes) -> Any:
    return account_of(decode(data, User))


def key_list(data: bytes) -> Any:
    return [identity_of(each) for each in keys_of(data)]


def values(data: bytes) -> Any:
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError):
        value = data.decode("utf-8", "surrogateescape")
    flag(value)
    moment(value)
    text(value).encode()
    ports_of(value)
    return [read(value) for read in (number, integer, identity, amount, price)]


def addresses(data: bytes) -> Any:
    said = data.decode("utf-8", "replace")
    found = address_of(said), host_name_of(said)
    cause.network_of(found[0])
    return found


def check_addresses(found: Any) -> str:
    return _all(*("of our own" if is_near(each) else shown_badly(each, 253) for each in found))


def dates(data: bytes) -> Any:
    header = data.decode("latin-1")
    for reset in ("", header, str(NOW.timestamp() + 600)):
        spent = Reply(status=429, headers={"date": header, "x-ratelimit-reset": reset})
        assert 0 < (quota_until(spent, NOW) - NOW).total_seconds() <= 90_000
    return http_date(header)


def label(data: bytes) -> Any:
    return labels.parse(_text(data))


def check_label(found: Any) -> str:
    return "" if found is None or 0 <= found.attempt < 10**10 else "an absurd attempt"


def host_keys(data: bytes) -> Any:
    pins = _text(data)
    ssh._with_pin(pins, "ssh-ed25519 AAAA", "relay")
    return ssh._pin_of(pins, ""), ssh._fingerprint(pins)


def receivers_reply(data: bytes) -> Any:
    status = (200, 302, 404, 410, 429, 503)[len(data) % 6]
    headers = {"retry-after": data[:60].decode("latin-1")}
    reply = HttpReply(status=status, headers=headers, body=data, elapsed_s=0.1)
    return shared_reading(reply) or refused(reply, DeliveryKind.DROP)


_BOT: Final = Slack(
    SlackSettings(kind="slack", name="ops", url_secret="", token_secret="T", channel="C1"), "xoxb-1"
)


def bots_reply(data: bytes) -> Any:
    return _BOT.classify(HttpReply(status=200, headers={}, body=data, elapsed_s=0.1))


def check_delivery(found: Delivery) -> str:
    if len(found.receipt) > 100:
        return "a receipt without a bound"
    if found.retry_after_s is not None and not 0 <= found.retry_after_s <= 86_400:
        return "an absurd wait"
    return shown_badly(found.error, 300)


def page_reply(data: bytes) -> Any:
    reply = HttpReply(status=len(data) % 1000, headers={}, body=data, elapsed_s=0.1)
    return read_http(reply, None, HOST, NOW)


_REDACTOR: Final = Redactor([SECRET, "whsec_abcdef"])
_JSON: Final = logs._Json(_REDACTOR, with_priority=False)
_CONSOLE: Final = logs._Console(_REDACTOR, colors=False)


def shown(data: bytes) -> Any:
    """Show a text at every sink."""
    said = data.decode("utf-8", "surrogateescape")
    event = {"event": "host.said", "level": "info", "at": "2026-11-21T12:00:00Z", said[:50]: said}
    line = _JSON(None, "info", {**event, "detail": said}).decode()
    json.loads(line)
    return (
        plain(said, 200),
        escape(said, 200),
        cell(said).plain,
        plain(_REDACTOR.text(said), 2000),
        line,
        _CONSOLE(None, "info", {"event": "host.said", "level": "info", "detail": said}),
        str(plain_values({said[:50]: [said]})),
        label_value(said),
    )


_HINTED_AT: Final = datetime(2026, 3, 2, 22, 21, 40, tzinfo=UTC)


def hints(data: bytes) -> tuple[Hint | Why, ...]:
    """Read what is signed by who knows the secret, and what is not."""
    stamp = str(int(_HINTED_AT.timestamp()))
    digest = hmac.new(SECRET.encode(), stamp.encode() + b"." + data, hashlib.sha256).hexdigest()
    true = {"X-Vast-Timestamp": stamp, "X-Vast-Signature-256": f"sha256={digest}"}
    said = data.decode("utf-8", "surrogateescape")
    false = dict.fromkeys((*true, "Authorization"), said)
    bearer = {"Authorization": f"Bearer {SECRET}"}
    return (
        read_vast(SECRET, true, data, _HINTED_AT),
        read_alertmanager(SECRET, bearer, data, _HINTED_AT),
        read_vast(SECRET, false, data, _HINTED_AT),
        read_alertmanager(SECRET, false, data, _HINTED_AT),
    )


def check_hints(found: Any) -> str:
    *true, forged, also_forged = found
    if (forged, also_forged) != (Why.FORGED, Why.FORGED):
        return "it was taken without a proof"
    told = [each for each in true if isinstance(each, Hint)]
    if any(not 0 < len(each.hint_id) <= 200 for each in told):
        return "a hint without a bounded id"
    return _all(*(shown_badly(each.about, 300) for each in told))


def check_shown(found: Any) -> str:
    line, slack, terminal, log, *rest = found
    if any(each in slack.replace("&lt;", "").replace("&gt;", "") for each in "<>*`~@"):
        return "Slack would read it as markup"
    if any(SECRET in each for each in (log, *rest[:2])):
        return "a secret is shown"
    return _all(
        shown_badly(line, 200),
        shown_badly(slack, 200),
        shown_badly(terminal, 200),
        shown_badly(log, 2000),
        *(shown_badly(each, 20_000) for each in rest),
    )


def log_chunk(data: bytes) -> Any:
    said = CommandResult(exit_code=0, stdout=_text(data), stderr="")
    return read_chunk(said, Mark(inode=7, offset=9)), read_list(("a.log", "b.log"), said)


def check_log(found: Any) -> str:
    chunk, there = found
    if any(each.path not in {"a.log", "b.log", "a.log.1", "b.log.1"} for each in there):
        return "a log that nobody named"
    if chunk is None:
        return ""
    if min(chunk.mark.inode, chunk.mark.offset, chunk.skipped) < 0:
        return "a mark before the beginning"
    return "more than was asked for" if len(chunk.text) > CONTENT_MAX_BYTES else ""


def playlist(data: bytes) -> Any:
    found = read_playlist(data)
    if isinstance(found, Choice):
        chosen = cheapest(found.variants)
        return found, [] if chosen is None else _led_to(chosen.uri, chosen.sound_uri)
    segments = () if found is None else found.segments
    names = [name_of(segment) for segment in segments]
    initials = [segment.initial.uri for segment in segments if segment.initial]
    return found, names + _led_to(*(segment.uri for segment in segments), *initials)


def _led_to(*uris: str) -> list[str]:
    """Follow addresses as far as it is decided whether they may be asked."""
    found = []
    for uri in uris:
        with contextlib.suppress(Ended):
            found.append(str(origin(joined("http://198.51.100.7:8000/live/x.m3u8?t=1", uri))))
    return found


def ingest_page(data: bytes) -> int | None:
    return publishers_at(data, "rtmp://ingest.example/live/key")


def check_publishers(found: Any) -> str:
    return "" if found is None or 0 <= found <= 1_000_000 else f"{found} publishers"


def check_playlist(found: Any) -> str:
    listed, _ = found
    if isinstance(listed, Choice):
        return "" if len(listed.variants) <= VARIANTS_MAX else "more renditions than are kept"
    if listed is None:
        return ""
    if len(listed.segments) > SEGMENTS_KEPT:
        return "more segments than are kept"
    times = (listed.target_duration_s, *(each.duration_s for each in listed.segments))
    if not all(is_sound_number(each, 3600.0) and each >= 0 for each in times):
        return "an absurd duration"
    parts = [each.byte_range for each in listed.segments if each.byte_range]
    if any(part.length <= 0 or part.start < 0 for part in parts):
        return "a part that is none"
    moments = [each.made_at for each in listed.segments if each.made_at]
    return "a moment without a zone" if any(each.utcoffset() is None for each in moments) else ""


PARSERS: Final = (
    Parser("sentinel line", sentinel_line, LINES, check_readings, share=2.0),
    Parser("duel's look", duel_look, DUELS, check_duel),
    Parser("duel's report", duel_report, DUEL_REPORTS, check_duel_report),
    Parser("Pixel Streaming's look", pixel_look, PIXELS, check_duel),
    Parser("Pixel Streaming's report", pixel_report, PIXELS, check_duel_report),
    Parser("SD-Turbo's look", sd_turbo_look, SD_TURBOS, check_sd_turbo),
    Parser("SD-Turbo's report", sd_turbo_report, SD_TURBO_REPORTS, check_sd_turbo_report),
    Parser("audition", audition_looks, LOOKS, check_findings, share=0.4),
    Parser("job", job_answer, JOBS, check_job),
    Parser("signalling", signalling_talk, SIGNALS, check_talk),
    Parser("log", log_chunk, CHUNKS, check_log),
    Parser("sentinel bytes", sentinel_bytes, (b"\n".join(LINES), *PLAIN)),
    Parser("command bytes", command_bytes, (b"chatter\nnonce\ndone\n", b"x" * 6000, *LINES), check_command),
    Parser("ingest's page", ingest_page, INGESTS, check_publishers),
    Parser("playlist", playlist, PLAYLISTS, check_playlist),
    Parser("MJPEG stream", mjpeg_stream, MJPEG, check_tally),
    Parser("JPEG", still_of, JPEGS, check_still, share=0.1),
    Parser("content type", content_type, PLAIN),
    Parser("rental", rental_row, as_json(ROW, {"id": 5}), check_instance, (Malformed,), 2.0),
    Parser(
        "listing", list_page, PAGES,
        lambda found: _all(*map(check_instance, found)), (Malformed, Transient),
    ),
    Parser(
        "shown rental", shown_rental, as_json({"instances": ROW}, {"instances": [ROW]}, {"instances": None}),
        lambda found: _all(*map(check_instance, found)), (Malformed,),
    ),
    Parser("offers", offers, as_json({"offers": [OFFER, {**OFFER, "id": 6}]}), check_offers, (Malformed,)),
    Parser("created", created, NOES, check_numbers, (Malformed,)),
    Parser("complaint", complaint, NOES, lambda all_: _all(*(shown_badly(s, 500) for s in all_)), (Malformed,)),
    Parser("refusal", refusal, (*NOES, *PAGES, b"<html>busy</html>", *PLAIN), check_error),
    Parser(
        "account", account, as_json({"credit": 7.5, "balance": -1.25, "email": "me@example.com"}, {"credit": "3"}),
        lambda found: "" if isinstance(found, Account) else "not an account", (Malformed,),
    ),
    Parser("keys", key_list, as_json([{"key": KEY}, {"public_key": KEY, "deleted_at": "2026-01-01"}], []),
           raises=(Malformed,)),
    Parser("single values", values, (*PLAIN, *as_json(7, "7", 1.5, None, ROW["ports"])), check_numbers),
    Parser("addresses", addresses, PLAIN, check_addresses),
    Parser("dates", dates, PLAIN),
    Parser("labels", label, PLAIN, check_label),
    Parser("host keys", host_keys, PLAIN),
    Parser("receiver's reply", receivers_reply, (*PLAIN, *NOES), check_delivery),
    Parser(
        "bot's reply",
        bots_reply,
        as_json(
            {"ok": True, "channel": "C1", "ts": "1.2", "message": {"thread_ts": "1.1"}},
            {"ok": False, "error": "ratelimited"},
        ),
        check_delivery,
    ),
    Parser("hints", hints, HINTS, check_hints),
    Parser("page", page_reply, (b"<html>", *PLAIN), check_reading),
    Parser("every sink", shown, (*PLAIN, *NOES, *LINES), check_shown),
)  # fmt: skip


def in_a_loop(work: Callable[[], Any]) -> Any:
    """Call where a running loop is to be found, which some of them ask for."""

    async def call() -> Any:
        return work()

    return asyncio.run(call())
