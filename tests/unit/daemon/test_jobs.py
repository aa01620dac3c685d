"""A host that lies about its job: nothing it says may hold keeper, or cost it much."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from keeper.daemon.jobs import JobEnd, Jobs, Lines
from keeper.ports import Command, CommandFailed, CommandResult, Job, Link, Uncertain, Unreachable
from keeper.sim.loop import VirtualClock, run
from keeper.workloads import jobs

JOB = Job(name="deploy.setup", script="true", timeout_s=60, mark="one")
MINE = "job running - 0 0 x\n"


class Liar:
    """A link whose host says what the test wants."""

    def __init__(self, answer: Callable[[int, str], str | Exception]) -> None:
        self._answer = answer
        self.asked: list[str] = []

    async def run(self, command: Command) -> CommandResult:
        await asyncio.sleep(0.05)
        verb = command.name.rpartition(".")[2]
        self.asked.append(verb)
        said = self._answer(len(self.asked), verb)
        if isinstance(said, Exception):
            raise said
        return CommandResult(exit_code=0, stdout=said, stderr="")


async def _follow(liar: Liar, heard: list[str]) -> JobEnd:
    async def link() -> Link:
        return liar  # type: ignore[return-value]

    async def hear(lines: Sequence[str]) -> None:
        heard.extend(lines)

    return await Jobs(clock=VirtualClock()).run(JOB, await link(), link, hear)


def follow(answer: Callable[[int, str], str | Exception]) -> tuple[JobEnd, list[str], Liar]:
    liar, heard = Liar(answer), list[str]()
    return run(_follow(liar, heard)), heard, liar


@pytest.mark.parametrize(
    "offsets",
    ["0 999999999999999", "999999999999999 0", "7 7", "0 0"],
    ids=["far ahead", "backwards", "standing", "nothing"],
)
def test_offsets_that_are_lies_cost_a_question_each_pause(offsets: str) -> None:
    """A host that claims to have more without end must not be asked without a pause."""
    liar = Liar(lambda n, _: f"job running - {offsets} x\n")
    with pytest.raises(CommandFailed, match="ran out of time and cannot be ended"):
        run(_follow(liar, []))
    assert len(liar.asked) < 80


def test_output_without_end_is_taken_up_to_a_bound_and_then_slowly() -> None:
    much = "x" * 40 + "\n"
    text = much * (jobs.POLL_MAX_BYTES // len(much))
    liar, heard = Liar(lambda n, _: f"job running - 0 32768 x\n{text}"), list[str]()
    with pytest.raises(CommandFailed, match="ran out of time"):
        run(_follow(liar, heard))
    assert sum(map(len, heard)) < 3 * jobs.LOG_MAX_BYTES


@pytest.mark.parametrize(
    "said",
    [
        "", "hello", "job", "job running", "job running - 0 0", "job sleeping - 0 0 x",
        "job ended - 0 0 x", "job ended 7777 0 0 x", "job running - -1 0 x",
        f"job running - {'9' * 40} 0 x", "job running - 0 0 x y", "\0" * 100, "job ended late",
    ],
)  # fmt: skip
def test_nonsense_fails_the_step_after_a_few(said: str) -> None:
    with pytest.raises(CommandFailed, match="the answer cannot be read"):
        follow(lambda n, _: said)


def test_a_job_that_is_gone_has_failed() -> None:
    with pytest.raises(CommandFailed, match="it was killed, or the host rebooted"):
        follow(lambda n, verb: MINE if verb == "begin" else "job gone - 0 0 x\n")


def test_a_host_that_cannot_run_jobs_says_why() -> None:
    with pytest.raises(CommandFailed, match=r"deploy\.setup: this host has no setsid"):
        follow(lambda n, _: "job unable - 0 0 none\nthis host has no setsid\n")


def test_a_host_that_is_busy_for_ever_fails_the_step() -> None:
    with pytest.raises(CommandFailed, match="another job holds this host"):
        follow(lambda n, _: "job busy - 0 0 none\nother\n")


def test_doubt_about_any_question_is_settled_by_asking_again() -> None:
    """Begin, poll and end may all be repeated; a lost answer costs a pause."""
    answers: list[str | Exception] = [
        Uncertain("lost"), MINE, Uncertain("lost"), "job running - 0 4 x\none\n",
        Unreachable("gone"), "job ended 0 4 8 x\ntwo\n", Uncertain("lost"),
    ]  # fmt: skip
    ended, heard, liar = follow(lambda n, _: answers[n - 1])
    assert (ended.exit_code, heard) == (0, ["one", "two"])
    assert liar.asked == ["begin", "begin", "poll", "poll", "poll", "poll", "end"]


def test_lines_are_whole_and_of_progress_bars_the_last_state() -> None:
    lines = Lines()
    assert lines.take("one\ntw") == ["one"]
    assert lines.take("o\r\n10%\r50%\r100%\n") == ["two", "100%"]
    assert lines.take("y" * 5000) == ["y" * 4096]
    assert lines.take("rest") == []
    assert lines.rest() == "rest"
    assert lines.tail().splitlines()[:2] == ["one", "two"]
