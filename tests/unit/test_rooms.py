"""Every line lives in its room: what may import what, and what a file may be."""

from collections import Counter

import pytest

from tests.unit.rooms import (
    Rule,
    Source,
    does_no_io,
    has_at_most,
    has_functions_of_at_most,
    imports_at_the_top,
    imports_none_of,
    imports_only,
    inside,
    is_synchronous,
    reads_no_wall_clock,
    says_what_it_is_for,
    sources_in,
)

SERVICES = ("workflows_svc", "scheduler_svc", "runner_svc")
PROJECT = ("shared", *SERVICES, "local")
USE_CASES = tuple(f"{place}/use_cases" for place in ("shared", *SERVICES))
DRIVERS = ("cel", "pymongo", "beanie", "bson", "gridfs", "motor", "aiokafka")
WEB = ("fastapi", "starlette", "uvicorn", "httpx", "httpx_aiohttp", "aiohttp")
EDGES = ("bootstrap", "app", "api", "worker", "actions", "ticker", "settings", "__main__")
IMPURE = (
    *("asyncio", "concurrent", "contextvars", "ctypes", "email", "getpass", "http", "importlib"),
    *("io", "locale", "logging", "multiprocessing", "os", "pathlib", "platform", "queue", "random"),
    *("sched", "secrets", "select", "selectors", "shutil", "signal", "smtplib", "socket", "ssl"),
    *("sqlite3", "subprocess", "sys", "tempfile", "threading", "time", "urllib.request", "uuid"),
    *("warnings", "zoneinfo"),
)
DOMAIN = inside("shared/domain")
EVERYWHERE = inside(*PROJECT, "tests")

RULES = {
    "the domain imports nothing that acts": Rule(
        DOMAIN,
        imports_only(("shared.domain", "pydantic", "pydantic_core"), stdlib_but=IMPURE),
        exceptions={
            # What cron expressions mean; it computes, and does nothing else.
            "shared/domain/cron.py: imports cronsim.",
            "shared/domain/cron_days.py: imports cronsim.",
            "shared/domain/cron_mistakes.py: imports cronsim.",
            # The rules of time zones are data in a package: the same wherever they are read.
            "shared/domain/zones.py: imports importlib.resources.",
            "shared/domain/zones.py: imports tzdata.",
            "shared/domain/zones.py: imports zoneinfo.",
        },
    ),
    "the domain waits for nothing": Rule(DOMAIN, is_synchronous),
    "the domain reads and writes nothing": Rule(DOMAIN, does_no_io),
    "the domain knows no present": Rule(DOMAIN, reads_no_wall_clock),
    "ports know the domain alone": Rule(
        inside("shared/ports"),
        imports_only(("shared.domain", "shared.ports", "pydantic.JsonValue"), stdlib_but=()),
    ),
    "contracts know the domain and the ports": Rule(
        inside("shared/contracts"),
        imports_only(
            ("shared.domain", "shared.ports", "shared.contracts", "pydantic", "pydantic_core"),
            stdlib_but=IMPURE,
        ),
    ),
    "only adapters and actions know drivers": Rule(
        # An action is an effect that a user asked for, on a system that is not the platform's own.
        lambda source: (
            inside(*PROJECT)(source) and not inside("shared/adapters", "runner_svc/actions")(source)
        ),
        imports_none_of(*DRIVERS),
        exceptions={
            # It turns the mongod it has just started into a replica set; no service is there yet.
            "local/mongod.py: imports pymongo.",
        },
    ),
    "adapters point at ports": Rule(
        inside("shared/adapters"),
        imports_none_of(*SERVICES, "local", "shared.runtime", "shared.bootstrap", "tests"),
    ),
    "the adapters of MongoDB know no other driver": Rule(
        inside("shared/adapters/mongo"),
        imports_none_of("aiokafka", "shared.adapters.kafka", "shared.adapters.memory"),
    ),
    "the adapters of Kafka know no other driver": Rule(
        inside("shared/adapters/kafka"),
        imports_none_of(*DRIVERS[:-1], "shared.adapters.mongo", "shared.adapters.memory"),
    ),
    "the adapters in memory know no driver": Rule(
        inside("shared/adapters/memory", "shared/adapters/system"),
        imports_none_of(*DRIVERS, "shared.adapters.mongo", "shared.adapters.kafka"),
    ),
    "only bootstrap names adapters": Rule(
        lambda source: (
            inside(*PROJECT)(source)
            and not inside("shared/adapters")(source)
            and source.name != "bootstrap.py"
        ),
        imports_none_of("shared.adapters"),
    ),
    "the runtime serves any service": Rule(
        inside("shared/runtime"),
        imports_none_of(*SERVICES, "local", "shared.adapters", "shared.bootstrap", "tests"),
    ),
    "what is shared knows no service": Rule(
        inside("shared"), imports_none_of(*SERVICES, "local", "tests")
    ),
    "the workflows service knows no other": Rule(
        inside("workflows_svc"), imports_none_of("scheduler_svc", "runner_svc", "local", "tests")
    ),
    "the scheduler knows no other service": Rule(
        inside("scheduler_svc"), imports_none_of("workflows_svc", "runner_svc", "local", "tests")
    ),
    "the runner knows no other service": Rule(
        inside("runner_svc"), imports_none_of("workflows_svc", "scheduler_svc", "local", "tests")
    ),
    "the all-in-one imports no service": Rule(inside("local"), imports_none_of(*SERVICES, "tests")),
    "use cases know neither drivers nor edges": Rule(
        inside(*USE_CASES),
        imports_none_of(
            *("shared.adapters", "shared.bootstrap", "shared.runtime", "shared.contracts"),
            *DRIVERS,
            *WEB,
            *(f"{service}.{edge}" for service in SERVICES for edge in EDGES),
        ),
    ),
    "the wall clock is read once": Rule(
        inside(*PROJECT),
        reads_no_wall_clock,
        # The system's clock starts from it, and then follows the database's.
        exceptions={"shared/adapters/system/clock.py: reads time.time_ns"},
    ),
    "imports stand at the top": Rule(EVERYWHERE, imports_at_the_top),
    "names say what a module is for": Rule(EVERYWHERE, says_what_it_is_for),
    "no file is longer than 350 lines": Rule(
        EVERYWHERE,
        has_at_most(350),
    ),
    "no function is longer than 55 lines": Rule(
        EVERYWHERE,
        has_functions_of_at_most(55),
    ),
}
OFFENDERS = [
    ("the domain imports nothing that acts", "shared/domain/x.py", "import random"),
    ("the domain imports nothing that acts", "shared/domain/x.py", "from os import environ"),
    ("the domain imports nothing that acts", "shared/domain/x.py", "import structlog"),
    ("the domain imports nothing that acts", "shared/domain/x.py", "from shared.ports import bus"),
    ("the domain imports nothing that acts", "shared/domain/x.py", "from ..ports import bus"),
    ("the domain waits for nothing", "shared/domain/x.py", "async def f(): ..."),
    ("the domain reads and writes nothing", "shared/domain/x.py", "open('file')"),
    (
        "the domain knows no present",
        "shared/domain/x.py",
        "from datetime import datetime\ndatetime.now()",
    ),
    ("ports know the domain alone", "shared/ports/x.py", "from pydantic import BaseModel"),
    ("ports know the domain alone", "shared/ports/x.py", "from shared import contracts"),
    ("contracts know the domain and the ports", "shared/contracts/x.py", "import shared.runtime.y"),
    ("contracts know the domain and the ports", "shared/contracts/x.py", "import fastapi"),
    ("only adapters and actions know drivers", "shared/runtime/x.py", "from bson import ObjectId"),
    ("only adapters and actions know drivers", "runner_svc/worker/x.py", "import aiokafka.errors"),
    ("only adapters and actions know drivers", "local/mongod.py", "import beanie"),
    ("adapters point at ports", "shared/adapters/mongo/x.py", "from shared.runtime import health"),
    ("adapters point at ports", "shared/adapters/kafka/x.py", "import runner_svc.metrics"),
    (
        "the adapters of MongoDB know no other driver",
        "shared/adapters/mongo/x.py",
        "import aiokafka",
    ),
    ("the adapters of Kafka know no other driver", "shared/adapters/kafka/x.py", "import pymongo"),
    ("the adapters in memory know no driver", "shared/adapters/memory/x.py", "import bson"),
    ("only adapters and actions know drivers", "shared/domain/x.py", "import cel"),
    ("only bootstrap names adapters", "runner_svc/use_cases/x.py", "import shared.adapters.memory"),
    ("only bootstrap names adapters", "local/x.py", "from shared import adapters"),
    ("the runtime serves any service", "shared/runtime/x.py", "from scheduler_svc import ticker"),
    ("what is shared knows no service", "shared/bootstrap.py", "import local.console"),
    (
        "the workflows service knows no other",
        "workflows_svc/api/x.py",
        "import runner_svc.registry",
    ),
    ("the scheduler knows no other service", "scheduler_svc/x.py", "import workflows_svc"),
    ("the runner knows no other service", "runner_svc/x.py", "from scheduler_svc.agenda import A"),
    ("the all-in-one imports no service", "local/x.py", "import workflows_svc.app"),
    ("use cases know neither drivers nor edges", "runner_svc/use_cases/x.py", "import httpx"),
    (
        "use cases know neither drivers nor edges",
        "scheduler_svc/use_cases/x.py",
        "from scheduler_svc import bootstrap",
    ),
    (
        "use cases know neither drivers nor edges",
        "workflows_svc/use_cases/x.py",
        "from ..api import problems",
    ),
    ("the wall clock is read once", "runner_svc/x.py", "import time\nasked = time.time"),
    ("the wall clock is read once", "local/x.py", "from time import time as t\nt()"),
    ("the wall clock is read once", "shared/x.py", "import datetime as d\nd.datetime.utcnow()"),
    ("the wall clock is read once", "shared/x.py", "from datetime import date\ndate.today()"),
    ("imports stand at the top", "shared/x.py", "def f():\n    import json"),
    (
        "imports stand at the top",
        "tests/x.py",
        "class A:\n    def f(self):\n        from a import b",
    ),
    ("imports stand at the top", "local/x.py", "import importlib\nimportlib.import_module('x')"),
    ("names say what a module is for", "shared/runtime/utils.py", ""),
    ("names say what a module is for", "local/common/x.py", ""),
    ("names say what a module is for", "tests/unit/test_helpers.py", ""),
    ("no file is longer than 350 lines", "tests/x.py", "\n" * 351),
    ("no function is longer than 55 lines", "tests/x.py", "def f():\n" + "    1\n" * 55),
    ("no function is longer than 55 lines", "tests/x.py", "async def f():\n" + "    1\n" * 55),
]
INNOCENTS = [
    (
        "shared/domain/x.py",
        "import json\nfrom urllib.parse import quote\nfrom shared.domain import y",
    ),
    ("shared/ports/x.py", "from typing import Protocol\nfrom pydantic import JsonValue"),
    ("shared/adapters/mongo/x.py", "import pymongo\nfrom shared.ports.bus import Record"),
    ("runner_svc/bootstrap.py", "from shared.adapters.mongo.workflows import MongoWorkflows"),
    ("runner_svc/actions/x.py", "import pymongo\nfrom aiokafka import AIOKafkaProducer"),
    ("runner_svc/x.py", "import time\ntime.monotonic()\nself.clock.now()\nclock.time.time()"),
    ("scheduler_svc/use_cases/x.py", "import asyncio\nfrom scheduler_svc.metrics import M"),
    ("tests/x.py", "\n" * 350),
    ("tests/x.py", "def f():\n" + "    1\n" * 54),
]


@pytest.fixture(scope="module")
def sources() -> list[Source]:
    return sources_in(*PROJECT, "tests")


@pytest.mark.parametrize("name", RULES)
def test_a_rule_holds_in_the_whole_project(name: str, sources: list[Source]) -> None:
    assert RULES[name].offences(sources) == []


@pytest.mark.parametrize(("name", "path", "text"), OFFENDERS)
def test_whoever_breaks_a_rule_is_found(name: str, path: str, text: str) -> None:
    assert RULES[name].offences([Source(path, text)])


@pytest.mark.parametrize(("path", "text"), INNOCENTS)
def test_whoever_keeps_to_the_rules_is_left_alone(path: str, text: str) -> None:
    assert [rule.offences([Source(path, text)]) for rule in RULES.values()] == [[]] * len(RULES)


def test_every_rule_is_shown_to_find_something() -> None:
    assert Counter(name for name, _, _ in OFFENDERS).keys() == RULES.keys()


@pytest.mark.parametrize("name", RULES)
def test_every_rule_has_files_to_look_at(name: str, sources: list[Source]) -> None:
    assert any(map(RULES[name].where, sources))


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.exceptions])
def test_no_exception_outlives_its_reason(name: str, sources: list[Source]) -> None:
    assert RULES[name].unused_exceptions(sources) == set()


def test_the_wall_clock_is_read_in_exactly_one_place(sources: list[Source]) -> None:
    strict = Rule(inside(*PROJECT), reads_no_wall_clock)
    (read,) = strict.offences(sources)
    assert read.startswith("shared/adapters/system/clock.py:")
    assert read.endswith(": reads time.time_ns")
