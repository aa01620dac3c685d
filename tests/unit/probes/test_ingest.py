"""The page of an ingest says who publishes; what it does not say clearly proves nothing."""

import pytest

from keeper.probes.ingest import STAT_MAX_BYTES, place_of, publishers_at

URL = "rtmp://ingest.example:1935/live/key-1?token=x"


def page(*clients: str, name: str = "key-1", app: str = "live") -> bytes:
    return (
        "<?xml version='1.0' encoding='utf-8' ?>\n<?xml-stylesheet type='text/xsl' href='stat.xsl' ?>"
        "<rtmp><nginx_version>1.22</nginx_version><server>"
        f"<application><name>other</name><live><nclients>0</nclients></live></application>"
        f"<application><name>{app}</name><live><stream><name>{name}</name>{''.join(clients)}"
        "<publishing/><active/></stream><nclients>2</nclients></live></application>"
        "</server></rtmp>"
    ).encode()


PUBLISHER = "<client><id>2</id><address>192.0.2.1</address><publishing/><active/></client>"
PLAYER = "<client><id>3</id><address>192.0.2.2</address><active/></client>"
EMPTY = b"<rtmp><server><application><name>live</name><live></live></application></server></rtmp>"

PAGES: dict[str, tuple[bytes, int | None]] = {
    "a publisher and a player": (page(PUBLISHER, PLAYER), 1),
    "two publishers": (page(PUBLISHER, PUBLISHER), 2),
    "one that is said of the stream alone": (page(PLAYER), 1),
    "another key": (page(PUBLISHER, name="key-2"), 0),
    "nobody at all": (EMPTY, 0),
    "only players": (page(PLAYER).replace(b"</client><publishing/>", b"</client>"), 0),
    "another application": (page(PUBLISHER, app="vod"), None),
    "a cut page": (page(PUBLISHER)[:-20], None),
    "no page": (b"", None),
    "a page of something else": (b"<html><body>hello</body></html>", None),
    "no XML": (b"\x00\xff\xfe", None),
    "a definition that could unfold": (
        b"<!DOCTYPE rtmp [<!ENTITY a 'aaaa'>]>" + EMPTY,
        None,
    ),
    "as much as is read, whole": (EMPTY + b" " * (STAT_MAX_BYTES - len(EMPTY) - 1), 0),
    "more than is read, cut where it seems whole": (
        EMPTY + b" " * (STAT_MAX_BYTES - len(EMPTY)),
        None,
    ),
    "another encoding than it says": (
        b"<?xml version='1.0' encoding='x-no'?><rtmp/>",
        None,
    ),
}


@pytest.mark.parametrize("row", PAGES.values(), ids=PAGES)
def test_counts_who_publishes_to_one_key(row: tuple[bytes, int | None]) -> None:
    body, expected = row
    assert publishers_at(body, URL) == expected


def test_a_page_is_too_small_to_hold_up_the_loop_that_reads_it() -> None:
    """It is read between two beats of everything else: two megabytes of it would take a sixth of a second."""
    assert STAT_MAX_BYTES <= 200_000


def test_an_address_without_a_key_is_no_place() -> None:
    assert publishers_at(EMPTY, "rtmp://ingest.example/live") is None
    assert publishers_at(EMPTY, "rtmp://[") is None
    assert place_of(URL) == ("live", "key-1")
    assert place_of("rtmp://h/live/a/b%20c") == ("live", "a/b c")
