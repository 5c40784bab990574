import ipaddress
import socket

import pytest
from aiohttp.abc import ResolveResult

from runner_svc.actions.destinations import (
    ForbiddenDestination,
    GuardedResolver,
    check_literal,
    is_public,
)

INSIDE = [
    "127.0.0.1", "127.8.9.10", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1",
    "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::",
    "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "fec0::1", "::7f00:1", "::ffff:0:7f00:1",
]  # fmt: skip
OUTSIDE = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    with pytest.raises(ForbiddenDestination, match="HTTP_ALLOW_PRIVATE_ADDRESSES"):
        check_literal(f"[{address}]" if ":" in address else address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    check_literal(address)


class Changing:
    """A name server whose answer changes from one question to the next."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def resolve(self, host: str, port: int, family: int) -> list[ResolveResult]:
        found = self.answers.pop(0)
        return [ResolveResult(hostname=host, host=a, port=port, family=family, proto=0, flags=0)
                for a in found]  # fmt: skip


async def test_each_answer_of_a_name_server_is_checked_where_it_is_used() -> None:
    resolver = GuardedResolver()
    resolver._resolver = Changing(["8.8.8.8"], ["127.0.0.1"], ["8.8.8.8", "10.0.0.1"])  # type: ignore[assignment]
    (found,) = await resolver.resolve("example.com", 80, socket.AF_INET)
    assert found["host"] == "8.8.8.8"
    for _ in range(2):
        with pytest.raises(ForbiddenDestination, match=r"example\.com"):
            await resolver.resolve("example.com", 80, socket.AF_INET)
