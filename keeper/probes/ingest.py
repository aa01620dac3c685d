"""What an ingest says of who publishes to it: nginx's statistics of its RTMP module, read as hostile.

    <rtmp><server><application><name>live</name><live><stream><name>KEY</name>
      <client>…<publishing/></client>…

As the module prints it (nginx-rtmp-module, ngx_rtmp_stat_module.c, read 2026-11). The key stands in it, so
what cannot be read is not repeated.
"""

from __future__ import annotations

from itertools import chain
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

# Read on the daemon's loop every two seconds: this much takes ten milliseconds at worst, whatever is in it. A
# publisher or a player is some 250 bytes of it.
STAT_MAX_BYTES = 200_000


def publishers_at(body: bytes, ingest_url: str) -> int | None:
    """Return how many publish to an address, by the page; None: it does not tell."""
    place = place_of(ingest_url)
    if place is None or len(body) >= STAT_MAX_BYTES or b"<!" in body.replace(b"<![CDATA[", b""):
        return None  # cut, or with a definition that could unfold
    try:
        tree = ET.fromstring(body)  # noqa: S314 - as above
    except (ET.ParseError, ValueError, LookupError):
        return None
    if tree.tag != "rtmp":
        return None
    app, name = place
    applications = [
        each for each in tree.iterfind("server/application") if each.findtext("name") == app
    ]
    if not applications:
        return None  # another server's page
    found = 0
    for stream in chain.from_iterable(each.iterfind("live/stream") for each in applications):
        if (stream.findtext("name") or "") != name:
            continue
        publishing = sum(
            1 for client in stream.iterfind("client") if client.find("publishing") is not None
        )
        found += max(publishing, int(stream.find("publishing") is not None))
    return found


def place_of(ingest_url: str) -> tuple[str, str] | None:
    """Return the application and the name (the key) that an RTMP address means; None: it has none."""
    try:
        path = urlsplit(ingest_url).path
    except ValueError:
        return None
    app, slash, name = path.strip("/").partition("/")
    return (unquote(app), unquote(name)) if slash and app and name else None
