"""A definition with several triggers: its one form, what is refused, and what an edit means."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.api import workflow_view
from shared.contracts.schedules import preview_view
from shared.domain.catalogue import definition_text, normalised
from shared.domain.due import instants_after
from shared.domain.errors import InvalidInput
from shared.domain.execution import Skip, SkipReason
from shared.domain.foresight import Foreseen
from shared.domain.outlook import Assumed, Outlook
from shared.domain.schedule_warnings import schedule_warnings
from shared.domain.workflow import Workflow, disable
from shared.ports.bus import WorkflowChanged
from tests.support.builders import CATALOGUE, NOW, SECOND, TENANT, workflow
from tests.unit.desk import Desk
from tests.unit.documents import LOG

OFTEN: dict[str, Any] = {"id": "often", "type": "periodic", "interval": "10s"}
RARE: dict[str, Any] = {"id": "rare", "type": "periodic", "interval": "1h"}
NIGHTLY: dict[str, Any] = {"type": "cron", "schedule": "30 2 * * *", "timezone": "Europe/Berlin"}
OVER: dict[str, Any] = {"type": "once", "at": "2020-01-01T00:00:00Z"}
MANUAL: dict[str, Any] = {"type": "manual"}


def _document(**members: Any) -> dict[str, Any]:
    return {"workflowId": "hello", **members, "actions": [LOG]}


def _several(*triggers: dict[str, Any]) -> dict[str, Any]:
    return _document(triggers=[*triggers])


def _refused(document: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidInput) as refusal:
        CATALOGUE.parse(document)
    return {problem.pointer: problem.detail for problem in refusal.value.problems}


def test_triggers_are_called_as_their_author_says_or_by_type_and_number() -> None:
    parsed = CATALOGUE.parse(_several(NIGHTLY, OFTEN, {**NIGHTLY, "id": "mine"}, MANUAL, NIGHTLY))
    assert [*parsed.all_triggers] == ["cron", "often", "mine", "manual", "cron-3"]


def test_ids_of_several_triggers_are_written_down() -> None:
    parsed = CATALOGUE.parse(_several(OFTEN, MANUAL))
    assert normalised(parsed)["triggers"] == [OFTEN, {"id": "manual", **MANUAL}]
    assert "trigger" not in normalised(parsed)
    assert CATALOGUE.restore_text(definition_text(parsed)) == parsed
    assert CATALOGUE.restore(normalised(parsed)) == parsed


@pytest.mark.parametrize("trigger", [NIGHTLY, {**NIGHTLY, "id": "night"}, OFTEN, MANUAL])
def test_the_id_of_an_only_trigger_is_written_down_if_it_was_given(trigger: dict[str, Any]) -> None:
    parsed = CATALOGUE.parse(_document(trigger=trigger))
    assert normalised(parsed)["trigger"] == trigger
    assert [*parsed.all_triggers] == [trigger.get("id", trigger["type"])]


@pytest.mark.parametrize(
    ("members", "pointer", "said"),
    [
        ({}, "/trigger", "is required; or 'triggers', a list of 1 to 10 of them"),
        ({"trigger": None, "triggers": None}, "/trigger", "is required"),
        ({"trigger": MANUAL, "triggers": [OFTEN]}, "/trigger", "must be left out where there are"),
        ({"triggers": []}, "/triggers", "must have at least 1 item"),
        ({"triggers": [MANUAL] * 11}, "/triggers", "must have at most 10 items"),
        ({"triggers": OFTEN}, "/triggers", "must be a list"),
        ({"triggers": [OFTEN, RARE, OFTEN]}, "/triggers", "used more than once: often"),
        ({"triggers": [{**OFTEN, "id": "cron"}, NIGHTLY]}, "/triggers", "more than once: cron"),
        ({"triggers": [OFTEN, {"type": "lunar"}]}, "/triggers/1/type", "is 'lunar'"),
        ({"triggers": [OFTEN, {**NIGHTLY, "schedule": "x"}]}, "/triggers/1/schedule", "is 'x'"),
        ({"triggers": [{**OFTEN, "id": "a b"}]}, "/triggers/0/id", "must match ^[A-Za-z0-9_-]"),
        ({"triggers": [{**OFTEN, "id": "manual"}]}, "/triggers/0/id", "triggered by hand"),
        ({"trigger": {**OFTEN, "id": "manual"}}, "/trigger/id", "triggered by hand"),
        ({"trigger": {**OFTEN, "id": ""}}, "/trigger/id", "must match"),
    ],
)
def test_what_is_wrong_with_triggers_is_said_with_its_place(
    members: dict[str, Any], pointer: str, said: str
) -> None:
    refused = _refused(_document(**members))
    assert list(refused) == [pointer]
    assert said in refused[pointer]


class Edits(Desk):
    """A desk with the workflow `hello`, whose triggers are edited."""

    async def define_triggers(self, *triggers: dict[str, Any]) -> None:
        await self.define.create(TENANT, _several(*triggers))

    async def put(self, document: dict[str, Any]) -> Workflow:
        return await self.define.replace(TENANT, "hello", document, None)

    def skips(self) -> dict[str, Skip]:
        found = self.executions._by_id.values()
        return {e.trigger_id: e.skip for e in found if e.skip}


async def test_an_edit_leaves_the_triggers_that_stay_where_they_are() -> None:
    desk = Edits()
    await desk.define_triggers(OFTEN, RARE)
    await desk.clock.advance(35 * SECOND)
    changed = await desk.put(_several({**RARE, "interval": "2h"}, OFTEN, {**OFTEN, "id": "new"}))
    assert changed.next_runs == {
        "rare": NOW + timedelta(hours=2, seconds=35),
        "often": NOW + 10 * SECOND,
        "new": NOW + 45 * SECOND,
    }
    assert desk.skips() == {}


async def test_an_edit_records_the_overdue_instants_of_what_it_changes_or_removes() -> None:
    desk = Edits()
    await desk.define_triggers({**OFTEN, "id": "kept"}, {**OFTEN, "id": "gone"}, OFTEN)
    await desk.clock.advance(35 * SECOND)
    await desk.put(_several({**OFTEN, "id": "kept"}, {**OFTEN, "interval": "20s"}))
    overdue = Skip(SkipReason.SUPERSEDED, NOW + 10 * SECOND, NOW + 30 * SECOND, 3)
    assert desk.skips() == {"gone": overdue, "often": overdue}


async def test_an_only_trigger_that_gets_company_keeps_its_place() -> None:
    desk = Edits()
    await desk.define.create(TENANT, _document(trigger={"type": "periodic", "interval": "10s"}))
    await desk.clock.advance(35 * SECOND)
    changed = await desk.put(_several({"type": "periodic", "interval": "10s"}, RARE))
    assert changed.next_runs == {
        "periodic": NOW + 10 * SECOND,
        "rare": NOW + timedelta(hours=1, seconds=35),
    }
    assert desk.skips() == {}


async def test_a_new_trigger_is_announced_though_another_is_due_before_it() -> None:
    desk, notices = Edits(), list[WorkflowChanged]()
    await desk.define_triggers(OFTEN)
    desk.define = replace(desk.define, announce=notices.append)
    await desk.put(_several(OFTEN, RARE))
    assert notices == [WorkflowChanged(TENANT, "hello", NOW + 10 * SECOND)]
    await desk.put({**_several(OFTEN, RARE), "concurrency": 3})
    assert len(notices) == 1


async def test_switching_on_records_what_each_trigger_slept_through() -> None:
    desk = Edits()
    await desk.define_triggers(OFTEN, RARE, MANUAL)
    await desk.define.set_enabled(TENANT, "hello", enabled=False, if_match=None)
    await desk.clock.advance(timedelta(minutes=61))
    on = await desk.define.set_enabled(TENANT, "hello", enabled=True, if_match=None)
    hour = NOW + timedelta(hours=1)
    assert desk.skips() == {
        "often": Skip(SkipReason.DISABLED, NOW + 10 * SECOND, NOW + timedelta(minutes=61), 366),
        "rare": Skip(SkipReason.DISABLED, hour, hour, 1),
    }
    assert on.next_runs == {
        "often": NOW + timedelta(minutes=61, seconds=10),
        "rare": NOW + timedelta(hours=2),
    }


def test_warnings_say_which_trigger_they_are_about() -> None:
    found = schedule_warnings(workflow(triggers=[OFTEN, NIGHTLY, OVER, MANUAL]), NOW)
    assert [warning.pointer for warning in found] == [
        "/triggers/1/schedule",
        "/triggers/1/schedule",
        "/triggers/2",
    ]
    assert "has no instant to come" in found[2].message


def test_the_api_shows_each_trigger_with_its_instant_and_the_earliest_of_all() -> None:
    made = workflow(triggers=[OFTEN, RARE, MANUAL])
    shown = workflow_view(made, ()).model_dump(mode="json", by_alias=True, exclude_none=True)
    soon = "2026-01-01T00:00:10.000Z"
    assert shown["trigger"] == {"type": "several", "status": "idle", "nextRunAt": soon}
    assert shown["triggers"] == [
        {**OFTEN, "nextRunAt": soon},
        {**RARE, "nextRunAt": "2026-01-01T01:00:00.000Z"},
        {"id": "manual", **MANUAL},
    ]
    off = workflow_view(disable(made, NOW), ())
    assert off.triggers
    assert [each.next_run_at for each in off.triggers] == [None, None, None]
    assert off.trigger.next_run_at is None


def test_the_instants_of_all_triggers_come_in_one_order_each_with_its_trigger() -> None:
    daily = {"id": "daily", "type": "cron", "schedule": "@daily"}
    made = workflow(triggers=[RARE, daily, {"type": "cron", "schedule": "0 2 * * *"}])
    following = instants_after(made, NOW, NOW)
    found = [next(following) for _ in range(26)]
    assert found == sorted(found, key=lambda instant: instant[0])
    assert [(at - NOW, name) for at, name in found if name != "rare"] == [
        (timedelta(hours=2), "cron-2"),
        (timedelta(hours=24), "daily"),
    ]


@pytest.mark.parametrize(
    ("zones", "shown"),
    [(("Asia/Tokyo", "Asia/Tokyo"), "Asia/Tokyo"), (("Asia/Tokyo", "Europe/Berlin"), None)],
)
def test_a_preview_tells_the_clocks_of_each_trigger(
    zones: tuple[str, str], shown: str | None
) -> None:
    nightly = [{"type": "cron", "schedule": "@daily", "timezone": zone} for zone in zones]
    made = workflow(triggers=[*nightly, RARE])
    instants = [Foreseen(NOW, name) for name in ("cron", "cron-2", "rare")]
    view = preview_view(Outlook(made, Assumed(), instants))
    assert view.timezone == shown
    assert [(item.trigger, item.local) for item in view.items] == [
        ("cron", "2026-01-01T09:00:00+09:00"),
        ("cron-2", "2026-01-01T09:00:00+09:00" if shown else "2026-01-01T01:00:00+01:00"),
        ("rare", "2026-01-01T09:00:00+09:00" if shown else "2026-01-01T00:00:00+00:00"),
    ]


def test_a_preview_of_an_only_trigger_need_not_name_it() -> None:
    only = Outlook(workflow(interval="10s"), Assumed(), [Foreseen(NOW, "periodic")])
    (item,) = preview_view(only).items
    assert item.trigger is None
