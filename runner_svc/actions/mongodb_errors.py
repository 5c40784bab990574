"""What MongoDB's errors mean for an action: whether to try again, and what to tell its author."""

from collections.abc import Mapping
from typing import Any, Final

from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

from runner_svc.actions.extended_json import write_value
from shared.ports.actions import ActionError, PermanentError

_LONGEST: Final = 500
_PASSING_LABELS: Final = (
    "TransientTransactionError",
    "UnknownTransactionCommitResult",
    "RetryableWriteError",
)
_DUPLICATE_KEY, _NO_TRANSACTIONS, _NO_CREATION = 11000, 20, 263
_NOT_ALLOWED: Final = frozenset({13, 18, 8000})


def failure(error: PyMongoError | BSONError, place: str) -> ActionError:
    """Return the action's error for one of the driver's; `place` is `database.collection`."""
    if isinstance(error, OperationFailure):
        problem = _problem(error)
        if said := _known(problem, place):
            return PermanentError(said)
    retryable = isinstance(error, PyMongoError) and _is_passing(error)
    said = f"MongoDB: {_first_line(error)}"
    return ActionError(said) if retryable else PermanentError(said)


def _problem(error: OperationFailure) -> Mapping[str, Any]:
    """Return the one document that says what went wrong; of a batch, its first."""
    details: Mapping[str, Any] = error.details or {}
    if isinstance(error, BulkWriteError) and details.get("writeErrors"):
        first: Mapping[str, Any] = details["writeErrors"][0]
        return first
    return {"code": error.code, **details}


def _known(problem: Mapping[str, Any], place: str) -> str | None:
    said = str(problem.get("errmsg", ""))[:_LONGEST]
    match problem.get("code"):
        case code if code == _DUPLICATE_KEY:
            key = problem.get("keyValue") or problem.get("keyPattern") or {}
            return (
                f"a document with the key {str(write_value(key))[:_LONGEST]} is in {place} already"
            )
        case code if code == _NO_TRANSACTIONS and "Transaction numbers" in said:
            return (
                "this MongoDB is a standalone server, which has no transactions; run it as a "
                "replica set (one node will do: --replSet rs0, then rs.initiate())"
            )
        case code if code == _NO_CREATION:
            return f"this MongoDB cannot do that in a transaction; does {place} exist? {said}"
        case code if code in _NOT_ALLOWED:
            return f"MongoDB does not let this connection's user work on {place}: {said}"
    return None


def _is_passing(error: PyMongoError) -> bool:
    if isinstance(error, ConfigurationError):
        # With a cause, it is a name (mongodb+srv) that could not be looked up now.
        return error.__cause__ is not None
    if any(error.has_error_label(label) for label in _PASSING_LABELS):
        return True
    passing = isinstance(error, ConnectionFailure | ExecutionTimeout | WriteConcernError)
    return passing or error.timeout


def _first_line(error: Exception) -> str:
    """The driver appends its whole view of the servers; the first clause says what happened."""
    said = str(error).split(", full error:", 1)[0].split(", Timeout:", 1)[0].split("\n", 1)[0]
    return (said or type(error).__name__)[:_LONGEST]
