"""Which addresses a source may lead to."""

import pytest

from keeper.adapters.reach import Ended, joined, may_lead, origin


@pytest.mark.parametrize(
    ("declared", "address", "may"),
    [
        ("https://live.example.com/x.m3u8", "151.101.1.1", True),
        ("https://live.example.com/x.m3u8", "2a04:4e42::1", True),
        ("https://live.example.com/x.m3u8", "127.0.0.1", False),
        ("https://live.example.com/x.m3u8", "::ffff:127.0.0.1", False),
        ("https://live.example.com/x.m3u8", "169.254.169.254", False),
        ("https://live.example.com/x.m3u8", "192.168.1.5", False),
        ("https://live.example.com/x.m3u8", "fe80::1", False),
        ("http://192.168.1.4/x.m3u8", "192.168.1.5", True),
        ("http://192.168.1.4/x.m3u8", "127.0.0.1", False),
        ("http://192.168.1.4/x.m3u8", "169.254.169.254", False),
        ("http://127.0.0.1:8000/x.m3u8", "127.0.0.1", True),
        ("http://localhost/x.m3u8", "::1", True),
        ("http://127.0.0.1:8000/x.m3u8", "192.168.1.5", False),
        ("http://[::", "192.168.1.5", False),
    ],
)
def test_what_is_declared_leads_to_public_addresses_or_such_as_its_own(
    declared: str, address: str, may: bool
) -> None:
    assert may_lead(declared, address) is may


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://h/", "http://H:80/x?y"),
        ("https://h/", "https://h:443/"),
        ("http://[::1]:8000/a", "HTTP://[::1]:8000/b"),
    ],
)
def test_one_server_is_known_however_it_is_written(one: str, other: str) -> None:
    assert origin(one) == origin(other) is not None


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://h/", "file:///x", "http://", "http://h:99999999/", "http://[::", "data:,"],
)
def test_what_is_not_asked_over_http_is_no_server(url: str) -> None:
    assert origin(url) is None


def test_addresses_start_from_where_they_stand() -> None:
    base = "http://h:8000/live/x.m3u8?token=1"
    assert joined(base, "1.ts?t=a%2Fb") == "http://h:8000/live/1.ts?t=a%2Fb"
    assert joined(base, "/1.ts") == "http://h:8000/1.ts"
    assert joined(base, "//g/1.ts") == "http://g/1.ts"
    for broken in ("http://[::", "x" * 20_000):
        with pytest.raises(Ended):
            joined(base, broken)
