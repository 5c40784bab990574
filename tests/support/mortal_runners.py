"""Runner processes, each killed (SIGKILL) at an event of one execution, as a folder tells.

A file in the folder is named after a workflow and holds the number of an event of its
execution. The runner that writes this event (or the last one, if there are fewer) takes
the file away and is killed before it can act on the write. Event 1 is not a runner's, so
there it is the runner that is about to write the next one.

Each runner does what `python -m runner_svc` does, in a process forked from one that has
done its imports: these take seconds on a slow machine. A runner that was killed is replaced.
"""

import gc
import json
import os
import signal
import sys
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final
from unittest.mock import patch

from pymongo.asynchronous.collection import AsyncCollection

import shared.bootstrap
from runner_svc.__main__ import main
from shared.adapters.mongo.connection import Raw
from shared.adapters.mongo.executions import MongoExecutions
from shared.domain.execution import UNFINISHED, Lease
from shared.ports.executions import Change, Claim, RecordOutcome
from shared.runtime.lifecycle import run

_BEYOND_ALL: Final = sys.maxsize


def mortal_runners(count: int, folder: Path) -> list[str]:
    """Return the command that keeps so many runners running."""
    return [sys.executable, "-m", __name__, str(count), str(folder)]


class MortalExecutions(MongoExecutions):
    """A storage whose user is killed by what it writes."""

    def __init__(self, collection: AsyncCollection[Raw], folder: Path) -> None:
        super().__init__(collection)
        self._folder = folder

    async def claim(self, ids: Sequence[str], lease: Lease, now: datetime) -> Claim:
        for execution_id in ids:
            _, workflow_id, _ = execution_id.split(":", 2)
            self._die_among(workflow_id, 1, 1)
        claim = await super().claim(ids, lease, now)
        for won in claim.won:
            self._die_among(won.workflow_id, won.seq, won.seq)
        return claim

    async def record(self, changes: Sequence[Change]) -> list[RecordOutcome]:
        outcomes = await super().record(changes)
        for change, outcome in zip(changes, outcomes, strict=True):
            if outcome is RecordOutcome.APPLIED:
                after = change.after
                last = after.seq if after.status in UNFINISHED else _BEYOND_ALL
                self._die_among(after.workflow_id, change.before.seq + 1, last)
        return outcomes

    def _die_among(self, workflow_id: str, first: int, last: int) -> None:
        """Kill this process if its hour is one of these events."""
        file = self._folder / workflow_id
        if file.exists() and first <= int(file.read_text()) <= last:
            file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


def keep_running(count: int, folder: Path) -> None:
    """Start runners and replace those that were killed, until SIGTERM, which kills them all."""
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    gc.freeze()  # a collection in each of the forks would copy all that they share
    mortal = partial(MortalExecutions, folder=folder)
    with patch.object(shared.bootstrap, "MongoExecutions", mortal):
        for _ in range(count):
            _fork()
        while True:
            pid, status = os.wait()
            code = os.waitstatus_to_exitcode(status)
            sys.stdout.write(json.dumps({"event": "test.ended", "pid": pid, "code": code}) + "\n")
            sys.stdout.flush()
            if code == -signal.SIGKILL:
                _fork()


def _fork() -> None:
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        run(main)
        sys.exit()


if __name__ == "__main__":
    keep_running(int(sys.argv[1]), Path(sys.argv[2]))
