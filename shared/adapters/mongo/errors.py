"""Driver errors become the project's own, here and nowhere else."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

from shared.domain.errors import Unavailable

_PASSING = (AutoReconnect, ConnectionFailure, ExecutionTimeout, WriteConcernError)

_PASSING_CODES = frozenset({6, 7, 50, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
"""Host and network trouble, timeouts, and a primary that steps down or shuts down.

The codes are those of the driver specification "Retryable Writes".
"""


@contextmanager
def translated() -> Iterator[None]:
    """Raise Unavailable for every driver error that a later attempt may not meet.

    The driver sometimes swallows a cancellation that meets it in the middle of a call;
    the task that asked would go on for ever, so it is cancelled here after all.
    """
    task = asyncio.current_task()
    asked = task.cancelling() if task else 0
    try:
        yield
    except PyMongoError as error:
        if task and task.cancelling() > asked:
            raise asyncio.CancelledError from error
        if _is_passing(error):
            raise Unavailable("MongoDB", _first_line(error)) from error
        raise
    if task and task.cancelling() > asked:
        raise asyncio.CancelledError


def _is_passing(error: PyMongoError) -> bool:
    if isinstance(error, ConfigurationError):
        return False
    if isinstance(error, _PASSING) or error.timeout:
        return True
    if isinstance(error, BulkWriteError):
        codes = {problem["code"] for problem in error.details["writeErrors"]}
        return bool(error.details["writeConcernErrors"] or codes & _PASSING_CODES)
    return isinstance(error, OperationFailure) and error.code in _PASSING_CODES


def _first_line(error: PyMongoError) -> str:
    """The driver appends its whole view of the topology; the first clause says what happened."""
    return str(error).split(", Timeout:", 1)[0].split("\n", 1)[0][:300]
