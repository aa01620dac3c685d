"""A hundred thousand spoiled inputs, the same ones every time; `make fuzz` tries ten million."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.fuzz import campaign
from tests.fuzz.campaign import fault_of, inputs_of, run_batch
from tests.fuzz.mutate import INPUT_MAX_BYTES
from tests.fuzz.parsers import PARSERS, Parser, in_a_loop

INPUTS = 100_000
_SHARES = sum(parser.share for parser in PARSERS)


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_no_input_breaks_a_parser(parser: Parser) -> None:
    done = run_batch(parser.name, -1, round(INPUTS * parser.share / _SHARES))
    assert done.finding is None, done.finding


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_what_is_not_spoiled_is_read(parser: Parser) -> None:
    """Or the campaign would try nothing but refusals."""
    faults = in_a_loop(lambda: [fault_of(parser, seed) for seed in parser.seeds])
    assert "" in faults
    assert set(faults) <= {"", None}


def test_an_exception_that_nobody_has_announced_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fragile(data: bytes) -> object:
        known: dict[bytes, object] = {}
        return known[data] if b"\xff" in data else None

    parser = replace(PARSERS[0], parse=fragile, check=lambda _: "", raises=())
    monkeypatch.setitem(campaign._BY_NAME, "labels", parser)
    finding = run_batch("labels", 0, 5_000).finding
    assert finding is not None
    assert finding.error.startswith("KeyError")
    again = list(inputs_of(campaign._BY_NAME["labels"], 0, finding.index + 1))[-1]
    assert again[:4000].hex() == finding.input


def test_inputs_are_the_same_in_every_run_and_bounded() -> None:
    first, second = (list(inputs_of(PARSERS[0], 3, 300)) for _ in range(2))
    assert first == second
    assert len(set(first)) > 200
    assert max(map(len, first)) <= INPUT_MAX_BYTES


def test_a_campaign_goes_on_where_it_was(tmp_path: Path) -> None:
    record = campaign.load(tmp_path / "none.json")
    for name, number, size in campaign.batches(1000):
        campaign.note(record, run_batch(name, number, size // 500))
    assert len(record["parsers"]) == len(PARSERS)
    assert all(entry["batches"] == [[0, 0]] for entry in record["parsers"].values())
    assert campaign._ranges([3, 1, 2, 7]) == [[1, 3], [7, 7]]


def test_a_parser_that_acts_is_found() -> None:
    """None may open, connect or start anything: the campaign's processes refuse it."""
    guard = campaign._Guard()
    guard("socket.connect", ())  # outside of a parser
    guard.is_on = True
    guard("open", ("/etc/localtime", "r", 0))
    for event, arguments in (
        ("socket.connect", ()),
        ("open", ("/tmp/x", "w", 0)),
        ("os.system", (b"reboot",)),
        ("subprocess.Popen", ("sh",)),
    ):
        with pytest.raises(PermissionError):
            guard(event, arguments)
