"""What looks like a secret does not reach the log, and what is none stays readable."""

import pytest

from keeper.telemetry.redact import HIDDEN, Redactor

KEY = "3f9a7c0d55b1e2aa"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {HIDDEN}"),
        ("authorization=Basic dXNlcjpwYXNz", f"authorization=Basic {HIDDEN}"),
        ("rtmp://live.example/app/sk_us_12345", f"rtmp://live.example/app/{HIDDEN}"),
        ("rtmps://a.example:443/rtmp/KEY?x=1 next", f"rtmps://a.example:443/rtmp/{HIDDEN} next"),
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
