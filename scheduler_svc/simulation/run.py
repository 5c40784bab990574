"""Simulating schedules: the code that fires workflows, over time that passes in leaps."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from scheduler_svc.agenda import Agenda
from scheduler_svc.simulation.runners import SimulatedRunners
from scheduler_svc.use_cases.fire import FireDueWorkflows
from shared.ports.workflows import Upcoming, WorkflowRepository

MOST_LOOKS: Final = 100_000
"""So often workflows are looked at; what is kept of each occurrence has to fit into memory."""

_ALL: Final = 2**31


@dataclass(slots=True)
class Simulation:
    """Schedulers and runners that are never late, and never down.

    `leap` sets the clock: from one instant at which something happens to the next.
    """

    workflows: WorkflowRepository
    fire: FireDueWorkflows
    runners: SimulatedRunners
    leap: Callable[[datetime], None]
    most_looks: int = MOST_LOOKS
    _agenda: Agenda[Upcoming] = field(default_factory=Agenda, init=False)

    async def run(self, until: datetime) -> datetime | None:
        """Let time pass until an instant; return the one to come if that took too many looks."""
        for item in await self.workflows.due(until, None, _ALL):
            self._agenda.put(item.next_run_at, item)
        looks = 0
        while (at := self._next_instant()) is not None and at <= until:
            if looks >= self.most_looks:
                return at
            self.leap(at)
            # What ends at an instant is in nobody's way at that instant.
            await self.fire.promote(await self.runners.end())
            items = self._agenda.take_due(at, _ALL)
            looks += len(items)
            for following in await self.fire(items) if items else ():
                self._agenda.put(following.next_run_at, following)
        return None

    def _next_instant(self) -> datetime | None:
        instants = (self._agenda.next_instant, self.runners.next_end)
        return min((at for at in instants if at is not None), default=None)
