"""A slate is refused where it would be a second publisher, could not be told from a host, or goes nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from keeper.bootstrap import declare
from keeper.cli.config import check_config
from keeper.core.slate import SecondPublisher
from keeper.settings import declared_slates, redacted_dump, secrets_of, slate_notes
from tests.unit.settings.conftest import Load, Problems

KEY = "lv-9f3K-the-key"
SECRET = {"KEEPER_SECRET_INGEST": f"rtmp://ingest.example/live/{KEY}"}
STREAM = """streams:
  - name: show
    {more}
    workload:
      kind: command
      image: img:1
      start: exec serve
      view: {view}
    slate: {slate}
"""


def stream(
    slate: str = "{ingest_url_secret: INGEST}",
    *,
    view: str = "{kind: mjpeg, port: 8000}",
    more: str = "replicas: 1",
) -> str:
    return STREAM.format(slate=slate, view=view, more=more)


def test_slate_is_declared_with_the_address_of_its_ingest(load: Load) -> None:
    written = (
        "{ingest_url_secret: INGEST, after_s: 30s, second_publisher: replaces, title: Hi,"
        ' stat_url: "http://127.0.0.1:8080/stat", background: "rgb(1, 2, 3)", width: 640, height: 360}'
    )
    (declared,) = declare(load(stream(written), SECRET)).slates.values()
    assert declared.ingest_url == SECRET["KEEPER_SECRET_INGEST"]
    assert declared.stat_url == "http://127.0.0.1:8080/stat"
    assert declared.terms.after_s == 30.0
    assert declared.terms.second_publisher is SecondPublisher.REPLACES
    assert (declared.look.title, declared.look.width) == ("Hi", 640)
    (plain,) = declared_slates(load(stream(), SECRET)).values()
    assert plain.look.title == "show"
    assert KEY not in repr(plain)


def test_stream_without_one_has_none(load: Load) -> None:
    text = stream().replace("    slate: {ingest_url_secret: INGEST}\n", "")
    assert declared_slates(load(text)) == {}


def test_key_is_hidden_wherever_it_turns_up(load: Load) -> None:
    settings = load(stream(), SECRET)
    assert SECRET["KEEPER_SECRET_INGEST"] in secrets_of(settings)
    assert KEY not in str(redacted_dump(settings))
    assert KEY not in declare(settings).redact(f"could not reach rtmp://other/app/{KEY} at all")


REFUSED = {
    "two hosts": (
        stream(more="replicas: 2"),
        SECRET,
        "a slate is for a stream with one host",
    ),
    "a spare that is started": (
        stream(more="spares: {count: 1}"),
        SECRET,
        "a spare that is started may publish at any time",
    ),
    "a host on air is looked at less often": (
        stream(more="policy: {probe_interval_s: 20s, probe_stale_s: 1m}"),
        SECRET,
        "slate.after_s (20) must be at least 25",
    ),
    "the platform's own output is looked at": (
        stream(view='{kind: hls, url: "https://cdn.example/live.m3u8"}') + "    publishers: one\n",
        SECRET,
        "keeper would see its slate and take it for the host's picture",
    ),
    "only an answer is looked at": (
        stream(view="{kind: http, port: 8000}"),
        SECRET,
        "only an answer of the host is looked at",
    ),
    "no address of an ingest": (
        stream(),
        {"KEEPER_SECRET_INGEST": f"https://ingest.example/{KEY}"},
        "the secret INGEST: expected rtmp://host/app/KEY or rtmps://…",
    ),
    "an address without a key": (
        stream(),
        {"KEEPER_SECRET_INGEST": "rtmp://ingest.example/live"},
        "the secret INGEST: it has no application and no key after the host",
    ),
    "a secret that is not given": (stream(), {}, "the secret INGEST is named but not given"),
    "a value where a name belongs": (
        stream('{ingest_url_secret: "rtmp://ingest.example/live/key"}'),
        SECRET,
        "is the name of a secret",
    ),
    "too soon": (stream("{ingest_url_secret: INGEST, after_s: 5s}"), SECRET, "15"),
    "an odd picture": (stream("{ingest_url_secret: INGEST, width: 641}"), SECRET, "must be even"),
    "no colour": (stream("{ingest_url_secret: INGEST, accent: blurple}"), SECRET, "a colour like"),
    "a page with a password": (
        stream('{ingest_url_secret: INGEST, stat_url: "http://u:p@h/stat"}'),
        SECRET,
        "no user and no password",
    ),
    "a page of another kind": (
        stream('{ingest_url_secret: INGEST, stat_url: "rtmp://h/stat"}'),
        SECRET,
        "expected a URL like http",
    ),
}


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_meant_is_refused_in_a_sentence(
    problems: Problems, row: tuple[str, dict[str, str], str]
) -> None:
    text, environ, why = row
    (problem,) = problems(text, environ)
    assert why in problem
    assert KEY not in problem


def test_two_slates_never_go_to_one_ingest(problems: Problems) -> None:
    first = stream()
    second = first.removeprefix("streams:\n").replace("name: show", "name: other")
    (problem,) = problems(first + second, SECRET)
    assert "they would be two publishers" in problem


def test_not_even_where_the_ingest_has_two_names(problems: Problems) -> None:
    second = stream("{ingest_url_secret: AGAIN}").replace("name: show", "name: other")
    environ = SECRET | {"KEEPER_SECRET_AGAIN": SECRET["KEEPER_SECRET_INGEST"]}
    found = problems(stream() + second.removeprefix("streams:\n"), environ)
    assert len(found) == 2  # at each of the two
    for problem in found:
        assert "the secrets" in problem
        assert "two slates would be two publishers" in problem
        assert KEY not in problem


def test_what_stands_still_or_is_not_started_may_be_spare(load: Load) -> None:
    for spares in ("{count: 1, is_started: false}", "{count: 1, kind: stopped}"):
        assert declared_slates(load(stream(more=f"spares: {spares}"), SECRET))


LITTLE = "begins only while no host runs, or nothing was started on it yet"
NOTED = {
    "{ingest_url_secret: INGEST}": False,
    "{ingest_url_secret: INGEST, second_publisher: accepted}": True,
    "{ingest_url_secret: INGEST, second_publisher: replaces}": True,
    '{ingest_url_secret: INGEST, second_publisher: accepted, stat_url: "http://h/stat"}': False,
}


@pytest.mark.parametrize("slate", NOTED)
def test_slate_that_will_seldom_be_seen_is_noted(load: Load, slate: str) -> None:
    notes = list(slate_notes(load(stream(slate), SECRET)))
    assert [LITTLE in each for each in notes] == [True] * NOTED[slate]


def test_check_of_the_configuration_says_so_and_finds_it_good(tmp_path: Path) -> None:
    file = tmp_path / "keeper.yaml"
    file.write_text(stream("{ingest_url_secret: INGEST, second_publisher: accepted}"))
    done = CliRunner().invoke(
        check_config, [str(file)], env=SECRET | {"VAST_API_KEY": "k"}, standalone_mode=False
    )
    assert done.return_value == 0
    assert done.stderr.startswith("note: stream 'show': the slate")
    assert KEY not in done.output
