"""Every wrong field of a definition is named by its JSON pointer."""

from typing import Any

import pytest

from shared.domain.catalogue import ActionCatalogue
from shared.domain.errors import InvalidInput
from tests.support.builders import CATALOGUE

BASE: dict[str, Any] = {
    "workflowId": "hello",
    "trigger": {"type": "manual"},
    "actions": [{"type": "log", "message": "hi"}],
}


def _with(**fields: Any) -> dict[str, Any]:
    return {**BASE, **fields}


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in BASE.items() if key != name}


def _periodic(interval: object) -> dict[str, Any]:
    return _with(trigger={"type": "periodic", "interval": interval})


def _actions(*actions: Any) -> dict[str, Any]:
    return _with(actions=list(actions))


def _log(**fields: Any) -> dict[str, Any]:
    return {"type": "log", "message": "hi", **fields}


def _http(**fields: Any) -> dict[str, Any]:
    return {"type": "http-request", "url": "https://example.com", **fields}


def _refused(document: Any) -> list[str]:
    with pytest.raises(InvalidInput) as refusal:
        CATALOGUE.parse(document)
    assert all(problem.detail for problem in refusal.value.problems)
    return [problem.pointer for problem in refusal.value.problems]


@pytest.mark.parametrize("document", [None, [], "hello", 1, True, [BASE]])
def test_a_definition_is_an_object(document: Any) -> None:
    assert _refused(document) == [""]


@pytest.mark.parametrize(
    "workflow_id",
    ["", "a b", "a/b", "a:b", "\u00fc", "a\n", "\na", "\u0661", "a" * 129, None, 5, ["a"]],
)
def test_a_workflow_id_has_few_characters(workflow_id: object) -> None:
    assert _refused(_with(workflowId=workflow_id)) == ["/workflowId"]


@pytest.mark.parametrize(
    "interval",
    ["10x", "0s", " 10s", "10s\n", "-5m", "8761h", "366d", "500ms", "10S", "", None, 10, ["10s"]],
)
def test_an_interval_is_a_length_of_time(interval: object) -> None:
    assert _refused(_periodic(interval)) == ["/trigger/interval"]


@pytest.mark.parametrize(
    ("document", "pointers"),
    [
        ({}, ["/workflowId", "/trigger", "/actions"]),
        (_without("workflowId"), ["/workflowId"]),
        (_without("trigger"), ["/trigger"]),
        (_without("actions"), ["/actions"]),
        (_with(extra=1), ["/extra"]),
        (_with(workflow_id="hello"), ["/workflow_id"]),
        (_with(**{"a/b~c": 1}), ["/a~1b~0c"]),
        (_with(trigger=None), ["/trigger"]),
        (_with(trigger="manual"), ["/trigger"]),
        (_with(trigger={}), ["/trigger/type"]),
        (_with(trigger={"type": "hourly"}), ["/trigger/type"]),
        (_with(trigger={"type": 5}), ["/trigger/type"]),
        (_with(trigger={"type": "periodic"}), ["/trigger/interval"]),
        (_with(trigger={"type": "manual", "interval": "1s"}), ["/trigger/interval"]),
        (_with(actions=None), ["/actions"]),
        (_with(actions={}), ["/actions"]),
        (_actions(), ["/actions"]),
        (_actions(*[_log()] * 101), ["/actions"]),
        (_actions(1), ["/actions/0"]),
        (_actions({}), ["/actions/0/type"]),
        (_actions({"type": "nope"}), ["/actions/0/type"]),
        (_actions({"type": "LOG", "message": "hi"}), ["/actions/0/type"]),
        (_actions({"type": "log"}), ["/actions/0/message"]),
        (_actions(_log(message="")), ["/actions/0/message"]),
        (_actions(_log(message=5)), ["/actions/0/message"]),
        (_actions(_log(level="loud")), ["/actions/0/level"]),
        (_actions(_log(extra=1)), ["/actions/0/extra"]),
        (_actions(_log(url="https://example.com")), ["/actions/0/url"]),
        (_actions(_log(id="a b")), ["/actions/0/id"]),
        (_actions(_log(id="")), ["/actions/0/id"]),
        (_actions(_log(id="a" * 65)), ["/actions/0/id"]),
        (_actions(_log(id="a"), _log(id="a")), ["/actions"]),
        (_actions(_log(id="log-2"), _log()), ["/actions"]),
        (_actions(_log(retry={"retries": -1})), ["/actions/0/retry/retries"]),
        (
            _actions(_log(), {"type": "log"}, _http(url="x")),
            ["/actions/1/message", "/actions/2/url"],
        ),
        (_with(retry=None), ["/retry"]),
        (_with(retry={"retrys": 1}), ["/retry/retrys"]),
        (_with(retry={"retries": 51}), ["/retry/retries"]),
        (_with(retry={"backoff": 5}), ["/retry/backoff"]),
        (_with(retry={"backoff": {"factor": 0.5}}), ["/retry/backoff/factor"]),
        (_with(retry={"backoff": {"jitter": 2}}), ["/retry/backoff/jitter"]),
        (
            _with(retry={"backoff": {"initial": "x", "max": 1}}),
            ["/retry/backoff/initial", "/retry/backoff/max"],
        ),
    ],
)
def test_a_wrong_field_is_named(document: Any, pointers: list[str]) -> None:
    assert _refused(document) == pointers


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        *(
            ({"url": url}, "/url")
            for url in (
                "ftp://example.com",
                "file:///etc/passwd",
                "javascript:alert(1)",
                "example.com",
                "//example.com",
                "https://",
                "https://:80/",
                "https://a b",
                "https://a\n",
                "https://a:99999",
                "https://[::1",
                "https://${secret:lower}/",
                "${secret:A",
                "https://e.com/" + "a" * 8192,
                "",
                5,
                None,
            )
        ),
        ({"method": "BREW"}, "/method"),
        ({"method": ""}, "/method"),
        ({"method": 5}, "/method"),
        ({"headers": {"X": 5}}, "/headers/X"),
        ({"headers": {"a/b": 5}}, "/headers/a~1b"),
        ({"headers": {"a b": "x"}}, "/headers"),
        ({"headers": {"X": "a\r\nY: b"}}, "/headers"),
        ({"headers": {"X": "${secret:}"}}, "/headers"),
        ({"headers": {"Authorization": "***"}}, "/headers"),
        ({"headers": {f"X-{n}": "x" for n in range(65)}}, "/headers"),
        ({"query": "a=b"}, "/query"),
        ({"query": {"q": None}}, "/query"),
        ({"query": {"q": {"a": 1}}}, "/query"),
        ({"query": {"q": [[1]]}}, "/query"),
        ({"body": 2**70}, "/body"),
        ({"body": {"a": ["\ud800"]}}, "/body/a/0"),
        ({"body": {"a\0b": 1}}, "/body"),
        ({"timeouts": {"total": "0s"}}, "/timeouts/total"),
        ({"timeouts": {"total": "5"}}, "/timeouts/total"),
        ({"timeouts": {"idle": "5s"}}, "/timeouts/idle"),
        ({"followRedirects": 11}, "/followRedirects"),
        ({"followRedirects": "1"}, "/followRedirects"),
        ({"follow_redirects": 1}, "/follow_redirects"),
    ],
)
def test_a_wrong_field_of_an_http_request_is_named(fields: dict[str, Any], pointer: str) -> None:
    assert _refused(_actions(_log(), _http(**fields))) == [f"/actions/1{pointer}"]


@pytest.mark.parametrize(
    ("document", "pointers"),
    [
        (
            _with(trigger={"type": "cron", "cron": "0 2 * * *"}),
            ["/trigger/schedule", "/trigger/cron"],
        ),
        (
            _without("trigger") | {"triggers": [{"type": "once", "once": "2027-01-01T00:00:00Z"}]},
            ["/triggers/0/at", "/triggers/0/once"],
        ),
        (_with(trigger={"type": "manual", "manual": True}), ["/trigger/manual"]),
        (_actions({"type": "log", "log": "x"}), ["/actions/0/message", "/actions/0/log"]),
        (_actions({"type": "delay", "delay": "5s"}), ["/actions/0/delay"]),
        (
            _actions(_log(compensate=[{"type": "log", "log": {"message": "x"}}])),
            ["/actions/0/compensate/0/message", "/actions/0/compensate/0/log"],
        ),
        (
            _actions(_http(headers={"http-request": 5}, timeouts={"log": "5s"})),
            ["/actions/0/headers/http-request", "/actions/0/timeouts/log"],
        ),
    ],
)
def test_a_field_called_like_the_type_is_no_place_of_its_own(
    document: Any, pointers: list[str]
) -> None:
    assert _refused(document) == pointers


def test_a_catalogue_of_one_type_names_its_fields_too() -> None:
    only = ActionCatalogue([spec for spec in CATALOGUE.specs if spec.name == "log"])
    with pytest.raises(InvalidInput) as refusal:
        only.parse(_actions({"type": "log", "log": "x"}))
    assert [p.pointer for p in refusal.value.problems] == ["/actions/0/message", "/actions/0/log"]


_NIGHTLY = {"type": "cron", "schedule": "0 2 * * *"}


@pytest.mark.parametrize(
    ("document", "place", "meant"),
    [
        (_with(trigger={"type": "cron", "cron": "@daily"}), "/trigger/cron", "schedule"),
        (_with(trigger={**_NIGHTLY, "tz": "UTC"}), "/trigger/tz", "timezone"),
        (_with(trigger={**_NIGHTLY, "timeZone": "UTC"}), "/trigger/timeZone", "timezone"),
        (_with(trigger={**_NIGHTLY, "catchup": "all"}), "/trigger/catchup", "catchUp"),
        (_with(trigger={**_NIGHTLY, "catch_up": "all"}), "/trigger/catch_up", "catchUp"),
        (_without("trigger") | {"triger": _NIGHTLY}, "/triger", "trigger"),
        (_actions({"type": "log", "mesage": "hi"}), "/actions/0/mesage", "message"),
        (_with(retry={"backoff": {"intial": "1s"}}), "/retry/backoff/intial", "initial"),
    ],
)
def test_a_misspelt_field_is_told_what_it_was_probably_meant_to_be(
    document: Any, place: str, meant: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        CATALOGUE.parse(document)
    assert f"{place}: is not a known field; did you mean '{meant}'?" in str(refusal.value)


@pytest.mark.parametrize(
    ("document", "known"),
    [
        (_with(trigger={"type": "manual", "interval": "1s"}), "known are id, type"),
        (_with(retry={"zzz": 1}), "known are retries, backoff"),
        # What is there already cannot be what was meant.
        (_with(retry={"retries": 1, "retrys": 1}), "known are retries, backoff"),
        (_with(retry={"tz": 1}), "known are retries, backoff"),
    ],
)
def test_a_field_that_resembles_none_is_told_which_there_are(document: Any, known: str) -> None:
    with pytest.raises(InvalidInput, match=f"is not a known field; {known}"):
        CATALOGUE.parse(document)


def test_a_refusal_reads_as_one_sentence_per_field() -> None:
    with pytest.raises(InvalidInput) as refusal:
        CATALOGUE.parse(_with(workflowId="a b", trigger={"type": "hourly"}))
    assert str(refusal.value) == (
        "/workflowId: must match ^[A-Za-z0-9._-]{1,128}$; "
        "/trigger/type: is 'hourly'; it must be one of 'periodic', 'cron', 'once', 'manual'"
    )
