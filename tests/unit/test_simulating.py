"""What a simulation makes of definitions: the scheduler's own code over virtual time."""

from datetime import timedelta
from typing import Any

from scheduler_svc.simulation.bootstrap import simulate
from shared.contracts.simulation import MinuteLoad, SimulationReport, SimulationRequest
from tests.support.builders import CATALOGUE, NOW, SECOND

HOUR = timedelta(hours=1)


def _document(workflow_id: str, **trigger: Any) -> dict[str, Any]:
    actions = [{"type": "log", "message": "hi"}]
    return {"workflowId": workflow_id, "trigger": trigger, "actions": actions}


def _every(interval: str, workflow_id: str = "hello", **more: Any) -> dict[str, Any]:
    return _document(workflow_id, type="periodic", interval=interval, **more)


async def _simulate(
    *documents: Any,
    length: timedelta = HOUR,
    takes: timedelta = SECOND,
    most_looks: int = 100_000,
) -> SimulationReport:
    asked = SimulationRequest(definitions=list(documents), since=NOW, length=length, takes=takes)
    return await simulate(asked, CATALOGUE, most_looks)


def _outcomes(report: SimulationReport) -> list[tuple[float, str]]:
    return [((one.at - NOW).total_seconds(), one.outcome) for one in report.occurrences]


async def test_every_instant_up_to_the_end_has_its_outcome() -> None:
    report = await _simulate(_every("20m"))
    assert (report.since, report.until, report.complete) == (NOW, NOW + HOUR, True)
    assert _outcomes(report) == [(1200, "fired"), (2400, "fired"), (3600, "fired")]
    (hello,) = report.workflows
    assert (hello.workflow_id, hello.fires, hello.skipped, hello.warnings) == ("hello", 3, {}, [])
    assert report.load == [
        MinuteLoad(minute=minute, fires=1) for minute in ("00:20", "00:40", "01:00")
    ]


async def test_an_execution_that_takes_longer_than_the_interval_is_in_the_way() -> None:
    report = await _simulate(_every("10s"), length=60 * SECOND, takes=15 * SECOND)
    assert _outcomes(report) == [
        (10, "fired"),
        (20, "overlap"),
        (30, "fired"),
        (40, "overlap"),
        (50, "fired"),
        (60, "overlap"),
    ]
    assert report.workflows[0].skipped == {"overlap": 3}


async def test_what_ends_at_an_instant_is_not_in_its_way() -> None:
    report = await _simulate(_every("10s"), length=60 * SECOND, takes=10 * SECOND)
    assert [outcome for _, outcome in _outcomes(report)] == ["fired"] * 6
    assert report.most_running == 1


async def test_the_newest_ends_what_runs_at_the_instant_at_which_it_takes_its_place() -> None:
    report = await _simulate(
        {**_every("5s"), "overlap": "cancel-running"}, length=20 * SECOND, takes=12 * SECOND
    )
    ended = [one.replaced_at for one in report.occurrences]
    assert _outcomes(report) == [(5, "fired"), (10, "fired"), (15, "fired"), (20, "fired")]
    assert ended == [NOW + 10 * SECOND, NOW + 15 * SECOND, NOW + 20 * SECOND, None]
    (hello,) = report.workflows
    assert (hello.fires, hello.replaced, hello.buffered, hello.waiting) == (4, 3, 0, 0)
    assert report.most_running == 1


async def test_what_is_buffered_says_when_it_starts_and_how_much_still_waits() -> None:
    report = await _simulate(
        {**_every("10s"), "overlap": "buffer-all"}, length=40 * SECOND, takes=15 * SECOND
    )
    assert _outcomes(report) == [(10, "fired"), (20, "fired"), (30, "fired"), (40, "buffered")]
    starts = [one.starts_at for one in report.occurrences]
    assert starts == [None, NOW + 25 * SECOND, NOW + 40 * SECOND, None]
    (hello,) = report.workflows
    assert (hello.fires, hello.buffered, hello.replaced, hello.waiting) == (3, 2, 0, 1)
    assert report.most_running == 1


async def test_several_workflows_share_the_time_and_the_most_at_once_is_told() -> None:
    named = [_every("10m", f"w{n}") for n in range(3)]
    report = await _simulate(*named, _document("hand", type="manual"), takes=60 * SECOND)
    assert report.most_running == 3
    assert {w.workflow_id: w.fires for w in report.workflows} == {
        **dict.fromkeys(("w0", "w1", "w2"), 6),
        "hand": 0,
    }
    assert report.load[0] == MinuteLoad(minute="00:10", fires=3)


async def test_a_trigger_ends_and_is_spread_as_it_says() -> None:
    report = await _simulate(_every("10m", maxRuns=2, jitter="1m"))
    (first, second) = (one.at for one in report.occurrences)
    assert second - first == timedelta(minutes=10)
    assert timedelta() < first - NOW - timedelta(minutes=10) < timedelta(minutes=1)


async def test_of_several_triggers_it_is_told_which_one_fired_and_how_often() -> None:
    often = {"id": "often", "type": "periodic", "interval": "20m"}
    once = {"id": "once", "type": "once", "at": "2026-01-01T00:30:00Z"}
    several = {"workflowId": "two", "triggers": [often, once], "actions": _every("1h")["actions"]}
    report = await _simulate(several, _every("1h"))
    named = [(one.workflow_id, one.trigger) for one in report.occurrences]
    assert named == [
        ("two", "often"),
        ("two", "once"),
        ("two", "often"),
        ("hello", None),
        ("two", "often"),
    ]
    told = [(each.occurrences, each.triggers) for each in report.workflows]
    assert told == [(4, {"often": 3, "once": 1}), (1, None)]


async def test_what_the_clocks_do_to_a_schedule_meanwhile_is_told() -> None:
    nightly = _document("n", type="cron", schedule="30 2 * * *", timezone="Europe/Berlin")
    brief = await _simulate(nightly, length=timedelta(days=87))
    assert brief.workflows[0].warnings == []
    report = await _simulate(nightly, length=timedelta(days=100))
    (gap,) = report.workflows[0].warnings
    assert "does not exist in Europe/Berlin on 2026-03-29;" in gap.detail
    assert report.workflows[0].fires == 100
    assert {one.minute: one.fires for one in report.load} == {"00:30": 12, "01:00": 1, "01:30": 87}


async def test_what_a_clock_gap_swallows_is_told_with_its_reason() -> None:
    quarters = {"schedule": "*/15 1,2 * * *", "timezone": "Europe/Berlin", "onGap": "skip"}
    report = await _simulate(
        _document("q", type="cron", **quarters), length=timedelta(days=88), takes=timedelta()
    )
    (gap,) = (one for one in report.occurrences if one.outcome == "gap")
    assert (f"{gap.at:%d %H:%M:%S}", gap.at.microsecond, gap.count) == ("29 00:59:59", 999_000, 4)
    (hello,) = report.workflows
    assert (hello.fires, hello.skipped) == (87 * 8 - 1 + 4 + 5, {"gap": 4})


async def test_what_is_wrong_with_a_definition_is_said_and_nothing_is_simulated() -> None:
    report = await _simulate(_every("10m"), _every("10x"), _every("10m"), 5)
    assert [(r.definition, r.pointer) for r in report.refused] == [
        (1, "/trigger/interval"),
        (2, "/workflowId"),
        (3, ""),
    ]
    assert (report.workflows, report.occurrences) == ((), [])


async def test_what_is_too_much_ends_early_and_says_so() -> None:
    report = await _simulate(_every("10s"), most_looks=5)
    assert (report.complete, report.until) == (False, NOW + 51 * SECOND)
    assert report.workflows[0].fires == 5


async def test_no_more_than_some_instants_are_listed() -> None:
    report = await _simulate(_every("1s"), length=10_005 * SECOND, takes=timedelta())
    assert (len(report.occurrences), report.more_occurrences) == (10_000, 5)
