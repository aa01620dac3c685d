"""Slates within TLS: the stream key is sent to nobody for whom no authority of this box vouches.

Somebody sits in between and would carry all of it to the real ingest; what he gets to read is counted.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keeper.adapters.slates import Patience, ProcessSlates
from keeper.core.model import StreamName
from keeper.ports import Address, Refused, SlateLook, Unreachable
from tests.relay import Relay
from tests.rtmp_sink import RtmpSink
from tests.waiting import eventually

# One worker: what all of them show is rendered once.
pytestmark = [
    pytest.mark.real("nginx-rtmp"),
    pytest.mark.xdist_group("slates within tls"),
]

DUEL = StreamName("duel")
LOOK = SlateLook(title="Duel", width=160, height=90, frames_per_s=1, bitrate_bps=100_000)
KEY = "sk-5ecr3t|it's[1]:\\x"  # all that the options beside it could be confused by
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """Somebody who signs certificates."""

    name: x509.Name
    key: ec.EllipticCurvePrivateKey

    def certificate(self, *, days: int = 30) -> x509.Certificate:
        """Its own certificate."""
        return self._signed(
            self.name, self.key, x509.BasicConstraints(ca=True, path_length=None), days
        )

    def server(self, names: tuple[str, ...], folder: Path, *, days: int = 30) -> ssl.SSLContext:
        """What a server of these names shows."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
        shown = self._signed(_named("a server"), key, alternatives, days)
        return _serving(shown, key, folder)

    def _signed(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extension: x509.ExtensionType,
        days: int,
    ) -> x509.Certificate:
        begins = datetime.now(UTC) - 2 * DAY
        number = x509.random_serial_number()
        built = x509.CertificateBuilder(
            self.name, name, key.public_key(), number, begins, begins + days * DAY
        )
        return built.add_extension(extension, critical=True).sign(self.key, hashes.SHA256())


def an_authority(name: str) -> Authority:
    return Authority(_named(name), ec.generate_private_key(ec.SECP256R1()))


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _serving(
    shown: x509.Certificate, key: ec.EllipticCurvePrivateKey, folder: Path
) -> ssl.SSLContext:
    pem = folder / "server.pem"
    pem.write_bytes(
        shown.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    return context


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder in which the look has been rendered, as keeper does: once."""
    folder = tmp_path_factory.mktemp("studio")
    asyncio.run(ProcessSlates(folder).prepare(LOOK))
    return folder


@pytest.fixture
def sink(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[RtmpSink]:
    with RtmpSink(tmp_path / "sink", free_port) as made:
        yield made


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The one authority that this box trusts, in a folder of a strange name."""
    authority = an_authority("trusted")
    folder = tmp_path / "it's: [1] | a\\b"
    folder.mkdir()
    (folder / "all.pem").write_bytes(authority.certificate().public_bytes(Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "all.pem"))
    return authority


@asynccontextmanager
async def in_between(sink: RtmpSink, shows: ssl.SSLContext) -> AsyncIterator[tuple[Relay, str]]:
    """Somebody who ends TLS and carries on to the ingest, and the address that leads there."""
    relay = Relay(Address(host="127.0.0.1", port=sink.port))
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0, ssl=shows)
    try:
        port = server.sockets[0].getsockname()[1]
        yield relay, f"rtmps://localhost:{port}/live/{KEY}"
    finally:
        server.close()
        await relay.end()


async def test_ingest_with_a_good_certificate_gets_the_slate_and_is_free_at_once(
    studio: Path, sink: RtmpSink, trusted: Authority, tmp_path: Path
) -> None:
    async with in_between(sink, trusted.server(("localhost",), tmp_path)) as (relay, url):
        slates = ProcessSlates(studio, Patience(lease_s=90.0))  # nobody tells it to go on
        showing = await slates.begin(DUEL, LOOK, url, 30.0)
        try:
            assert [each.name for each in sink.publishing()] == [KEY]
            await eventually(lambda: relay.forth_bytes > 10_000)
            assert showing.ended_because() is None
        finally:
            await showing.end()
        await eventually(lambda: not sink.publishing())

        again = await slates.begin(DUEL, LOOK, url, 30.0)
        relay.cut()
        await eventually(lambda: again.ended_because() is not None)
        assert "ended the connection" in str(again.ended_because())
        await again.end()


def _self_signed(_: Authority, folder: Path) -> ssl.SSLContext:
    alone = an_authority("localhost")
    return _serving(alone.certificate(), alone.key, folder)


def _of_another_authority(trusted: Authority, folder: Path) -> ssl.SSLContext:
    return Authority(trusted.name, an_authority("x").key).server(("localhost",), folder)


def _of_another_name(trusted: Authority, folder: Path) -> ssl.SSLContext:
    return trusted.server(("evil.example",), folder)


def _expired(trusted: Authority, folder: Path) -> ssl.SSLContext:
    return trusted.server(("localhost",), folder, days=1)


@pytest.mark.parametrize("shows", [_self_signed, _of_another_authority, _of_another_name, _expired])
async def test_whoever_sits_in_between_reads_nothing(
    studio: Path,
    sink: RtmpSink,
    trusted: Authority,
    tmp_path: Path,
    shows: Callable[[Authority, Path], ssl.SSLContext],
) -> None:
    async with in_between(sink, shows(trusted, tmp_path)) as (relay, url):
        with pytest.raises(Unreachable, match="certificate") as refusal:
            await ProcessSlates(studio).begin(DUEL, LOOK, url, 30.0)
    assert relay.forth_bytes == 0
    assert sink.begun == []
    assert "sk-5ecr3t" not in str(refusal.value)


async def test_box_that_trusts_nobody_sends_nothing_within_tls(
    studio: Path, sink: RtmpSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    async with in_between(sink, _self_signed(an_authority("x"), tmp_path)) as (relay, url):
        with pytest.raises(Refused, match="SSL_CERT_FILE"):
            await ProcessSlates(studio).begin(DUEL, LOOK, url, 30.0)
    assert relay.forth_bytes == 0


async def test_file_of_all_authorities_is_found_where_openssl_knows_a_folder_alone(
    studio: Path,
    sink: RtmpSink,
    trusted: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = trusted.certificate().public_bytes(Encoding.PEM)
    (tmp_path / "ca-certificates.crt").write_bytes(bundle)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    async with in_between(sink, trusted.server(("localhost",), tmp_path)) as (_, url):
        showing = await ProcessSlates(studio).begin(DUEL, LOOK, url, 30.0)
        await showing.end()
    assert len(sink.begun) == 1
