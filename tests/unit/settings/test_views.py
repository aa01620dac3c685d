"""What is declared of a picture: what contradicts itself, and what the file must never show."""

import json
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from keeper.bootstrap import declare
from keeper.daemon.declared import changes
from keeper.probes.grid import CELLS, is_same_scene
from keeper.settings import Settings, aids_of, redacted_dump, secrets_of, to_desired, unfit, views
from keeper.settings.scenes import grid_of
from keeper.workloads import View, ViewKind
from tests.unit.settings.conftest import Load, Problems

TOKEN = "hZ81-qLm93-token-of-the-playlist"
ADDRESS = f"https://cdn.example/live/index.m3u8?key={TOKEN}"
SECRET = {"KEEPER_SECRET_WATCH": ADDRESS}
STREAM = """streams:
  - name: show
    replicas: {replicas}
    publishers: one
    secrets: {secrets}
    workload:
      kind: command
      image: img:1
      start: exec serve
      view: {view}
"""


def stream(view: str, *, replicas: int = 1, secrets: str = "[]") -> str:
    return STREAM.format(view=view, replicas=replicas, secrets=secrets)


def view_in(settings: Settings) -> View:
    (workload,) = declare(settings).workloads.values()
    return workload.view()


@pytest.mark.parametrize(
    ("view", "place", "why"),
    [
        ("{kind: mjpeg}", "10:7", "a look goes to a `port` of the container, or elsewhere: by `url`"),
        (
            "{kind: hls, port: 80, url: 'https://a.example/x.m3u8'}", "10:7",
            "the look goes to the host's own `port` and `path`, or elsewhere by `url`: leave one out",
        ),
        ("{kind: hls, path: /x, url_secret: WATCH}", "10:7", "or elsewhere by `url`: leave one out"),
        ("{kind: hls, url: 'rtmp://a.example/x'}", "10:7", "begins with http:// or https://, for `hls`"),
        ("{kind: rtmp, url: 'http://a.example/x'}", "10:7", "begins with rtmp://, for `rtmp`"),
        ("{kind: rtmp, url: 'rtmps://a.example/x'}", "10:7", "expected an address that begins with"),
        ("{kind: hls, url: 'file:///etc/passwd'}", "10:7", "expected an address that begins with"),
        ("{kind: rtmp, url: 'rtmp://a.example:99999/x'}", "10:7", "that is no address"),
        ("{kind: http, url: 'https://a.example/'}", "10:7", "an answer from elsewhere says nothing of the host"),
        ("{kind: tcp, url_secret: WATCH}", "10:7", "an answer from elsewhere says nothing of the host"),
        ("{kind: hls, url_secret: WATCH, url: 'http://a.example/x'}", "10:7", "leave one out"),
        (
            "{kind: rtmp, url: 'rtmp://me:hunter2@a.example/x'}", "10:7",
            "put the whole address into a secret of keeper's, and name that in `url_secret`",
        ),
        (
            "{kind: mjpeg, port: 80, expects_sound: true}", "10:7",
            "`mjpeg` carries no sound: look by `hls`, `rtmp`, or leave `expects_sound` out",
        ),
        ("{kind: tcp, port: 80, scenes: [{name: a, image: /a.png}]}", "10:7", "`tcp` sees no picture"),
        ("{kind: webrtc, port: 80}", "10:7", "players of Pixel Streaming belong to"),
        (
            "{kind: mjpeg, port: 80, ignored: [{left: 0.8, width: 0.3, height: 0.1}]}", "10:47",
            "a region lies inside the picture: left + width is 1.1, and 1 is the whole",
        ),
        (
            "{kind: mjpeg, port: 80, ignored: [{width: 0.5, height: 1}, {left: 0.5, width: 0.5, height: 1}]}",
            "10:7", "the `ignored` regions together are the whole picture",
        ),
        (
            "{kind: mjpeg, port: 80, scenes: [{name: a, image: /a.png}, {name: a, image: /b.png}]}", "10:7",
            "2 scenes are called 'a'; each needs its own",
        ),
        (
            "{kind: mjpeg, port: 80, is_static_allowed: true, still_max_s: 60}", "10:7",
            "every picture may stand still for ever by `is_static_allowed`: leave it out",
        ),
        ("{kind: hls, url_secret: WATCH}", "10:25", "the secret WATCH is named but not given: set KEEPER_SECRET_WATCH"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_said_with_its_place_and_its_cure(
    problems: Problems, view: str, place: str, why: str
) -> None:
    (said,) = problems(stream(view))
    assert said.startswith(f"keeper.yaml:{place}: ")
    assert why in said
    assert "hunter2" not in said


def test_one_picture_of_a_platform_cannot_judge_several_hosts(problems: Problems) -> None:
    _, said = problems(stream("{kind: hls, url: 'https://a.example/x.m3u8'}", replicas=2))
    assert said.startswith("keeper.yaml:10:25: stream 'show': what is seen at `url` is one picture")
    assert "make streams of them with one replica each, or look at the hosts' own" in said


def test_where_two_may_publish_a_replacement_needs_a_picture_of_its_own(
    problems: Problems, load: Load
) -> None:
    view = "{kind: hls, url: 'https://a.example/x.m3u8'}"
    (said,) = problems(stream(view).replace("publishers: one", "publishers: several"))
    assert said.startswith(
        "keeper.yaml:10:25: stream 'show': what is seen at `url` does not tell two"
    )
    assert "say `publishers: one`, or look at the host's own `port`" in said
    load(f"streams:\n  - name: s\n    workload: {{kind: hyperscape-duel, view: {view}}}\n")


def test_two_streams_are_not_looked_at_in_one_place(problems: Problems) -> None:
    one = stream("{kind: hls, url: 'https://a.example/x.m3u8'}")
    other = one.replace("streams:\n", "").replace("show", "other")
    (said,) = problems(one + other)
    assert "stream 'other' is looked at where stream 'show' is" in said


@pytest.mark.parametrize("kind", ["hls", "rtmp"])
def test_a_box_without_a_decoder_says_what_to_install_or_how_to_look_without(
    problems: Problems, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(views, "_DECODER", "no_such_package")
    (said,) = problems(stream(f"{{kind: {kind}, port: 80}}"))
    assert said.startswith("keeper.yaml:10:14: stream 'show': ")
    assert f"looking by `{kind}` needs the extra media" in said
    assert "pip install 'vast-keeper[media]', or look by `http`" in said


def test_a_box_without_a_decoder_looks_at_jpeg_all_the_same(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "_DECODER", "no_such_package")
    assert view_in(load(stream("{kind: jpeg, port: 80}"))).kind is ViewKind.JPEG


@pytest.mark.parametrize("place", ["url: 'https://a.example/x.m3u8'", "url_secret: WATCH"])
def test_a_slate_is_not_looked_for_where_it_would_be_seen_itself(
    problems: Problems, place: str
) -> None:
    text = stream(f"{{kind: hls, {place}}}") + "    slate: {ingest_url_secret: INGEST}\n"
    given = {**SECRET, "KEEPER_SECRET_INGEST": "rtmp://live.example/app/k3y"}
    (said,) = problems(text, given)
    assert "keeper would see its slate and take it for the host's picture" in said


# --- an address that is a secret ----------------------------------------------------------------------


def test_an_address_by_its_secret_stands_nowhere_but_in_the_look(load: Load) -> None:
    settings = load(stream("{kind: hls, url_secret: WATCH}"), SECRET)
    declared, key = declare(settings), b"k" * 32
    (workload,) = declared.workloads.values()
    assert declared.aids.complete(workload.view()).url == ADDRESS
    assert workload.view().url == ""
    (wish,) = to_desired(settings, key).streams
    shown = [
        json.dumps(redacted_dump(settings)), repr(settings), repr(declared.aids), repr(workload),
        wish.recipe, repr(wish), repr(workload.deploy()), repr(workload.rental()), workload.sentinel(),
    ]  # fmt: skip
    assert all(TOKEN not in each for each in shown)


def test_logs_and_errors_hide_the_address_and_its_token_alone(load: Load) -> None:
    settings = load(stream("{kind: hls, url_secret: WATCH}"), SECRET)
    assert ADDRESS in secrets_of(settings)
    redact = declare(settings).redact
    assert TOKEN not in redact(f"GET {ADDRESS} failed")
    assert TOKEN not in redact(f"the playlist asks for key={TOKEN}")


def test_a_token_that_was_written_into_the_address_is_hidden_in_logs_too(load: Load) -> None:
    settings = load(stream(f"{{kind: hls, url: '{ADDRESS}'}}"))
    assert TOKEN not in declare(settings).redact(f"GET {ADDRESS} failed")


def test_the_address_would_reach_hosts_as_a_secret_of_the_stream(problems: Problems) -> None:
    (said,) = problems(stream("{kind: hls, url_secret: WATCH}", secrets="[WATCH]"), SECRET)
    assert "the secret WATCH would reach its hosts, and only keeper needs it" in said


def test_a_secret_that_is_no_address_is_refused_without_being_shown(problems: Problems) -> None:
    given = {"KEEPER_SECRET_WATCH": "hunter2-is-no-address"}
    (said,) = problems(stream("{kind: hls, url_secret: WATCH}"), given)
    assert said.startswith(
        "keeper.yaml:10:25: what the secret WATCH holds is no address to look at"
    )
    assert "hunter2" not in said


def test_a_view_changes_nothing_on_hosts(load: Load) -> None:
    """So no deploy comes of it: a threshold is tuned while the stream is on air."""
    views_ = (
        "{kind: hls, port: 80}",
        "{kind: hls, port: 80, still_max_s: 9, ignored: [{width: 0.1, height: 0.1}], expects_sound: true}",
        "{kind: mjpeg, port: 80, scenes: [{name: a, image: /nowhere.png}], black_luma_max: 9}",
    )
    wishes = [to_desired(load(stream(view)), b"k").streams[0] for view in views_]
    assert len({wish.revision for wish in wishes}) == 1
    # Neither by the secret that is keeper's own.
    elsewhere = ("{kind: hls, url: 'https://a.example/x.m3u8'}", "{kind: hls, url_secret: WATCH}")
    wishes = [to_desired(load(stream(view), SECRET), b"k").streams[0] for view in elsewhere]
    assert len({wish.revision for wish in wishes}) == 1


@pytest.mark.parametrize("kind", ["sd-turbo", "hyperscape-duel"])
def test_nor_does_that_of_a_built_in_workload(load: Load, kind: str) -> None:
    text = "streams:\n  - name: s\n    workload: {{kind: {kind}, view: {view}}}\n"
    views_ = ("{}", "{still_max_s: 30, ignored: [{width: 0.1, height: 0.1}]}")
    wishes = [to_desired(load(text.format(kind=kind, view=view))).streams[0] for view in views_]
    assert len({wish.revision for wish in wishes}) == 1


# --- scenes -------------------------------------------------------------------------------------------


def lobby(path: Path, size: tuple[int, int] = (320, 180)) -> Path:
    picture = Image.new("RGB", size, (20, 20, 20))
    picture.paste((220, 220, 220), (0, 0, size[0] // 2, size[1]))
    picture.save(path)
    return path


@pytest.mark.parametrize("name", ["lobby.png", "lobby.jpg"])
def test_a_scene_is_known_by_its_image_whatever_its_size(
    load: Load, tmp_path: Path, name: str
) -> None:
    path = lobby(tmp_path / name)
    settings = load(stream(f"{{kind: mjpeg, port: 80, scenes: [{{name: lobby, image: {path}}}]}}"))
    assert unfit(settings.local_files) == ()
    (scene,) = aids_of(settings).complete(view_in(settings)).scenes
    assert len(scene.grid) == CELLS
    other = lobby(tmp_path / "larger.png", (1280, 720))
    assert is_same_scene(grid_of(other), scene.grid)
    assert not is_same_scene(bytes(CELLS), scene.grid)


def test_a_reload_takes_an_image_that_was_exchanged(load: Load, tmp_path: Path) -> None:
    path = lobby(tmp_path / "lobby.png")
    text = stream(f"{{kind: mjpeg, port: 80, scenes: [{{name: lobby, image: {path}}}]}}")
    before, same = declare(load(text)), declare(load(text))
    assert changes(before, same) == ()
    Image.new("RGB", (320, 180), "red").save(path)
    assert changes(before, declare(load(text))) == ("changed views",)


def test_a_picture_that_is_partly_transparent_is_black_there(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGBA", (64, 36), (255, 255, 255, 0)).save(path)
    assert set(grid_of(path)) == {0}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is not on this box: put the image there, or correct the path"),
        (b"", "is no JPEG or PNG that can be read"),
        (b"GIF89a" + bytes(50), "is no JPEG or PNG that can be read"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "is no JPEG or PNG that can be read"),
        (b"\xff\xd8\xff\xe0" + bytes(200), "is no JPEG or PNG that can be read"),
        (bytes(20_000_001), "is larger than 20 MB: make it smaller"),
    ],
    ids=["missing", "empty", "gif", "broken png", "broken jpeg", "huge"],
)
def test_an_image_that_cannot_be_read_is_said_and_excuses_nothing(
    load: Load, tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "lobby.png"
    if content is not None:
        path.write_bytes(content)
    settings = load(stream(f"{{kind: mjpeg, port: 80, scenes: [{{name: lobby, image: {path}}}]}}"))
    (said,) = unfit(settings.local_files)
    assert said.partition("keeper.yaml:")[2] == (
        f"10:60: streams[0].workload.view.scenes[0].image: {path} {words}"
    )
    (scene,) = aids_of(settings).complete(view_in(settings)).scenes
    assert scene.grid == b""


def test_a_picture_of_a_billion_pixels_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    head = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(1000))
    chunks = (
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (head, data)
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    with pytest.raises(ValueError, match="has more than 40 million pixels: make it smaller"):
        grid_of(path)


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no file: name the image itself"):
        grid_of(tmp_path)
