"""`keeper sim serve|run`: the simulated marketplace in real time, and whole weeks in virtual time."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import click

from keeper.cli.app import Verb
from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode

_SEEDS_MAX = 100_000
# As the simulator's own modules have them; the command line starts without the simulator.
FLEETS = (
    "two",
    "one",
    "five",
    "twenty",
    "bids",
    "tight",
    "hours",
    "modes",
    "spared",
    "keyed",
    "any",
)
SSHD_KINDS = ("built-in", "openssh")
LIMIT_STYLES = ("text", "threshold", "detail", "msg", "message", "body", "header", "hint")


@click.group()
def sim() -> None:
    """The simulator: one model of the marketplace and its hosts, behind two faces.

    `serve` is for any Vast.ai client, keeper included; `run` plays days in seconds, from a seed.
    """


@sim.command(
    cls=Verb,
    short_help="Serve a marketplace and its hosts on loopback.",
    examples=(
        "keeper sim serve --port 8100",
        "VAST_API_KEY=any keeper run -c keeper.yaml --vast-url http://127.0.0.1:8100",
        'curl -d \'{"kind": "create_reply_lost"}\' http://127.0.0.1:8100/sim/faults',
        'curl -d \'{"answer": "html_502", "count": 3}\' http://127.0.0.1:8100/sim/answers',
        "curl http://127.0.0.1:8100/sim/ledger",
    ),
)
@click.option("--port", type=click.IntRange(0, 65_535), required=True, help="0 for any free one.")
@click.option(
    "--state",
    "state_dir",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where hosts have their folders; they go with the simulator. Default: /tmp.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Which market it is.")
@click.option(
    "--faults",
    "faults_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A list of faults (YAML or JSON) to strike from the start.",
)
@click.option(
    "--answers",
    "answers_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A list of answers (YAML or JSON) that the next calls get; GET /sim/shapes names them.",
)
@click.option("--api-key", metavar="K", default="", help="The only key accepted. Default: any.")
@click.option(
    "--spacing-scale",
    metavar="X",
    type=click.FloatRange(min=0, max=100),
    default=1.0,
    show_default=True,
    help="Scales the limits on calls; 0 lifts them.",
)
@click.option(
    "--limit-style",
    type=click.Choice(LIMIT_STYLES),
    default="detail",
    show_default=True,
    help="How a 429 says it.",
)
@click.option(
    "--searches-per-day",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    help="The daily quota of searches. Default: none.",
)
@click.option(
    "--old-host", is_flag=True, help="Open a former address too, which answers 308 to everything."
)
@click.option(
    "--time-scale",
    metavar="X",
    type=click.FloatRange(min=0.01, max=10_000),
    default=1.0,
    show_default=True,
    help="How much faster than real time it boots and bills.",
)
@click.option(
    "--deliver-webhooks",
    is_flag=True,
    help="Deliver notifications, signed, also to http addresses of this machine.",
)
@click.option(
    "--sshd",
    "sshd_kind",
    type=click.Choice(SSHD_KINDS),
    default=SSHD_KINDS[0],
    show_default=True,
    help="What serves SSH on the hosts. openssh: a real sshd for each; needs it, and root.",
)
def serve(
    port: int,
    state_dir: Path | None,
    seed: int,
    faults_file: Path | None,
    answers_file: Path | None,
    api_key: str,
    spacing_scale: float,
    limit_style: str,
    searches_per_day: int,
    old_host: bool,
    time_scale: float,
    deliver_webhooks: bool,
    sshd_kind: str,
) -> None:
    """Serve a marketplace and its hosts on loopback.

    Hosts are real SSH servers with real processes, each in a folder of its own. Everything ends with
    this command: no process, port or folder is left. Faults can be driven while it runs.
    """
    import asyncio

    from keeper.cli.terminal import stopped_by_signal
    from keeper.sim import faultplan, script
    from keeper.sim.serve import serve as run
    from keeper.sim.ssh_door import Sshd
    from keeper.sim.ssh_openssh import NoSshd

    with _understood("--faults"):
        faults = faultplan.read(faults_file) if faults_file is not None else ()
    with _understood("--answers"):
        cues = script.read(answers_file) if answers_file is not None else ()

    async def until_stopped() -> None:
        with stopped_by_signal() as stop:
            await run(
                port=port,
                state_dir=state_dir,
                seed=seed,
                faults=faults,
                api_key=api_key,
                time_scale=time_scale,
                spacing_scale=spacing_scale,
                limit_style=limit_style,
                cues=cues,
                searches_per_day=searches_per_day,
                has_old_host=old_host,
                sshd=Sshd(sshd_kind),
                delivers_webhooks=deliver_webhooks,
                stop=stop,
            )

    try:
        asyncio.run(until_stopped())
    except NoSshd as error:
        raise Stopped(ExitCode.FAILED, f"--sshd openssh: {error}") from error


@sim.command(
    cls=Verb,
    short_help="Run the daemon through simulated days, and audit it.",
    examples=(
        "keeper sim run --seed 7 --days 7",
        "keeper sim run --seeds 1..50 --days 7 --jobs 2",
        "keeper sim run --seeds 1..50 --fleet any    # each seed with a fleet of its own",
        "keeper sim run --seed 7 --journal a.jsonl    # the same seed, the same bytes",
        "keeper sim run --seed 7 --fleet five --storm 2 --messages    # a bad week, as people heard of it",
    ),
)
@click.option("--seed", type=click.IntRange(min=0), help="One seed.")
@click.option("--seeds", "seeds_text", metavar="A..B", help="Many seeds, both ends included.")
@click.option(
    "--days",
    type=click.FloatRange(min=0, max=3650, min_open=True),
    default=7.0,
    show_default=True,
    help="How long a simulated run is.",
)
@click.option(
    "--jobs", type=click.IntRange(min=0), default=0, show_default="all cores", help="At once."
)
@click.option(
    "--faults",
    metavar="PRESET|FILE",
    default="all",
    show_default=True,
    help="What goes wrong: none, market, hosts, keeper, all, or a file.",
)
@click.option(
    "--fleet",
    type=click.Choice(FLEETS),
    default=FLEETS[0],
    show_default=True,
    help="What the operator declares; any: each seed draws it.",
)
@click.option(
    "--storm",
    type=click.IntRange(1, 10),
    default=1,
    show_default=True,
    help="So many plans of faults at once.",
)
@click.option(
    "--messages",
    "is_told",
    is_flag=True,
    help="Show what people were told, and hold it against what really happened; of one seed.",
)
@click.option(
    "--journal",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="Write what the daemon wrote down.",
)
@click.option(
    "--shrink-s",
    metavar="S",
    type=click.FloatRange(min=0, max=86_400),
    default=120.0,
    show_default=True,
    help="How long to look for the fewest faults that break a broken seed; 0: not at all.",
)
@click.option(
    "--plans",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False, exists=True, writable=True),
    default=".",
    show_default="here",
    help="Where the plans of those faults are written, for --faults.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="A JSON line for every seed, not just the last."
)
def run(
    seed: int | None,
    seeds_text: str | None,
    days: float,
    jobs: int,
    faults: str,
    fleet: str,
    storm: int,
    is_told: bool,
    journal: Path | None,
    shrink_s: float,
    plans: Path,
    as_json: bool,
) -> int:
    """Run the daemon through simulated days, and audit it.

    The same daemon as in production, under a virtual clock, with faults from a seeded plan. An
    auditor that shares no code with it reads the marketplace's books. The last line of output is one
    JSON object; exit 1 if any promise was broken, with the command that shows it again. The plan of a
    broken seed is shrunk to the fewest faults, and written to a file that --faults takes.
    """
    from keeper.sim.faultplan import plan_for
    from keeper.sim.runner import Campaign, main

    with _understood("--faults"):
        plan_for(faults, seed=1, until_s=1.0)
    campaign = Campaign(
        seeds=_seeds_of(seed, seeds_text),
        days=days,
        jobs=jobs,
        faults=faults,
        fleet=fleet,
        journal=journal,
        shrink_s=shrink_s,
        plans=plans,
        storm=storm,
        is_told=is_told,
    )
    if is_told and len(campaign.seeds) > 1:
        message = "the messages are those of one seed: give --seed"
        raise click.BadParameter(message, param_hint="--messages")
    return main(campaign, as_json=as_json)


@contextlib.contextmanager
def _understood(option: str) -> Iterator[None]:
    """Say as a usage error what a parser says in plain words."""
    try:
        yield
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error


def _seeds_of(seed: int | None, text: str | None) -> tuple[int, ...]:
    if text is None:
        return (1 if seed is None else seed,)
    if seed is not None:
        message = "give --seed or --seeds, not both"
        raise click.UsageError(message)
    found = re.fullmatch(r"(\d{1,9})\.\.(\d{1,9})", text)
    first, last = (int(found[1]), int(found[2])) if found else (1, 0)
    if not first <= last < first + _SEEDS_MAX:
        message = f"--seeds is A..B with A <= B, at most {_SEEDS_MAX} of them, not {text!r}"
        raise click.UsageError(message)
    return tuple(range(first, last + 1))
