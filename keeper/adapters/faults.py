"""What goes wrong between this box and a viewer's port, in the words of samples.

aiohttp's exceptions and the system's numbers stop here. No word holds anything that a stranger wrote, nor
an address: those hold tokens.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

import aiohttp

_OWN_FAULTS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENETDOWN})
# What an exchange may raise: nothing else is looked for.
FAULTS = (aiohttp.ClientError, OSError, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why there is no answer, or no more of it."""

    word: str
    is_own: bool = False  # a reason on this box: it says nothing of the other side


def fault_of(error: Exception) -> Fault:
    """Name what an exchange has raised. TimeoutError is an OSError: nobody answers in time."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return Fault(word="unreachable")
        case TimeoutError():
            return Fault(word="timeout")
        case aiohttp.ClientConnectorCertificateError():
            return Fault(word="its certificate is not trusted")
        case aiohttp.ClientSSLError():
            return Fault(word="it does not speak TLS")
        case aiohttp.ClientConnectorError():
            is_refusal = error.errno == errno.ECONNREFUSED
            return Fault(word="refused" if is_refusal else "unreachable", is_own=_is_own(error))
        case (
            aiohttp.ServerDisconnectedError()
            | ConnectionResetError()
            | aiohttp.ClientPayloadError()
        ):
            return Fault(word="reset")
        case ValueError():  # an address that is none, too
            return Fault(word="not http", is_own=_is_own(error))
        case _:
            return Fault(word="reset", is_own=_is_own(error))


def _is_own(error: Exception) -> bool:
    is_name_lookup = isinstance(error, aiohttp.ClientConnectorDNSError | socket.gaierror)
    return is_name_lookup or getattr(error, "errno", None) in _OWN_FAULTS
