"""Starts the servers once per run and hands out databases, clocks and builders."""

import signal
import uuid
from collections.abc import AsyncIterator

import pytest

from shared.adapters.memory.clock import ManualClock
from shared.adapters.mongo.connection import MongoConnection, MongoSettings
from shared.domain.durations import parse_duration
from tests.support.servers import Servers, brokers, mongodb_uri

_SERVERS = pytest.StashKey[Servers]()
_SHARED_PLATFORMS = {"stack", "field"}
"""The fixtures that are started once for many tests."""


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers in the process that starts the run; its workers inherit the addresses."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As a shell has it for what runs in the background; the processes under test inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    only_unit = config.args and all("tests/unit" in arg for arg in config.args)
    if hasattr(config, "workerinput") or only_unit or config.option.collectonly:
        return
    servers = Servers()
    config.stash[_SERVERS] = servers
    servers.start()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers."""
    if servers := config.stash.get(_SERVERS, None):
        servers.stop()


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Name the servers that the run uses."""
    servers = config.stash.get(_SERVERS, None)
    return servers.remarks if servers else []


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Repeat at the end which brokers the run used."""
    if servers := config.stash.get(_SERVERS, None):
        terminalreporter.section("servers")
        for remark in servers.remarks:
            terminalreporter.line(remark)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `broker` against each there is, or one if any is as good."""
    if "broker" not in metafunc.fixturenames:
        return
    names = list(brokers()) or ["none"]
    if metafunc.definition.get_closest_marker("one_broker"):
        names = names[:1]
    metafunc.parametrize("broker", names, scope="session", indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that share a platform on one worker, or a module of them if there are many."""
    one = next(iter(brokers()), "none")
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        for platform in _SHARED_PLATFORMS.intersection(item.fixturenames):
            broker = item.callspec.params["broker"]
            part = f"-{item.path.stem}" if (platform, broker) == ("stack", one) else ""
            item.add_marker(pytest.mark.xdist_group(f"{platform}-{broker}{part}"))


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest) -> str:
    """The name of the broker this test runs against; its address is `brokers()[name]`."""
    name: str = request.param
    if name not in brokers():
        pytest.fail("no broker could be started on this machine; see the head of this run")
    return name


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still until it is advanced."""
    return ManualClock()


@pytest.fixture
def unique() -> str:
    """A short string that no other test has."""
    return uuid.uuid4().hex[:12]


@pytest.fixture
async def mongo(unique: str) -> AsyncIterator[MongoConnection]:
    """A connection to an empty database of its own."""
    settings = MongoSettings(mongodb_uri(), f"test-{unique}", parse_duration("60s"))
    connection = MongoConnection(settings, "tests")
    await connection.open()
    yield connection
    await connection.drop()
    await connection.close()
