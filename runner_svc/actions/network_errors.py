"""What went wrong on the way to an HTTP server, in words that name the place."""

import errno
import os
from typing import Final

import aiohttp

from shared.domain.execution import ErrorCategory

_LONGEST: Final = 300


def describe(error: Exception) -> str:
    """Return one sentence about a network error; what is not known by sight is named by its type.

    The HTTP client wraps the errors of its transport, which know more.
    """
    cause = error.__cause__ or error
    match cause:
        case aiohttp.ClientConnectorCertificateError():
            said = f"the certificate of {_place(cause)} is refused: {cause.certificate_error}"
        case aiohttp.ClientConnectorDNSError():
            said = f"the name '{cause.host}' cannot be resolved: {_reason(cause.os_error)}"
        case aiohttp.ClientConnectorError():
            said = f"cannot connect to {_place(cause)}: {_reason(cause.os_error)}"
        case aiohttp.ConnectionTimeoutError():
            said = "no connection within the connect timeout"
        case aiohttp.SocketTimeoutError():
            said = "no data within the read timeout"
        case aiohttp.ServerDisconnectedError():
            said = "the server closed the connection without an answer"
        case aiohttp.ClientOSError():
            said = f"the connection broke: {_reason(cause)}"
        case _:
            said = ": ".join(filter(None, (type(error).__name__, str(error))))
    return said[:_LONGEST]


def category_of(error: Exception) -> ErrorCategory:
    """Return `transient` for a connection that broke, which a new one at once often mends."""
    cause = error.__cause__ or error
    reset = isinstance(cause, OSError) and cause.errno == errno.ECONNRESET
    broken = reset or isinstance(cause, aiohttp.ServerDisconnectedError)
    return ErrorCategory.TRANSIENT if broken else ErrorCategory.RECOVERABLE


def _place(error: aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError) -> str:
    return f"{error.host}:{error.port}"


def _reason(error: OSError) -> str:
    """The system's own words, without the address that is named already."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)
