"""Actions for tests, installed as any third party would: through entry points."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from shared.domain.catalogue import Effect
from shared.domain.definition import ActionDefinition
from shared.ports.actions import Action, ActionContext


class JournalAction(ActionDefinition):
    """Notes every run in a file, one line each, then takes its time."""

    type: Literal["journal"]
    file: str
    seconds: Annotated[float, Field(ge=0)] = 0


class KillRunnerAction(ActionDefinition):
    """Kills the runner that runs it."""

    type: Literal["kill-runner"]


class OddOutputAction(ActionDefinition):
    """Returns something that no database keeps."""

    type: Literal["odd-output"]
    kind: Literal["int70", "surrogate", "20MB", "fine"]


class PayOnceAction(ActionDefinition):
    """Notes that it was called. The first call of all never returns, any further one does."""

    type: Literal["pay-once"]
    file: str


async def _journal(params: JournalAction, context: ActionContext) -> JsonValue:
    line = f"{time.time():.6f} {context.execution_id} {context.action_id} {context.attempt}\n"
    descriptor = os.open(params.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
    if params.seconds:
        await asyncio.sleep(params.seconds)
    return None


async def _kill_runner(_: KillRunnerAction, __: ActionContext) -> JsonValue:
    os.kill(os.getpid(), signal.SIGKILL)
    return None


async def _odd_output(params: OddOutputAction, _: ActionContext) -> JsonValue:
    outputs: dict[str, JsonValue] = {
        "int70": 2**70,
        "surrogate": "\ud800",
        "20MB": "x" * (20 * 2**20),
        "fine": "fine",
    }
    return {"value": outputs[params.kind]}


async def _pay_once(params: PayOnceAction, context: ActionContext) -> JsonValue:
    first = not Path(params.file).exists()  # noqa: ASYNC240 - a test may wait for a disk
    await _journal(JournalAction(type="journal", file=params.file), context)
    if first:
        await asyncio.Event().wait()
    return {"paid": True}


JOURNAL = Action(JournalAction, _journal)
KILL_RUNNER = Action(KillRunnerAction, _kill_runner)
ODD_OUTPUT = Action(OddOutputAction, _odd_output)
PAY_ONCE = Action(PayOnceAction, _pay_once, Effect.AT_MOST_ONCE)
