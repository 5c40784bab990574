"""The databases that definitions may name, connected to when the first action asks for one."""

import warnings
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Final
from urllib.parse import parse_qsl, unquote

import pymongo
from bson.codec_options import DatetimeConversion
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from runner_svc.actions.extended_json import Raw
from shared.domain.secrets import Redactor
from shared.ports.actions import PermanentError

Connect = Callable[[str], AsyncMongoClient[Raw]]
_GOODBYE_SECONDS: Final = 2
_LONGEST: Final = 1000
_SECRET_OPTIONS: Final = frozenset({"authmechanismproperties", "tlscertificatekeyfilepassword"})


def connect(uri: str) -> AsyncMongoClient[Raw]:
    """Return a client, which connects when it is first used."""
    return AsyncMongoClient(
        uri,
        appname="runner-svc",
        tz_aware=True,
        tzinfo=UTC,
        # A date beyond the year 9999 is still an answer.
        datetime_conversion=DatetimeConversion.DATETIME_AUTO,
        connectTimeoutMS=5_000,
        maxPoolSize=100,
    )


class MongodbConnections:
    """One client per name, made when it is first asked for. Close it at the end."""

    def __init__(self, uris: Mapping[str, str], connect: Connect = connect) -> None:
        self._uris = uris
        self._connect = connect
        self._clients: dict[str, AsyncMongoClient[Raw]] = {}
        self._redactor = Redactor({part for uri in uris.values() for part in _secrets(uri)})

    def client(self, name: str) -> AsyncMongoClient[Raw]:
        """Return the client of a connection. Raises a permanent ActionError if there is none."""
        if name not in self._clients:
            self._clients[name] = self._made(name)
        return self._clients[name]

    def redacted(self, text: str) -> str:
        """Return a text without any part of an address that is a credential."""
        return self._redactor.text(text)

    async def close(self) -> None:
        """Close every client. Saying goodbye to a server that is away is given up soon."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            with pymongo.timeout(_GOODBYE_SECONDS):
                await client.close()

    def _made(self, name: str) -> AsyncMongoClient[Raw]:
        variable = f"MONGODB_CONNECTION_{name.upper()}"
        if name not in self._uris:
            known = ", ".join(f"'{known}'" for known in sorted(self._uris))[:_LONGEST] or "none"
            raise PermanentError(
                f"there is no MongoDB connection '{name}'; known: {known}. "
                f"Set {variable} on the runner to the address of the database"
            )
        try:
            with warnings.catch_warnings():
                # Otherwise the driver leaves out an option that it does not understand.
                warnings.simplefilter("error", UserWarning)
                return self._connect(self._uris[name])
        except (PyMongoError, ValueError, TypeError, UserWarning):
            # What the driver says of a malformed address may quote the password in it.
            raise PermanentError(
                f"{variable} on the runner is not a MongoDB address, such as "
                "mongodb://user:password@host:27017/?replicaSet=rs0"
            ) from None


def _secrets(uri: str) -> set[str]:
    """Return what must never be shown of an address: its password, and options that hold one.

    Found by hand, as an address of several hosts is none that `urlsplit` has to understand.
    """
    authority = uri.partition("://")[2].partition("/")[0]
    password = authority.rpartition("@")[0].partition(":")[2]
    options = {
        value for key, value in parse_qsl(uri.partition("?")[2]) if key.lower() in _SECRET_OPTIONS
    }
    return {secret for secret in {password, unquote(password), *options} if secret}
