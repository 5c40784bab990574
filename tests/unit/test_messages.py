"""Messages that are almost right: poison is told from work, and nothing falls over it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from shared.adapters.kafka.subscriber import _record
from shared.contracts.notices import decode_notice, encode_notice
from shared.contracts.requests import decode_request, encode_request
from shared.ports.bus import ExecutionRequest, Record, WorkflowChanged
from tests.support.builders import NOW, TENANT

REQUEST = json.loads(encode_request(ExecutionRequest("e", TENANT, "w", NOW), "tests"))
NOTICE = json.loads(encode_notice(WorkflowChanged(TENANT, "w", NOW), "tests", NOW, "1"))


def record(value: Any) -> Record:
    return Record("requests", 0, 0, NOW, None, json.dumps(value).encode())


def test_a_request_reads_back_as_it_was_sent() -> None:
    found = decode_request(record(REQUEST))
    assert found.request == ExecutionRequest("e", TENANT, "w", NOW)


@pytest.mark.parametrize("time", ["2026-01-01T00:00:00", "yesterday", None, True])
def test_a_request_without_a_proper_instant_is_poison(time: object) -> None:
    found = decode_request(record({**REQUEST, "time": time}))
    assert found.request is None
    assert found.problem is not None
    assert "time" in found.problem


def test_a_notice_without_a_time_zone_means_nothing() -> None:
    assert decode_notice(json.dumps(NOTICE).encode()) == WorkflowChanged(TENANT, "w", NOW)
    naive = {**NOTICE, "data": {**NOTICE["data"], "nextRunAt": "2026-01-01T00:00:00"}}
    assert decode_notice(json.dumps(naive).encode()) is None


@pytest.mark.parametrize("milliseconds", [-1, 0, 253_402_300_800_000, 2**60])
def test_any_timestamp_of_a_producer_can_be_kept(milliseconds: int) -> None:
    sent: ConsumerRecord[bytes, bytes] = ConsumerRecord(
        "requests", 0, 0, milliseconds, 0, None, b"x", None, 0, 1, ()
    )
    kept = _record(sent).timestamp
    assert datetime(1970, 1, 1, tzinfo=UTC) <= kept < datetime.max.replace(tzinfo=UTC)
