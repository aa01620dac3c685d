"""Where the account's key may be carried: a redirect is a stranger's wish."""

import pytest
from yarl import URL

from keeper.adapters.vastai_http import may_carry_key

VAST = "https://console.vast.ai/api/v0/instances/"


@pytest.mark.parametrize(
    ("origin", "target", "is_allowed"),
    [
        (VAST, "https://console.vast.ai/api/v1/instances/", True),
        (VAST, "https://cloud.vast.ai/api/v0/instances/", True),
        (VAST, "https://vast.ai/api/v0/instances/", True),
        (VAST, "http://console.vast.ai/api/v0/instances/", False),
        (VAST, "http://console.vast.ai:443/api/v0/instances/", False),
        (VAST, "https://console.vast.ai:8443/api/v0/instances/", False),
        (VAST, "https://example.org/api/v0/instances/", False),
        (VAST, "https://vast.ai.example.org/", False),
        (VAST, "https://evilvast.ai/", False),
        (VAST, "https://user:word@console.vast.ai/api/v0/instances/", False),
        ("http://127.0.0.1:8100/api/v0/", "http://127.0.0.1:8100/api/v1/", True),
        ("http://127.0.0.1:8100/api/v0/", "http://127.0.0.1:8101/api/v0/", False),
        ("http://127.0.0.1:8100/api/v0/", "https://console.vast.ai/api/v0/", False),
    ],
)
def test_the_key_stays_with_its_origin_or_goes_encrypted_within_vast(
    origin: str, target: str, is_allowed: bool
) -> None:
    assert may_carry_key(URL(origin), URL(target)) is is_allowed
