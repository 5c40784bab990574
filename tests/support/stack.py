"""The three services as processes, against the shared servers, with names of their own."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from local.processes import ChildProcess
from local.services import EMBEDDED_BROKER
from tests.support.servers import brokers, mongodb_uri
from tests.support.waiting import PATIENCE, eventually

PLUGIN: Final = Path(__file__).with_name("plugin")
ENDED: Final = frozenset({"completed", "failed", "cancelled", "skipped"})
QUICK: Final = {
    "POLL_INTERVAL": "500ms",
    "LEASE": "60s",
    "LEASE_RENEWAL": "5s",
    "RESEND": "2s",
    "RESEND_MAX": "4s",
    "DRAIN": "5s",
    "MONGODB_TIMEOUT": "20s",
}
"""The waits of the defaults, cut down, so that a test need not last minutes.

Not so what a busy machine could miss: a runner that gets no time for seconds keeps its lease,
and a database that is slow is not taken for one that is away.
"""
EASY_BROKER: Final = {**EMBEDDED_BROKER, "KAFKA_FETCH_MAX_WAIT": "40ms"}
"""Four times as patient as locally: several platforms at once leave the broker time to work."""

SHORT_LEASE: Final = {"LEASE": "6s", "LEASE_RENEWAL": "1s"}
"""For tests that kill a runner and wait for its lease to end."""

STOP_SECONDS: Final = 60
"""How long a service that was asked to stop may take before it is killed, which fails a test."""

Json = dict[str, Any]


@dataclass(slots=True)
class Service:
    """One process of one service, and the lines it has logged."""

    name: str
    env: Mapping[str, str]
    command: Sequence[str] = ()
    lines: list[Json] = field(default_factory=list)
    _process: ChildProcess | None = None

    def start(self) -> None:
        """Start it, again if need be; the log goes on."""
        self.lines.append({"event": "test.started"})
        command = self.command or [sys.executable, "-m", f"{self.name}_svc"]
        self._process = ChildProcess(self.name, command, self.env, sink=self._log)
        self._process.start()

    @property
    def process(self) -> ChildProcess:
        assert self._process is not None, f"{self.name} was not started"
        return self._process

    @property
    def url(self) -> str | None:
        """Where it listens, as it said since its last start."""
        for line in reversed(self.lines):
            if line["event"] == "test.started":
                return None
            if line["event"] == "service.listening":
                return str(line["address"])
        return None

    def logged(self, event: str, **fields: Any) -> list[Json]:
        """Return the logged lines with this event and these fields."""
        return [
            line
            for line in list(self.lines)
            if line["event"] == event and fields.items() <= line.items()
        ]

    async def readiness(self) -> int:
        """Return the status of its readiness, 0 while it does not answer."""
        if self.url is None:
            return 0
        async with httpx.AsyncClient() as client:
            try:
                return (await client.get(f"{self.url}/health/ready", timeout=10)).status_code
            except httpx.TransportError:
                return 0

    async def metric(self, name: str) -> float:
        """Return the value of one of its metrics, named with its labels; 0 if it has none yet."""
        async with httpx.AsyncClient() as client:
            page = (await client.get(f"{self.url}/metrics", timeout=PATIENCE)).text
        values = (line.rpartition(" ") for line in page.splitlines())
        return next((float(value) for key, _, value in values if key == name), 0.0)

    async def stop(self) -> int | None:
        """Ask it to stop; returns its exit code."""
        self.process.signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, STOP_SECONDS)

    def _log(self, _: str, text: str) -> None:
        try:
            self.lines.append(json.loads(text))
        except ValueError:
            self.lines.append({"event": "test.unparsed", "text": text})


class Stack:
    """A whole platform for one test or one group of tests."""

    def __init__(
        self,
        broker: str,
        unique: str,
        settings: Mapping[str, str],
        *,
        mongodb: str | None = None,
        kafka: str | None = None,
    ) -> None:
        paths = [str(PLUGIN), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        self.env = {
            "MONGODB_URI": mongodb or mongodb_uri(),
            "MONGODB_DATABASE": f"test-{unique}",
            "KAFKA_BOOTSTRAP_SERVERS": kafka or brokers()[broker],
            "KAFKA_TOPIC_PREFIX": f"{unique}-",
            "HTTP_ALLOW_PRIVATE_ADDRESSES": "true",
            "LOG_FORMAT": "json",
            "PORT": "0",
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            **(EASY_BROKER if broker == "tansu" else {}),
            **settings,
        }
        self.services: dict[str, Service] = {}
        # A connection that is kept may be closed by the server just as it is used again.
        unkept = httpx.Limits(max_keepalive_connections=0)
        self.client = httpx.AsyncClient(timeout=PATIENCE, limits=unkept)

    @property
    def workflows(self) -> Service:
        return self.services["workflows"]

    @property
    def scheduler(self) -> Service:
        return self.services["scheduler"]

    @property
    def runner(self) -> Service:
        return self.services["runner"]

    def add(self, name: str, label: str | None = None, **env: str) -> Service:
        """Add a process of a service and start it; `label` tells a second one from the first."""
        service = Service(name, {**self.env, **env})
        self.services[label or name] = service
        service.start()
        return service

    async def start(self, *names: str) -> None:
        """Start one process of each service (or of those named) and wait until they are ready."""
        for name in names or ("workflows", "scheduler", "runner"):
            self.add(name)
        await self.ready()

    async def ready(self) -> None:
        """Wait until every process is ready."""

        async def unready() -> dict[str, int]:
            states = {label: await s.readiness() for label, s in self.services.items()}
            return {label: status for label, status in states.items() if status != 200}

        try:
            await eventually(unready, lambda missing: not missing)
        except AssertionError as error:
            tails = {label: s.lines[-15:] for label, s in self.services.items()}
            raise AssertionError(f"{error}\n{json.dumps(tails, indent=1)}") from error

    async def stop(self) -> list[int | None]:
        """Ask every process to stop, all at once; returns their exit codes."""
        return await asyncio.gather(*(service.stop() for service in self.services.values()))

    async def close(self) -> None:
        """End every process."""
        for service in self.services.values():
            service.process.signal(signal.SIGTERM)
        for service in self.services.values():
            await asyncio.to_thread(service.process.wait, 10)
        await self.client.aclose()

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request to the API."""
        return await self.client.request(method, f"{self.workflows.url}{path}", **options)

    async def create(self, definition: Json) -> Json:
        """Create a workflow; returns it as the API shows it."""
        response = await self.request("POST", "/workflows", json=definition)
        assert response.status_code == 201, response.text
        created: Json = response.json()
        return created

    async def trigger(self, workflow_id: str, **options: Any) -> str:
        """Trigger a workflow; returns the execution's id."""
        response = await self.request("POST", f"/workflows/{workflow_id}/trigger", **options)
        assert response.status_code == 202, response.text
        return str(response.json()["executionId"])

    async def execution(self, execution_id: str) -> Json:
        """Return an execution as the API shows it."""
        response = await self.request("GET", f"/executions/{execution_id}")
        assert response.status_code == 200, response.text
        found: Json = response.json()
        return found

    async def executions(self, **params: Any) -> list[Json]:
        """Return all executions that match, newest first."""
        found: list[Json] = []
        query = {"limit": 200, **params}
        while True:
            response = await self.request("GET", "/executions", params=query)
            assert response.status_code == 200, response.text
            page = response.json()
            found += page["items"]
            if "nextCursor" not in page:
                return found
            query["cursor"] = page["nextCursor"]

    async def status(self, workflow_id: str) -> str:
        """Return the status of a workflow's trigger."""
        response = await self.request("GET", f"/workflows/{workflow_id}")
        assert response.status_code == 200, response.text
        return str(response.json()["trigger"]["status"])

    async def reaches(self, execution_id: str, *statuses: str, within: float = PATIENCE) -> Json:
        """Wait until an execution has one of the statuses; returns it."""
        return await eventually(
            lambda: self.execution(execution_id),
            lambda execution: execution["status"] in statuses,
            within=within,
        )

    async def ends(self, execution_id: str, within: float = PATIENCE) -> Json:
        """Wait until an execution has ended; returns it."""
        return await self.reaches(execution_id, *ENDED, within=within)


def events(execution: Json) -> list[str]:
    """Return the types of an execution's events."""
    return [event["type"] for event in execution["history"]]


def log_action(message: str = "hi", **more: Any) -> Json:
    """Return a log action."""
    return {"type": "log", "message": message, **more}


def manual(workflow_id: str, *actions: Json, **more: Any) -> Json:
    """Return a manual workflow."""
    return {
        "workflowId": workflow_id,
        "trigger": {"type": "manual"},
        "actions": list(actions) or [log_action()],
        **more,
    }


def periodic(workflow_id: str, interval: str, *actions: Json, **more: Any) -> Json:
    """Return a periodic workflow."""
    trigger = {"type": "periodic", "interval": interval}
    return {**manual(workflow_id, *actions, **more), "trigger": trigger}


def quick_retry(retries: int = 3, initial: str = "100ms") -> Json:
    """Return a retry policy that does not keep a test waiting."""
    return {"retries": retries, "backoff": {"initial": initial, "factor": 2, "jitter": 0}}


def now() -> float:
    """Return the machine's wall clock, to compare with instants of the API."""
    return time.time()
