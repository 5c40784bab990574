"""Scenarios: Overlap policies, against running services."""

from itertools import count

import pytest

from tests.acceptance.conftest import MakeStack
from tests.support.destination import Destination
from tests.support.stack import Json, Stack, events, log_action, manual, periodic
from tests.support.waiting import eventually


def wait(action_id: str = "wait", duration: str = "1h") -> Json:
    """Return an action that goes on until it is cancelled."""
    return {"id": action_id, "type": "delay", "duration": duration}


async def trigger(stack: Stack, workflow_id: str, status: str) -> str:
    response = await stack.request("POST", f"/workflows/{workflow_id}/trigger")
    assert response.status_code == 202, response.text
    accepted = response.json()
    assert accepted["status"] == status
    return str(accepted["executionId"])


async def test_allow_runs_as_many_at_a_time_as_may(stack: Stack) -> None:
    await stack.create(manual("overlap-allow", wait(), overlap="allow", maxConcurrent=2))
    first, second = [await trigger(stack, "overlap-allow", "queued") for _ in range(2)]
    for execution in (first, second):
        await stack.reaches(execution, "waiting")
    refused = await stack.request("POST", "/workflows/overlap-allow/trigger")
    assert (refused.status_code, refused.json()["executionId"]) == (409, first)
    shown = (await stack.request("GET", "/workflows/overlap-allow")).json()
    assert (shown["overlap"], shown["maxConcurrent"]) == ("allow", 2)
    assert (shown["trigger"]["status"], shown["trigger"]["running"]) == ("busy", 2)
    await stack.request("POST", f"/executions/{second}/cancel")
    third = await trigger(stack, "overlap-allow", "queued")
    await stack.reaches(third, "waiting")
    await _finish(stack, "overlap-allow")


async def test_buffer_all_runs_what_waits_in_the_order_it_came(stack: Stack) -> None:
    await stack.create(
        manual("overlap-buffer", wait(), log_action(), overlap="buffer-all", maxBuffered=2)
    )
    first = await trigger(stack, "overlap-buffer", "queued")
    second, third = [await trigger(stack, "overlap-buffer", "buffered") for _ in range(2)]
    refused = await stack.request("POST", "/workflows/overlap-buffer/trigger")
    assert (refused.status_code, "full" in refused.json()["detail"]) == (409, True)
    shown = (await stack.request("GET", "/workflows/overlap-buffer")).json()
    assert (shown["trigger"]["executionId"], shown["trigger"]["buffered"]) == (first, 2)
    why = (await stack.request("GET", f"/executions/{third}/why")).json()
    assert f"waits for its turn behind '{first}' and 1 more" in why["why"]
    for execution, following in ((first, second), (second, third)):
        await stack.reaches(execution, "waiting")
        await stack.request("POST", f"/executions/{execution}/cancel")
        await stack.reaches(following, "waiting")
    assert events(await stack.execution(third))[:3] == ["buffered", "promoted", "claimed"]
    await _finish(stack, "overlap-buffer")


@pytest.mark.one_broker
async def test_buffer_one_keeps_it_across_a_restart_of_everything(
    make_stack: MakeStack, destination: Destination
) -> None:
    stack = await make_stack()
    call = destination.to("/status/200")
    await stack.create(manual("kept", wait(), call, overlap="buffer-one"))
    first = await trigger(stack, "kept", "queued")
    second = await trigger(stack, "kept", "buffered")
    await stack.reaches(first, "waiting")
    await stack.stop()
    for service in stack.services.values():
        service.start()
    await stack.ready()
    assert (await stack.execution(second))["status"] == "buffered"
    await stack.request("POST", f"/executions/{first}/cancel")
    await stack.reaches(second, "waiting")
    assert await stack.scheduler.metric("orphans") == 0


async def test_buffer_all_loses_no_occurrence_that_comes_faster_than_they_end(
    stack: Stack,
) -> None:
    """They end one after the other; each end that the runner makes known lets the next go on."""
    slow = wait(duration="3s")
    policy = {"overlap": "buffer-all", "maxBuffered": 1000}
    await stack.create(periodic("overlap-slow", "1s", slow, **policy))

    async def occurrences() -> list[Json]:
        found = await stack.executions(workflowId="overlap-slow")
        return sorted(found, key=lambda e: str(e["scheduledFor"]))

    await eventually(occurrences, lambda found: _completed(found) >= 3, every=1)
    found = await occurrences()
    assert not [e for e in found if e.get("skipped", {}).get("reason") == "overlap"]
    started = [e["startedAt"] for e in found if "startedAt" in e]
    assert started == sorted(started)
    await _finish(stack, "overlap-slow")


async def test_cancel_running_undoes_what_ran_and_takes_its_place(
    stack: Stack, destination: Destination
) -> None:
    undo = destination.to("/undo", id="undo")
    acts = destination.to("/act", id="act", compensate=[undo])
    await stack.create(manual("overlap-cancel", acts, wait(), overlap="cancel-running"))
    first = await trigger(stack, "overlap-cancel", "queued")
    await stack.reaches(first, "waiting")
    second = await trigger(stack, "overlap-cancel", "buffered")
    assert (await stack.ends(first))["status"] == "cancelled"
    assert len(destination.called("/undo")) == 1
    await stack.reaches(second, "waiting")
    await _finish(stack, "overlap-cancel")
    assert (await stack.ends(second))["status"] == "cancelled"


@pytest.mark.one_broker
async def test_buffer_one_goes_on_when_the_one_before_ends_not_when_it_wakes(
    make_stack: MakeStack,
) -> None:
    """Once the scheduler listens, which it does soon after its start, it hears of an end."""
    stack = await make_stack(RESEND="1h", RESEND_MAX="2h")
    numbers = count()

    async def one_went_on() -> list[Json]:
        name = f"heard-{next(numbers)}"
        await stack.create(manual(name, wait(duration="2s"), overlap="buffer-one"))
        for _ in range(2):
            await stack.trigger(name)
        found = await stack.executions(status="completed")
        whole = [await stack.execution(execution["executionId"]) for execution in found]
        return [execution for execution in whole if "promoted" in events(execution)]

    await eventually(one_went_on, every=3)


def _completed(executions: list[Json]) -> int:
    return sum(execution["status"] == "completed" for execution in executions)


async def _finish(stack: Stack, workflow_id: str) -> None:
    """Leave nothing behind; the histories of what there was add up."""
    await stack.request("DELETE", f"/workflows/{workflow_id}", params={"cancel": "true"})
    found = await stack.executions(workflowId=workflow_id)
    for execution in found:
        await stack.ends(execution["executionId"])
    checked = await stack.request(
        "GET", "/executions/verification", params={"workflowId": workflow_id, "limit": 200}
    )
    assert checked.json() == {"checked": len(found), "inconsistent": []}
