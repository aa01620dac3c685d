"""An error in one line."""

from keeper.daemon.error_line import describe, shortened
from keeper.ports import Malformed, Unauthorized


def test_an_error_is_told_with_what_cures_it() -> None:
    refusal = Unauthorized("HTTP 403: " + "x" * 500, right="user_read", cure="give it user_read")
    assert describe(refusal).startswith("Unauthorized: HTTP 403: x")
    assert describe(refusal).endswith("x; give it user_read")
    assert len(shortened(describe(Unauthorized("?" * 999, cure="!" * 999)))) == 600
    assert describe(Malformed("no list")) == "contract broken: no list"
