"""What looks like a secret does not reach the log, and what is none stays readable."""

import base64
import hashlib
import json
import shlex
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.telemetry.redact import HIDDEN, Redactor

KEY = "3f9a7c0d55b1e2aa"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {HIDDEN}"),
        ("authorization=Basic dXNlcjpwYXNz", f"authorization=Basic {HIDDEN}"),
        ("rtmp://live.example/app/sk_us_12345", f"rtmp://live.example/app/{HIDDEN}"),
        ("rtmps://a.example:443/rtmp/KEY?x=1 next", f"rtmps://a.example:443/rtmp/{HIDDEN} next"),
        # As ffmpeg names what it sends to several platforms at once.
        (
            "to '[f=flv]rtmp://a.example/live2/KEY1|[f=flv:onfail=ignore]rtmps://b.example/app/KEY2':",
            f"to '[f=flv]rtmp://a.example/live2/{HIDDEN}|[f=flv:onfail=ignore]rtmps://b.example/app/{HIDDEN}':",
        ),
        (
            "rtmp://a/app/KEY1?x=1|rtmp://b/KEY2|rtmp://c/app/x/KEY3",
            f"rtmp://a/app/{HIDDEN}|rtmp://b/{HIDDEN}|rtmp://c/app/x/{HIDDEN}",
        ),
        ("GET /api?api_key=abc123&page=2", f"GET /api?api_key={HIDDEN}&page=2"),
        ("VAST_API_KEY='abc123'", f"VAST_API_KEY='{HIDDEN}'"),
        ('{"access_token": "abc", "n": 1}', f'{{"access_token": "{HIDDEN}", "n": 1}}'),
        ("x-admin-code: hunter2", f"x-admin-code: {HIDDEN}"),
        ("postgresql://keeper:pw@db/keeper", f"postgresql://{HIDDEN}@db/keeper"),
        (
            "https://hooks.slack.com/services/T0/B0/xyz failed",
            f"https://hooks.slack.com/{HIDDEN} failed",
        ),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", HIDDEN),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----", HIDDEN),
    ],
)
def test_hides_what_looks_like_a_secret(text: str, shown: str) -> None:
    redactor = Redactor()
    assert redactor.is_suspect(text)
    assert redactor.text(text) == shown
    assert redactor.text(shown) == shown  # a second pass changes nothing


@pytest.mark.parametrize(
    "text",
    [
        "replace duel/0 because the tokenizer process is gone",
        "rtmp bridge is up",
        "http://203.0.113.7:8080/stream answers with an error",
        "a keyframe every 2 s, 3 secrets configured",
    ],
)
def test_leaves_ordinary_words_alone(text: str) -> None:
    assert Redactor([KEY]).text(text) == text


def test_hides_known_values_in_every_form_they_take() -> None:
    secret = 'p"a/s s+wörd'
    redactor = Redactor([secret, KEY])
    for text in (secret, 'json "p\\"a/s s+w\\u00f6rd"', "p%22a%2Fs%20s%2Bw%C3%B6rd", f"x{KEY}y"):
        assert redactor.is_suspect(text)
        assert HIDDEN in redactor.text(text)
        assert secret not in redactor.text(text)


def test_hides_a_secret_that_begins_with_another() -> None:
    assert Redactor(["abcdef", "abcdefghij"]).text("abcdefghij") == HIDDEN


def test_ignores_values_that_are_too_short_to_be_secret() -> None:
    assert Redactor(["no", ""]).text("no news") == "no news"


def test_looks_into_nested_values_and_at_names() -> None:
    found = Redactor([KEY]).value({"token": "x", "a": [{"b": f"={KEY}"}, 3], "count": 2, "n": None})
    assert found == {"token": HIDDEN, "a": [{"b": f"={HIDDEN}"}, 3], "count": 2, "n": None}


def test_survives_values_without_end() -> None:
    loop: dict[str, object] = {}
    loop["again"] = loop
    assert "again" in Redactor().value(loop)


TOKEN = "Zk3-9qLw/7Xv+2Bd=5Tn8Rm1Yc6Hj4Gp0Sa"


@pytest.mark.parametrize("keep", [8, 12, 20, len(TOKEN) - 1])
def test_hides_what_is_left_of_a_secret_that_was_cut(keep: int) -> None:
    redactor = Redactor([TOKEN])
    assert redactor.text(f"set-up said {TOKEN[:keep]}") == f"set-up said {HIDDEN}"
    assert redactor.text(f"{TOKEN[:keep]}… and more") == f"{HIDDEN}… and more"
    assert redactor.text(f"…{TOKEN[-keep:]} was refused") == f"…{HIDDEN} was refused"
    assert redactor.is_suspect(TOKEN[:keep])
    assert redactor.is_suspect(TOKEN[-keep:])


def test_hides_the_middle_of_a_long_secret() -> None:
    digests = (hashlib.sha256(bytes([number])).digest() for number in range(20))
    long = base64.b64encode(b"".join(digests)).decode()
    assert Redactor([long]).text(f"it said {long[300:500]}") == f"it said {HIDDEN}"


@pytest.mark.parametrize(
    "written",
    [
        base64.b64encode(TOKEN.encode()).decode(),
        base64.b64encode(b"user:" + TOKEN.encode() + b"@host").decode(),
        base64.urlsafe_b64encode(b"x:" + TOKEN.encode()).decode(),
        TOKEN.encode().hex(),
        quote_plus(TOKEN),
        json.dumps({"said": json.dumps(TOKEN)}),
    ],
)
def test_hides_an_encoded_secret(written: str) -> None:
    redactor = Redactor([TOKEN])
    assert redactor.is_suspect(written)
    shown = redactor.text(f"answer {written} end")
    assert HIDDEN in shown
    assert len(shown) < len(HIDDEN) + 30


def test_hides_what_a_shell_that_traces_writes_of_a_secret() -> None:
    secret = "it's-a-Secret-42"
    assert secret.partition("'")[2] not in Redactor([secret]).text(
        f"+ export K={shlex.quote(secret)}"
    )


def test_hides_what_the_sentinel_lets_through_of_a_secret() -> None:
    assert Redactor(["p!s$7wOrd#92x%Q"]).text("FATAL ps7wOrd92xQ") == f"FATAL {HIDDEN}"


def test_hides_each_line_of_a_key() -> None:
    key = "-----BEGIN KEY-----\nb3BlbnNzaC1rZXk0\nQyNTUxOQAAACBx7y\n-----END KEY-----"
    assert Redactor([key]).text("it read QyNTUxOQAAACBx7y there") == f"it read {HIDDEN} there"


def test_hides_the_tokens_of_a_secret_address_and_no_other_address() -> None:
    redactor = Redactor(["https://u:pass%2Fw0rd@hooks.example.org/services/T0AB12CD3/XyZ98765abc"])
    assert redactor.text("XyZ98765abc and T0AB12CD3") == f"{HIDDEN} and {HIDDEN}"
    assert redactor.text("the word is pass/w0rd") == f"the word is {HIDDEN}"
    ordinary = "https://hooks.example.org/services answers with 503"
    assert redactor.text(ordinary) == ordinary


@pytest.mark.parametrize("secret", ["streaming-key", "condition-of-use", "healthyhosts"])
def test_the_beginning_of_a_weak_secret_hides_no_ordinary_word(secret: str) -> None:
    line = '"event":"condition.changed","condition":"streaming","reason":"healthy"'
    assert Redactor([secret]).text(line) == line
    assert Redactor([secret]).text(f"it is {secret}") == f"it is {HIDDEN}"


@given(
    secret=st.text(st.characters(codec="utf-8"), min_size=12, max_size=90),
    before=st.text(max_size=40),
    after=st.text(max_size=40),
)
def test_no_whole_secret_is_ever_left(secret: str, before: str, after: str) -> None:
    redactor = Redactor([secret])
    text = f"{before}{secret.strip()}{after}"
    shown = redactor.text(text)
    if len(secret.strip()) >= 4:
        assert redactor.is_suspect(text)
        assert secret.strip() not in shown.replace(HIDDEN, "\0")


@pytest.mark.parametrize(
    "unit", ["9", "a.", "a-", "rtmp", "token ", "://", "rtmp://a/", "-----BEGIN ", "bearer\t", "@"]
)
def test_a_text_made_to_be_slow_is_gone_through_once(unit: str) -> None:
    """A host can print it; 60 kB of one long word held the loop for half a minute. This would be hours."""
    endless = unit * (400_000 // len(unit))
    shown = Redactor(["a-secret-key"]).text(f"{endless} VAST_API_KEY=hunter2x {endless}")
    assert "VAST_API_KEY=[redacted]" in shown
