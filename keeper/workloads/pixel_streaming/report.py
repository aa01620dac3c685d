"""The report that a person asks for of a Pixel Streaming host, in seven lines."""

from __future__ import annotations

from keeper.core.model import Status
from keeper.core.text import plain
from keeper.ports import CommandResult
from keeper.workloads import ReportLine
from keeper.workloads.pixel_streaming.facts import Facts, Program, read
from keeper.workloads.pixel_streaming.settings import PixelStreamingSettings

_TEXT_MAX = 200
_CADDY = {
    "well": (Status.TRUE, "answers with the token"),
    "placeholder": (Status.FALSE, "shows its placeholder: nobody is behind it"),
    "unauthorized": (Status.FALSE, "refuses the container's own token"),
    "refused": (Status.FALSE, "does not listen"),
    "silent": (Status.FALSE, "does not answer"),
    "error": (Status.FALSE, "answers with an error"),
}
_RELAY = {
    "external": "elsewhere, by TURN_SERVER",
    "mapped": "its UDP port is mapped",
    "unmapped": "its UDP port is not mapped",
    "names_differ": "TURN_USER and TURN_USERNAME differ",
}


def lines_of(result: CommandResult, settings: PixelStreamingSettings) -> tuple[ReportLine, ...]:
    """Read the answer to the report's question."""
    facts = None
    text = result.stdout.strip()
    if result.exit_code == 0 and text.startswith('"workload":'):
        facts = read(text.removeprefix('"workload":').encode("utf-8", "replace"))
    if facts is None:
        why = (result.stderr or result.stdout).strip() or f"exit code {result.exit_code}"
        return (_line("Host", Status.UNKNOWN, f"gave no report: {why}"),)
    if not facts.has_supervisor:
        return (_line("Programs", Status.FALSE, "supervisord does not answer"),)
    image = settings.image_layout
    return (
        _boot(facts),
        _signalling(facts, facts.program(image.signalling)),
        _app(facts, facts.program(settings.app.program)),
        _line("Proxy", *_CADDY.get(facts.caddy, (Status.UNKNOWN, "could not be asked"))),
        _relay(facts, facts.program(image.relay)),
        _audio(facts, settings),
        _portal(facts, facts.program(image.portal)),
    )


def _boot(facts: Facts) -> ReportLine:
    if facts.boot == "failed":
        return _line("Boot", Status.FALSE, f"provisioning failed {facts.boot_failure}")
    if facts.boot == "provisioning":
        return _line("Boot", Status.UNKNOWN, "still provisioning")
    if not facts.has_portal_file:
        return _line("Boot", Status.FALSE, "portal.yaml is missing or empty")
    return _line("Boot", Status.TRUE, "done")


def _signalling(facts: Facts, program: Program) -> ReportLine:
    words = [_words(program)]
    words.append("page open" if facts.is_page_open else "nobody listens for players")
    words.append("streamer port open" if facts.is_streamer_port_open else "none for streamers")
    if facts.hanging_pid:
        words.append(f"its start hangs in process {facts.hanging_pid}")
    is_good = program.is_up and facts.is_page_open and facts.is_streamer_port_open
    return _line("Signalling", _status(is_good), ", ".join(words))


def _app(facts: Facts, program: Program) -> ReportLine:
    said = f", its log says: {facts.app_log}" if facts.app_log else ""
    return _line("Application", _status(program.is_up), _words(program) + said)


def _relay(facts: Facts, program: Program) -> ReportLine:
    words = _RELAY.get(facts.relay, "what it tells players is not known")
    if facts.relay == "external":
        return _line("Relay", Status.TRUE, words)
    is_good = program.is_up and facts.relay not in {"unmapped", "names_differ"}
    return _line("Relay", _status(is_good), f"{_words(program)}, {words}")


def _audio(facts: Facts, settings: PixelStreamingSettings) -> ReportLine:
    down = [name for name in settings.image_layout.audio if not facts.program(name).is_up]
    if not settings.image_layout.audio:
        return _line("Sound", Status.TRUE, "none is declared")
    words = f"down: {', '.join(down)}" if down else "every link of the chain runs"
    return _line("Sound", _status(not down), words)


def _portal(facts: Facts, program: Program) -> ReportLine:
    tunnel = f", tunnel {facts.tunnel}" if facts.tunnel else ""
    is_good = program.is_up and facts.is_portal_open and facts.tunnel != "gone"
    return _line("Portal", _status(is_good), _words(program) + tunnel)


def _words(program: Program) -> str:
    if program.is_respawned:
        return f"{program.state}, and started again and again"
    return f"{program.state}, skipped on purpose" if program.is_skipped else program.state


def _status(is_good: bool) -> Status:  # noqa: FBT001 - a judgement, not a switch
    return Status.TRUE if is_good else Status.FALSE


def _line(title: str, status: Status, text: str) -> ReportLine:
    return ReportLine(title=title, status=status, text=plain(text, _TEXT_MAX))
