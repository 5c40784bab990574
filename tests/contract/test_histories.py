"""Long histories, in every storage: no event is lost, and all are in order."""

from datetime import timedelta

from shared.domain import transitions
from shared.domain.execution import EventType, Execution
from shared.ports.executions import Change, ExecutionQuery, ExecutionRepository, RecordOutcome
from tests.contract.steps import claimed, stored
from tests.support.builders import NOW, TENANT, queued

RETENTION = timedelta(days=30)


async def test_a_long_history_keeps_every_event_in_order(executions: ExecutionRepository) -> None:
    found = await stored(executions, await _ended_after_much(executions))
    assert [event.seq for event in found.history] == list(range(1, 394))
    assert found.history[-1].type is EventType.COMPLETED


async def test_a_long_history_is_whole_among_many(executions: ExecutionRepository) -> None:
    long = await _ended_after_much(executions)
    short = queued("2")
    await executions.add([short])
    found = {e.id: e for e in await executions.find_whole(ExecutionQuery(tenant=TENANT))}
    assert found == {long.id: await stored(executions, long), short.id: short}
    assert [event.seq for event in found[long.id].history] == list(range(1, 394))


async def _ended_after_much(executions: ExecutionRepository) -> Execution:
    step = await claimed(executions, queued())
    for number in range(130):
        step = step.evolve(history=())
        after = step
        for part in range(3):
            after = transitions.complete_action(
                after, f"a{number % 7}", attempt=part, started_at=NOW, output=number, now=NOW
            )
        assert await executions.record([Change(step, after)]) == [RecordOutcome.APPLIED]
        step = after
    ended = transitions.complete(step.evolve(history=()), NOW, RETENTION)
    assert await executions.record([Change(step.evolve(history=()), ended)]) == [
        RecordOutcome.APPLIED
    ]
    return ended
