import gzip
import zlib

import pytest

from runner_svc.actions.unpacking import unpacking
from shared.ports.actions import ActionError

TEXT = b"hello " * 100


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        (None, TEXT),
        ("identity", TEXT),
        ("gzip", gzip.compress(TEXT)),
        (" GZIP ", gzip.compress(TEXT)),
        ("deflate", zlib.compress(TEXT)),
    ],
    ids=["not named", "identity", "gzip", "padded and in capitals", "deflate"],
)
def test_a_body_is_unpacked_as_it_was_packed(encoding: str | None, packed: bytes) -> None:
    unpack = unpacking(encoding)
    chunks = [packed[start : start + 7] for start in range(0, len(packed), 7)]
    assert b"".join(unpack(chunk, 10_000) for chunk in chunks) == TEXT


def test_no_more_is_unpacked_than_is_wanted() -> None:
    bomb = gzip.compress(b"\0" * 100_000_000)
    unpack = unpacking("gzip")
    assert unpack(bomb, 1000) == b"\0" * 1000
    assert unpack(bomb, 0) == b""


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "nonsense"])
def test_what_cannot_be_unpacked_within_bounds_is_taken_as_it_is(encoding: str) -> None:
    twice = gzip.compress(gzip.compress(b"\0" * 1_000_000))
    assert unpacking(encoding)(twice, 100) == twice[:100]


def test_a_body_that_is_not_what_it_says_is_an_error() -> None:
    with pytest.raises(ActionError, match="Content-Encoding"):
        unpacking("gzip")(b"plain text", 100)
