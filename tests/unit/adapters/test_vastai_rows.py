"""What Vast.ai's fields mean, as tables."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from keeper.adapters.vastai import create_body, onstart_script
from keeper.adapters.vastai_addresses import address_of, host_name_of, is_near, is_near_url
from keeper.adapters.vastai_http import may_carry_key
from keeper.adapters.vastai_rows import (
    account_of,
    country_of,
    has_daemon_error,
    instance_of,
    is_meant_to_run,
    ports_of,
    state_of,
)
from keeper.adapters.vastai_wire import (
    InstanceRow,
    Offers,
    User,
    amount,
    decode,
    flag,
    identity,
    integer,
    moment,
    number,
    price,
    text,
)
from keeper.core.model import MarketState, RentalSpec
from keeper.ports import Malformed
from keeper.workloads.managers import dead_man

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        (None, MarketState.PENDING),
        ("", MarketState.PENDING),
        ("created", MarketState.PENDING),
        ("Loading", MarketState.PENDING),
        ("rebooting", MarketState.PENDING),
        ("recycling", MarketState.PENDING),
        ("scheduling", MarketState.PENDING),
        (" RUNNING\n", MarketState.RUNNING),
        ("stopped", MarketState.STOPPED),
        ("exited", MarketState.STOPPED),
        ("offline", MarketState.OFFLINE),
        ("unknown", MarketState.UNKNOWN),
        ("frozen", MarketState.OTHER),
        ("error", MarketState.OTHER),
        ("something new", MarketState.OTHER),
        (3, MarketState.OTHER),
    ],
)
def test_state_folds_the_markets_words(word: Any, state: MarketState) -> None:
    """Q9."""
    assert state_of(word) is state


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"intended_status": "running", "cur_state": "stopped"}, True),
        ({"intended_status": "stopped", "cur_state": "running"}, False),
        ({"intended_status": "frozen"}, False),
        ({"intended_status": None, "next_state": "stopped"}, False),
        ({"cur_state": "unloaded"}, False),
        ({"intended_status": 7, "cur_state": "running"}, True),
    ],
)
def test_intent_is_what_the_contract_says(fields: dict[str, Any], expected: bool) -> None:
    """Q10."""
    assert is_meant_to_run(InstanceRow(id=1, **fields)) is expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Error response from daemon: failed to create task: OCI runtime create failed", True),
        ("Error response from daemon: manifest for x:y not found: manifest unknown", True),
        ("write /var/lib: no space left on device", True),
        ("pull access denied, UNAUTHORIZED: authentication required", True),
        ("unexpected EOF", True),
        ("failed to pull image", True),
        ("success, running vastai/base-image/ssh", False),
        ("Pulling fs layer", False),
        ("Retrying in 5 seconds", False),
        ("", False),
    ],
)
def test_daemon_errors_are_known_by_their_texts(said: str, expected: bool) -> None:
    """Q11."""
    assert has_daemon_error(said) is expected


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ({"22/tcp": [{"HostIp": "0.0.0.0", "HostPort": "40022"}]}, {"22/tcp": 40022}),
        (
            {"22/tcp": [{"HostPort": "40022"}, {"HostPort": "40022"}], "53/udp": [{"HostPort": 9}]},
            {"22/tcp": 40022, "53/udp": 9},
        ),
        ({"22/tcp": None, "8000": "40100", "9/tcp": 12}, {"8000/tcp": 40100, "9/tcp": 12}),
        ({"22/tcp": [], "x": [{"HostPort": "1"}], "7/tcp": [{"HostPort": "99999"}]}, {}),
        ({"22/tcp": [{"HostPort": "ssh"}, {"HostPort": " 40022 "}]}, {"22/tcp": 40022}),
        ([22, 8000], {}),
        ({}, {}),
        (None, {}),
        ("22", {}),
    ],
)
def test_ports_come_in_four_shapes(ports: Any, expected: dict[str, int]) -> None:
    """Q22."""
    assert ports_of(ports) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("198.51.100.7 \n", "198.51.100.7"),
        ("10.0.0.5 172.17.0.2 \n", "10.0.0.5"),
        ("2001:db8::1", "2001:db8::1"),
        ("-oProxyCommand=x", ""),
        ("host.example", ""),
        (None, ""),
        (7, ""),
    ],
)
def test_address_is_an_ip_or_nothing(value: Any, expected: str) -> None:
    assert address_of(value, may_be_near=True) == expected


NEAR = (
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "169.254.169.254", "10.0.0.5", "172.16.0.1", "172.31.255.255",
    "192.168.1.1", "192.0.0.192", "100.100.100.200", "224.0.0.1", "255.255.255.255", "::1", "::",
    "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "ff02::1", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe",
    "64:ff9b::7f00:1", "localhost", "LocalHost.", "keeper.localhost", "127.1", "2130706433",
    "0x7f000001", "0177.0.0.1", "1.0x7f",
)  # fmt: skip
FAR = (
    "198.51.100.7", "203.0.113.9", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::1", "2606:4700::1",
    "ssh5.vast.ai", "localhost.example", "1.example",
)  # fmt: skip


@pytest.mark.parametrize("host", NEAR)
def test_a_host_cannot_send_keeper_to_its_own_box_or_network(host: str) -> None:
    """It reports its own address; the metadata service of a cloud gives keys to whoever asks there."""
    assert is_near(host)
    row = InstanceRow(id=5, public_ipaddr=host, ssh_host=host, ssh_port=22)
    instance = instance_of(row)
    assert (instance.public_ip, instance.ssh_host) == ("", "")


@pytest.mark.parametrize("host", FAR)
def test_what_is_on_the_internet_is_believed(host: str) -> None:
    assert not is_near(host)
    assert host_name_of(host) == host


def test_a_marketplace_on_this_box_may_have_its_hosts_here() -> None:
    assert is_near_url("http://127.0.0.1:8123")
    assert is_near_url("http://localhost/")
    assert not is_near_url("https://console.vast.ai")
    row = InstanceRow(id=5, public_ipaddr="127.0.0.1", ssh_host="127.0.0.1", ssh_port=22)
    instance = instance_of(row, may_be_near=True)
    assert (instance.public_ip, instance.ssh_host) == ("127.0.0.1", "127.0.0.1")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("Texas, US", "US"), (", us", "US"), ("SE", "SE"), ("Texas", ""), ("", ""), (None, "")],
)
def test_country_is_the_code_at_the_end(value: Any, expected: str) -> None:
    assert country_of(value) == expected


def test_an_instance_has_everything_that_the_row_says() -> None:
    body = json.dumps(
        {
            "id": 40000123,
            "label": "keeper:duel/0:7f3c",
            "actual_status": "loading",
            "intended_status": "running",
            "status_msg": "Error response from daemon:\n\tno\x1b[31m",
            "machine_id": "40120",
            "host_id": 90210.0,
            "gpu_name": " RTX  4090 ",
            "gpu_ram": 24564,
            "disk_space": "120",
            "ssh_host": "ssh5.vast.ai",
            "ssh_port": "24136",
            "image_runtype": "jupyter_direc ssh_direc ssh_proxy",
            "public_ipaddr": "198.51.100.7 ",
            "dph_total": 0.325,
            "start_date": 1795200000.5,
            "end_date": None,
            "geolocation": "Texas, US",
        }
    ).encode()
    instance = instance_of(decode(body, InstanceRow))
    assert (instance.instance_id, instance.label) == (40000123, "keeper:duel/0:7f3c")
    assert instance.state is MarketState.PENDING
    assert instance.has_daemon_error
    assert instance.status_text == "Error response from daemon: no�[31m"
    assert (instance.machine_id, instance.host_id) == (40120, 90210)
    assert (instance.gpu_name, instance.gpu_ram_gb, instance.disk_gb) == ("RTX 4090", 24.564, 120)
    assert (instance.ssh_host, instance.ssh_port) == ("ssh5.vast.ai", 24137)
    assert (instance.public_ip, instance.ports) == ("198.51.100.7", {})
    assert instance.started_at == datetime.fromtimestamp(1795200000.5, UTC)
    assert instance.ends_at is None
    assert instance.geolocation == "US"


PRICED = {"dph_total": 0.325, "dph_base": 0.30, "storage_total_cost": 0.025}


@pytest.mark.parametrize(
    ("fields", "total", "gpu", "disk"),
    [
        ({}, 0.325, 0.30, 0.025),
        ({"dph_base": None}, 0.325, 0.30, 0.025),
        ({"storage_total_cost": None}, 0.325, 0.30, 0.025),
        ({"dph_total": 0.3251, "dph_base": 0.2999}, 0.3251, 0.2999, 0.025),  # rounded
        # One of the three is wrong, and nobody knows which: nothing is told.
        ({"dph_base": 9.9}, 0.0, 0.0, 0.0),
        ({"dph_total": 50.0}, 0.0, 0.0, 0.0),
        ({"dph_total": 0.2}, 0.0, 0.0, 0.0),
        ({"storage_total_cost": 1e308}, 0.325, 0.30, 0.025),
        ({"dph_base": "0.30", "storage_total_cost": "NaN"}, 0.325, 0.30, 0.025),
        ({"dph_base": None, "storage_total_cost": None}, 0.325, 0.0, 0.0),
        ({"dph_total": None}, 0.0, 0.0, 0.0),
        ({"dph_total": -1.0}, 0.0, 0.0, 0.0),
        ({"dph_total": 1000.5}, 0.0, 0.0, 0.0),
        ({"dph_total": "NaN"}, 0.0, 0.0, 0.0),
    ],
)
def test_a_rental_costs_its_parts_or_they_are_not_told(
    fields: dict[str, Any], total: float, gpu: float, disk: float
) -> None:
    instance = instance_of(InstanceRow(id=1, **PRICED | fields))
    assert instance.dollars_per_hour == pytest.approx(total)
    assert instance.gpu_dollars_per_hour == pytest.approx(gpu)
    assert instance.disk_dollars_per_hour == pytest.approx(disk)


@pytest.mark.parametrize(
    ("fields", "is_bid", "min_bid"),
    [
        ({"is_bid": True, "min_bid": 0.22}, True, 0.22),
        ({"is_bid": "true", "min_bid": "0.22"}, True, 0.22),
        ({"is_bid": True, "min_bid": 1e9}, True, 0.0),
        ({"is_bid": True, "min_bid": -1}, True, 0.0),
        ({"is_bid": True}, True, 0.0),
        ({"is_bid": False, "min_bid": 0.22}, False, 0.0),
        ({"is_bid": None, "min_bid": 0.22}, False, 0.0),
        ({"is_bid": 7, "min_bid": 0.22}, False, 0.0),
    ],
)
def test_what_a_bid_must_reach_is_told_of_bids_only(
    fields: dict[str, Any], is_bid: bool, min_bid: float
) -> None:
    """The floor moves with the market; on demand it is no news."""
    instance = instance_of(InstanceRow(id=1, **fields))
    assert (instance.is_bid, instance.min_bid_dollars_per_hour) == (is_bid, min_bid)


@pytest.mark.parametrize(
    ("said", "is_listed"),
    [(True, True), (None, True), ("", True), (7, True), (False, False), ("false", False)],
)
def test_a_machine_is_off_the_market_only_when_a_row_says_so(said: Any, is_listed: bool) -> None:
    assert instance_of(InstanceRow(id=1, rentable=said)).is_machine_listed is is_listed


def test_prices_are_dollars_that_somebody_would_ask() -> None:
    assert [price(v) for v in (0, 0.0, "1.5", 1000, 1000.0)] == [0.0, 0.0, 1.5, 1000.0, 1000.0]
    assert [price(v) for v in (-0.0001, 1000.1, 1e308, "NaN", float("inf"), None, True, "x")] == (
        [None] * 8
    )


@pytest.mark.parametrize("name", ["-oProxyCommand=reboot", "a b", "$(id)", "x;y", "", None])
def test_a_name_that_could_be_an_option_is_no_ssh_host(name: Any) -> None:
    assert instance_of(InstanceRow(id=1, ssh_host=name)).ssh_host == ""


@pytest.mark.parametrize(
    ("user", "spendable"),
    [
        (User(credit=10, balance=0), 10.0),
        (User(credit=10.5, balance=-3), 7.5),
        (User(credit="10"), 10.0),
        (User(balance=4.0), 4.0),
        (User(balance=-4.0), -4.0),
        (User(credit=0, balance=9.0), 0.0),
    ],
)
def test_spendable_is_credit_less_debt(user: User, spendable: float) -> None:
    assert account_of(user).spendable_dollars == spendable


def test_values_are_read_with_suspicion() -> None:
    assert [number(v) for v in (1, "1.5 ", "nan", "inf", "1_0", "x", True, None, 10**400)] == [
        1.0, 1.5, None, None, None, None, None, None, None,
    ]  # fmt: skip
    assert [integer(v) for v in (7, "7", 7.0, 7.5, "7.0", 10**30, "1" * 30, False)] == [
        7, 7, 7, None, 7, None, None, None,
    ]  # fmt: skip
    assert [identity(v) for v in (0, -1, "8", 2**62)] == [None, None, 8, 2**62]
    assert [amount(v) for v in (-0.1, 0, "2")] == [None, 0.0, 2.0]
    assert [flag(v) for v in (1, 0, "True", "false", 2, "x", None)] == [
        True, False, True, False, None, None, None,
    ]  # fmt: skip
    assert [moment(v) for v in (0, -5, 1e30, "x")] == [None] * 4
    assert text("a\n b\t\x00c\ud800d", 7) == "a b �c�"
    assert len(text("x" * 10_000)) == 500


@given(value=ANYTHING)
def test_no_value_can_break_a_reader(value: Any) -> None:
    for read in (number, integer, identity, amount, price, flag, moment, text, state_of, ports_of):
        read(value)
    address_of(value)
    country_of(value)
    text(value).encode()


# --- what is sent ----------------------------------------------------------------------------


def test_an_order_without_a_key_still_keeps_shells_out_of_tmux() -> None:
    body = create_body("label", RentalSpec(image="i", disk_gb=10), "")
    assert body["onstart"].splitlines() == ["touch ~/.no_auto_tmux;", dead_man.ONSTART]


def test_onstart_adds_the_key_once_with_the_modes_that_sshd_wants(tmp_path: Path) -> None:
    """It runs at each start of the container, and a key file may lack its last newline."""
    key = "ssh-ed25519 AAAA keeper's box"
    keys = tmp_path / ".ssh" / "authorized_keys"
    script = onstart_script('echo "$MODE" > ~/ran', key)
    run = ["sh", "-eu", "-c", script]
    env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "MODE": "demo"}
    keys.parent.mkdir(mode=0o755)
    keys.write_text("ssh-rsa OTHER theirs")
    for _ in range(2):
        subprocess.run(run, env=env, check=True, timeout=50)
    assert keys.read_text().splitlines() == ["ssh-rsa OTHER theirs", key]
    assert (keys.stat().st_mode & 0o777, keys.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert (tmp_path / ".no_auto_tmux").exists()
    assert (tmp_path / "ran").read_text() == "demo\n"


@pytest.mark.parametrize(
    ("origin", "target", "expected"),
    [
        ("https://console.vast.ai", "https://console.vast.ai/api/v1/", True),
        ("https://console.vast.ai", "https://cloud.vast.ai/api/v0/", True),
        ("https://vast.ai", "https://console.vast.ai/", True),
        ("http://vast.ai", "https://console.vast.ai/", True),
        ("https://console.vast.ai", "http://console.vast.ai/", False),
        ("https://console.vast.ai", "https://console.vast.ai:8443/", False),
        ("https://console.vast.ai", "https://evilvast.ai/", False),
        ("https://console.vast.ai", "https://vast.ai.evil.example/", False),
        ("https://console.vast.ai", "https://user@console.vast.ai/", False),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/x", True),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8001/x", False),
        ("http://127.0.0.1:8000", "https://console.vast.ai/", False),
        ("https://console.vast.ai", "/relative", False),
    ],
)
def test_the_key_stays_in_the_family(origin: str, target: str, expected: bool) -> None:
    assert may_carry_key(URL(origin), URL(target)) is expected


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'{"offers": [1', b'{"offers": 1}', b"\xff" * 9, b"[" * 99_999]
)
def test_what_is_not_the_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        decode(body, Offers)
