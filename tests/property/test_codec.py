"""What is written down is read back the same, and forgives what an up- or downgrade brings."""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from types import MappingProxyType
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.adapters.codec import Unreadable, _plain, clean, decode, encode
from keeper.core.meter import Meter
from keeper.core.model import (
    Condemned,
    Condition,
    ConditionKind,
    Incident,
    InstanceId,
    Intent,
    Quarantine,
    RemedyUse,
    Revision,
    SlotId,
    SlotRecord,
    Status,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.silences import Silence
from keeper.core.world import Pause
from keeper.ports import Batch, ChannelOff, JournalEntry, OutboxRow, Receipt

DURABLE: tuple[type, ...] = (
    SlotRecord, Condemned, Intent, Quarantine, Pause, OutboxRow, Meter, Revision, Silence, Receipt,
    ChannelOff,
)  # fmt: skip
NOW = datetime(2026, 11, 21, 3, 4, 5, 678_901, tzinfo=UTC)

_WHOLE = st.integers(min_value=-(2**63), max_value=2**63 - 1)
_OFFSETS = st.integers(min_value=-840, max_value=840).map(
    lambda minutes: timezone(timedelta(minutes=minutes))
)
_MOMENTS = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001 - Hypothesis wants bounds without a zone
    max_value=datetime(2999, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC) | _OFFSETS,
)
_PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | _WHOLE
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a type, whatever fields the core may give it."""
    if isinstance(kind, NewType):
        return values_of(kind.__supertype__)
    if kind is Any:
        return _PLAIN
    scalars: dict[Any, st.SearchStrategy[Any]] = {
        str: st.text(max_size=20),
        int: _WHOLE,
        float: st.floats(allow_nan=False, allow_infinity=False),
        bool: st.booleans(),
        datetime: _MOMENTS,
    }
    if kind in scalars:
        return scalars[kind]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        given_fields = {field.name: values_of(hints[field.name]) for field in fields(kind)}
        return st.builds(kind, **given_fields)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return st.one_of(*(st.none() if part is type(None) else values_of(part) for part in inner))
    if origin is tuple:
        return st.lists(values_of(inner[0]), max_size=3).map(tuple)
    return st.dictionaries(values_of(inner[0]), values_of(inner[1]), max_size=3)


@pytest.mark.parametrize("kind", DURABLE, ids=lambda kind: kind.__name__)
def test_a_durable_value_reads_back_the_same(kind: type) -> None:
    @given(values_of(kind))
    def holds(value: object) -> None:
        assert decode(kind, encode(value)) == value

    holds()


def test_every_dataclass_of_a_batch_is_durable() -> None:
    found: set[type] = set()

    def collect(hint: Any) -> None:
        if isinstance(hint, type) and is_dataclass(hint):
            found.add(hint)
        for part in get_args(hint):
            collect(part)

    for hint in get_type_hints(Batch).values():
        collect(hint)
    assert found - set(DURABLE) == {JournalEntry}  # stored in columns; its facts are plain JSON


@given(_PLAIN)
def test_facts_read_back_the_same(value: object) -> None:
    assert orjson.loads(encode(value)) == value


CONDITION = Condition(
    kind=ConditionKind.STREAMING, status=Status.TRUE, reason=Reason.LIVE, since=NOW
)


def test_a_key_of_a_newer_keeper_is_passed_over() -> None:
    stored = {**orjson.loads(encode(CONDITION)), "mood": {"good": True}}
    assert decode(Condition, orjson.dumps(stored)) == CONDITION


def test_an_absent_key_takes_the_default() -> None:
    stored = orjson.loads(encode(SlotRecord(slot="duel/0", attempt=3)))  # type: ignore[arg-type]
    del stored["serial"], stored["remedies"], stored["incident"]
    assert decode(SlotRecord, orjson.dumps(stored)).attempt == 3


def test_an_absent_optional_without_default_is_none() -> None:
    incident = Incident(incident_id="i", opened_at=NOW, reason=Reason.BLACK, dark_since=NOW)
    stored = orjson.loads(encode(incident))
    del stored["dark_since"]
    assert decode(Incident, orjson.dumps(stored)).dark_since is None


def test_a_reason_of_a_newer_keeper_reads_as_not_asked() -> None:
    stored = {**orjson.loads(encode(CONDITION)), "reason": "sunspots"}
    assert decode(Condition, orjson.dumps(stored)).reason is Reason.NOT_ASKED


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"since": None}, "Condition.since: expected str, found NoneType"),
        ({"since": "2026-11-21T00:00:00"}, "Condition.since: a moment without an offset"),
        ({"kind": "vibes"}, "Condition.kind: 'vibes' is not a valid ConditionKind"),
        ({"bad_streak": True}, "Condition.bad_streak: expected int, found bool"),
        ({"bad_streak": "many"}, "Condition.bad_streak: expected int, found str"),
    ],
)
def test_a_value_that_does_not_fit_is_named(change: dict[str, Any], complaint: str) -> None:
    stored = {**orjson.loads(encode(CONDITION)), **change}
    with pytest.raises(Unreadable, match=complaint):
        decode(Condition, orjson.dumps(stored))


def test_the_place_of_a_nested_mistake_is_named() -> None:
    stored = orjson.loads(encode(SlotRecord(slot="duel/0")))  # type: ignore[arg-type]
    stored["tenure"] = {"label": "x", "conditions": [{"kind": 7}]}
    with pytest.raises(
        Unreadable, match=r"SlotRecord.tenure: Tenure.conditions: Condition.kind: 7"
    ):
        decode(SlotRecord, orjson.dumps(stored))


@pytest.mark.parametrize(
    ("kind", "text", "complaint"),
    [
        (Mapping[str, int], "[]", "expected dict, found list"),
        (Mapping[str, int], '{"a": "b"}', "expected int, found str"),
        (Mapping[int, int], '{"a": 1}', "invalid literal for int"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(kind: Any, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        decode(kind, text)


def test_what_has_a_default_may_be_absent_and_all_else_is_asked_for() -> None:
    """A value or a factory is a default; what may be None and has no default is None."""
    told = {"requested_at": NOW.isoformat(), "machine_id": 1, "host_id": 2, "offer_id": 3}
    stored = {**told, "label": "l", "attempt": 1, "gpu_name": "g", "dollars_per_hour": 1}
    assert decode(Tenure, orjson.dumps(stored)).conditions == ()
    assert decode(Meter, "{}") == Meter()
    lacking = sorted(stored)
    with pytest.raises(Unreadable) as told_of:
        decode(Tenure, "{}")
    named = str(told_of.value).removeprefix("Tenure lacks ").split(", ")
    assert sorted(named) == lacking


def test_a_lacking_key_is_named() -> None:
    with pytest.raises(Unreadable, match="RemedyUse lacks rung, at"):
        decode(RemedyUse, "{}")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"'])
def test_what_is_no_record_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        decode(Tenure, text)


def test_what_is_no_json_is_said_to_be_none() -> None:
    with pytest.raises(Unreadable, match=r"^not JSON: "):
        decode(Tenure, "{")


def test_hostile_text_and_numbers_can_be_stored() -> None:
    """A host's status held half a surrogate pair; the commit that told of it failed for ever."""
    facts = {
        "detail": "gpu \ud83d lost",
        "seats": 10**40,
        "kinds": frozenset({"b", "a"}),
        "inner": [CONDITION, ("x\ud800",), True, None],
    }
    stored = orjson.loads(encode(facts))
    assert stored["detail"] == "gpu ? lost"
    assert stored["seats"] == 2**63 - 1
    assert stored["kinds"] == ["a", "b"]
    assert stored["inner"][0]["reason"] == "live"
    assert stored["inner"][1:] == [["x?"], True, None]


def test_text_for_a_column_has_no_nul() -> None:
    assert clean("a\0b\ud800") == "a�b?"


def test_what_is_no_value_is_refused_at_once() -> None:
    with pytest.raises(TypeError):
        encode({"connection": object()})


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ({7: "a"}, {"7": "a"}),
        ({7: "\ud800"}, {"7": "?"}),  # by the slower way
        ({"kinds": frozenset({"b", "a"})}, {"kinds": ["a", "b"]}),
        ({"of": MappingProxyType({"a": 1})}, {"of": {"a": 1}}),
        ({"least": -(10**40), "most": 10**40}, {"least": -(2**63), "most": 2**63 - 1}),
        ({"why": Reason.LIVE, "x": "\ud800"}, {"why": "live", "x": "?"}),
        ({"lit": True, "x": "\ud800"}, {"lit": True, "x": "?"}),
        (
            Pause(since=NOW, until=None, actor="a\ud800", reason=""),
            {"since": NOW.isoformat(), "until": None, "actor": "a?", "reason": ""},
        ),
        ({Reason.LIVE: "\ud800"}, {"live": "?"}),
    ],
)
def test_facts_are_stored_as_plain_json(value: Any, stored: Any) -> None:
    assert orjson.loads(encode(value)) == stored


def test_what_cannot_be_stored_is_named() -> None:
    with pytest.raises(TypeError, match="object cannot be stored"):
        _plain(object())


@pytest.mark.parametrize("kind", [tuple[int, str], int | str, int | str | None, list[int], bytes])
def test_a_type_that_no_durable_value_may_hold_is_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match="has no place in a durable value"):
        decode(kind, "[]")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (int | None, "null", None),
        (int | None, "7", 7),
        (tuple[float, ...], "[1, 2.5]", (1.0, 2.5)),
        (Mapping[InstanceId, str], '{"7": "a"}', {7: "a"}),
        (Mapping[str, int], '{"7": 1}', {"7": 1}),
        (Mapping[int, float], '{"7": 1}', {7: 1.0}),
        (Mapping[SlotId, tuple[int, ...]], '{"duel/0": [1]}', {"duel/0": (1,)}),
        (datetime, '"2026-11-21T01:00:00+01:00"', datetime(2026, 11, 21, tzinfo=UTC)),
    ],
)
def test_each_kind_of_value_is_read_as_what_it_is(kind: Any, text: str, value: object) -> None:
    found = decode(kind, text)
    assert found == value
    assert type(found) is type(value)
    if isinstance(found, datetime):
        assert found.tzinfo is UTC


def test_a_record_that_lacks_several_keys_names_them_all_in_a_newer_keeper_too() -> None:
    with pytest.raises(Unreadable, match=r"^Incident lacks incident_id, opened_at, reason$"):
        decode(Incident, "{}")
