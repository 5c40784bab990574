"""What MongoDB reads to find unpublished events: indexes, a bounded piece at a time."""

from datetime import timedelta
from typing import Any

import pytest

from shared.adapters.mongo.connection import MongoConnection
from shared.adapters.mongo.executions import MongoExecutions
from shared.adapters.mongo.lifecycle import MongoArchive, MongoWatermarks
from shared.domain import transitions
from shared.ports.lifecycle import Watermark
from tests.support.builders import NOW, SECOND, queued

RETENTION = timedelta(days=36500)
PAGE, FINISHED, OPEN = 20, 300, 70
LATE = NOW + 60 * SECOND


@pytest.fixture
async def filled(mongo: MongoConnection) -> MongoConnection:
    executions = MongoExecutions(mongo.executions)
    done = [
        transitions.cancel(queued(f"{n}", f"done-{n}"), NOW + n * SECOND, RETENTION)
        for n in range(FINISHED)
    ]
    await executions.add([*done, *(queued("1", f"open-{n}") for n in range(OPEN))])
    return mongo


async def _profiled(mongo: MongoConnection, run: Any) -> list[dict[str, Any]]:
    database = mongo._database
    await database.command("profile", 2)
    await run()
    await database.command("profile", 0)
    own = {"ns": {"$not": {"$regex": r"system\.profile|\$cmd"}}}
    return await database["system.profile"].find(own).to_list()


async def test_no_piece_reads_more_than_a_page_and_nothing_is_scanned(
    filled: MongoConnection,
) -> None:
    archive = MongoArchive(filled.executions, page=PAGE)
    found: list[str] = []

    async def read() -> None:
        async for page in archive.touched(LATE, RETENTION):
            found.extend(execution.id for execution in page)

    operations = await _profiled(filled, read)
    assert len(found) == FINISHED - 60
    assert "COLLSCAN" not in {str(o["planSummary"]) for o in operations}
    assert max(o["docsExamined"] for o in operations) <= PAGE
    assert sum(o["docsExamined"] for o in operations) <= 2 * (OPEN + FINISHED - 60)
    assert not any(o.get("hasSortStage") for o in operations)


async def test_the_watch_reads_no_more_than_the_lapsed_watermarks(mongo: MongoConnection) -> None:
    marks = MongoWatermarks(mongo)
    for number in range(20):
        beat = NOW + number * SECOND
        await marks.save(Watermark(f"p{number}", NOW, beat, 1, RETENTION))
    (operation,) = await _profiled(mongo, lambda: marks.lapsed(NOW + 3 * SECOND, 100))
    assert "IXSCAN" in operation["planSummary"]
    assert operation["docsExamined"] == operation["nreturned"] == 3
