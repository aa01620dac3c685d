"""What goes wrong on the way to a viewer's port, in the words of samples."""

import errno
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from keeper.adapters.faults import fault_of

KEY = ConnectionKey("evil.example", 443, True, True, None, None, None)


def dialled(number: int) -> aiohttp.ClientConnectorError:
    return aiohttp.ClientConnectorError(KEY, OSError(number, "no"))


@pytest.mark.parametrize(
    ("error", "word", "is_own"),
    [
        (aiohttp.ConnectionTimeoutError(), "unreachable", False),
        (TimeoutError(), "timeout", False),
        (dialled(errno.ECONNREFUSED), "refused", False),
        (dialled(errno.EHOSTUNREACH), "unreachable", False),
        (dialled(errno.EMFILE), "unreachable", True),
        (dialled(errno.ENETDOWN), "unreachable", True),
        (aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "no")), "unreachable", True),
        (aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError("x")), "its certificate is not trusted", False),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "x")), "it does not speak TLS", False),
        (aiohttp.ServerDisconnectedError(), "reset", False),
        (aiohttp.ClientPayloadError(), "reset", False),
        (ConnectionResetError(), "reset", False),
        (aiohttp.InvalidURL("http://me:s3cret@x"), "not http", False),
        (OSError(errno.ENOBUFS, "no"), "reset", True),
    ],
)  # fmt: skip
def test_every_fault_has_a_word_and_no_address(error: Exception, word: str, is_own: bool) -> None:
    fault = fault_of(error)
    assert (fault.word, fault.is_own) == (word, is_own)
