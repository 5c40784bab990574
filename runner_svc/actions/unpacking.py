"""Unpacking a response body no further than it will be read: 1 kB can unpack to 1 GB."""

import zlib
from collections.abc import Callable
from typing import Final

from shared.ports.actions import ActionError

_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS
Unpack = Callable[[bytes, int], bytes]
"""Takes packed bytes and how many unpacked ones are wanted at most."""


def unpacking(content_encoding: str | None) -> Unpack:
    """Return how to unpack a body. What is packed otherwise, or twice, is taken as it is.

    What is returned raises ActionError (recoverable) for a body that is broken.
    """
    if (content_encoding or "").strip().lower() not in {"gzip", "x-gzip", "deflate"}:
        return lambda chunk, most: chunk[:most]
    unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)

    def unpack(chunk: bytes, most: int) -> bytes:
        try:
            return unpacker.decompress(chunk, most) if most > 0 else b""
        except zlib.error as error:
            raise ActionError("the body is not packed as its Content-Encoding says") from error

    return unpack
