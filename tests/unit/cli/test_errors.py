"""Every error of a port has an exit code of the table and, where a person can do something, a cure."""

import errno

import pytest

from keeper import ports
from keeper.cli.errors import Stopped, complaint_of
from keeper.cli.exit_codes import ExitCode


def errors_of_ports() -> list[type[ports.PortError]]:
    found, waiting = [], [ports.PortError]
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting.extend(kind.__subclasses__())
    return [kind for kind in found if kind.__module__ == ports.errors.__name__]


@pytest.mark.parametrize("kind", errors_of_ports())
def test_no_port_error_is_taken_for_a_bug(kind: type[ports.PortError]) -> None:
    complaint = complaint_of(kind("what happened"))
    assert complaint.what.endswith("what happened")
    assert complaint.code is not ExitCode.OK


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ports.StoreLocked, ExitCode.TRY_AGAIN),
        (ports.StoreFull, ExitCode.TRY_AGAIN),
        (ports.StoreCorrupt, ExitCode.FAILED),
        (ports.StoreError, ExitCode.FAILED),
    ],
)
def test_the_store_words_its_own_cure(kind: type[ports.StoreError], code: ExitCode) -> None:
    complaint = complaint_of(kind("it is broken: mend it"))
    assert (complaint.code, complaint.what, complaint.cure) == (code, "it is broken: mend it", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(ports.Unauthorized(), ExitCode.UNAUTHORIZED, id="rejected API key"),
        pytest.param(OSError(errno.ENOSPC, "No space left"), ExitCode.TRY_AGAIN, id="full disk"),
        pytest.param(OSError(errno.EADDRINUSE, "in use"), ExitCode.TRY_AGAIN, id="port in use"),
        pytest.param(PermissionError(errno.EACCES, "no"), ExitCode.FAILED, id="forbidden file"),
        pytest.param(ports.Unreachable(), ExitCode.TRY_AGAIN, id="marketplace out of reach"),
    ],
)
def test_what_an_operator_can_cure_comes_with_the_cure(error: Exception, code: ExitCode) -> None:
    complaint = complaint_of(error)
    assert complaint.code == code
    assert complaint.cure


def test_a_refused_key_is_told_with_the_right_it_lacks_and_its_own_cure() -> None:
    error = ports.Unauthorized("HTTP 403: no", right="user_read", cure="give it user_read")
    complaint = complaint_of(error)
    assert complaint.what == "the API key lacks the right user_read: HTTP 403: no"
    assert complaint.cure == "give it user_read"


def test_every_problem_of_a_configuration_is_shown() -> None:
    complaint = complaint_of(ports.ConfigError(["a.yaml:1:2: one", "a.yaml:3:4: two"]))
    assert complaint.code == ExitCode.BAD_CONFIG
    assert complaint.details == ("a.yaml:1:2: one", "a.yaml:3:4: two")
    assert complaint.what == "the configuration has 2 problems"


def test_the_known_error_in_a_group_wins_over_what_it_broke() -> None:
    """A task group reports the store that filled up together with what fell over it."""
    group = BaseExceptionGroup(
        "tasks", [ValueError("fallen over"), ExceptionGroup("inner", [ports.StoreFull("full")])]
    )
    assert complaint_of(group).what == "full"


def test_a_verb_can_stop_with_its_own_code_and_cure() -> None:
    complaint = complaint_of(Stopped(ExitCode.NO_DAEMON, "nobody answers", "start it"))
    assert (complaint.code, complaint.what, complaint.cure) == (7, "nobody answers", "start it")


def test_remote_words_cannot_steer_the_terminal() -> None:
    assert complaint_of(ports.Invalid("bad \x1b]0;owned\x07")).what == "bad \\x1b]0;owned\\x07"
