"""The types of action that exist; keeping definitions and describing them."""

from datetime import timedelta
from typing import Any, Literal

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import JsonValue

from shared.domain.actions import BUILT_IN_ACTIONS, LogAction
from shared.domain.catalogue import (
    ActionCatalogue,
    ActionSpec,
    ForeignAction,
    action_type,
    definition_text,
    normalised,
)
from shared.domain.definition import ActionDefinition
from shared.domain.errors import InvalidInput, Misconfigured
from shared.domain.parameters import parameters_schema
from shared.domain.triggers import ForeignTrigger
from tests.support.builders import CATALOGUE
from tests.unit.documents import EXAMPLE, LOG, RICH

TEMPLATED = {
    **EXAMPLE,
    "actions": [
        {"type": "delay", "duration": "${ input.wait }"},
        {
            "type": "http-request",
            "url": "${ input.url }",
            "followRedirects": "${ input.redirects }",
            "compensate": [{"type": "delay", "duration": "${ input.wait }"}],
        },
    ],
}


class Shout(ActionDefinition):
    """Says it louder."""

    type: Literal["shout"]
    some_text: str = "hey"


class OtherLog(ActionDefinition):
    """Claims a name that is taken."""

    type: Literal["log"]


class Timed(ActionDefinition):
    """Has a length of time as pydantic knows it."""

    type: Literal["timed"]
    rest: timedelta = timedelta(seconds=2)


class Nameless(ActionDefinition):
    """Does not say what its type is."""


class Numbered(ActionDefinition):
    """Has a type that is no string."""

    type: Literal[1]  # type: ignore[assignment]


@pytest.mark.parametrize("document", [EXAMPLE, RICH, TEMPLATED])
def test_a_kept_definition_comes_back_equal(document: dict[str, Any]) -> None:
    parsed = CATALOGUE.parse(document)
    assert CATALOGUE.restore(normalised(parsed)) == parsed
    assert CATALOGUE.restore_text(definition_text(parsed)) == parsed
    assert CATALOGUE.parse(normalised(parsed)) == parsed
    again = CATALOGUE.restore_text(definition_text(parsed))
    assert definition_text(again) == definition_text(parsed)


def test_an_action_of_an_unknown_type_is_kept_as_a_foreign_one() -> None:
    wider = ActionCatalogue([*BUILT_IN_ACTIONS, ActionSpec(Shout)])
    written: JsonValue = {"type": "shout", "someText": "ho", "retry": {"retries": 1}}
    parsed = wider.parse({**EXAMPLE, "actions": [written, LOG]})
    for restored in (
        CATALOGUE.restore(normalised(parsed)),
        CATALOGUE.restore_text(definition_text(parsed)),
    ):
        foreign, known = restored.actions
        assert isinstance(foreign, ForeignAction)
        assert (foreign.key, foreign.type) == ("shout-1", "shout")
        assert foreign.model_extra == {"someText": "ho"}
        assert restored.retry_policy(foreign).retries == 1
        assert known.model_dump() == parsed.actions[1].model_dump()
        assert restored.trigger == parsed.trigger


LATER: dict[str, JsonValue] = {"type": "periodic", "interval": "10s", "spread": "2s"}
"""A trigger with a member that some later release may bring."""


def test_a_stored_trigger_that_cannot_be_read_is_kept_as_a_foreign_one() -> None:
    stored = {**normalised(CATALOGUE.parse(EXAMPLE)), "trigger": LATER}
    restored = CATALOGUE.restore(stored)
    assert isinstance(restored.trigger, ForeignTrigger)
    assert normalised(restored) == stored
    assert CATALOGUE.restore_text(definition_text(restored)) == restored


def test_a_trigger_that_cannot_be_read_is_refused_when_somebody_writes_it() -> None:
    with pytest.raises(InvalidInput) as refused:
        CATALOGUE.parse({**EXAMPLE, "trigger": LATER})
    assert [problem.pointer for problem in refused.value.problems] == ["/trigger/spread"]


def test_a_catalogue_knows_the_types_of_its_models() -> None:
    assert CATALOGUE.types == (
        "log",
        "http-request",
        "delay",
        "transform",
        "fail",
        "mongodb",
        "kafka-publish",
    )
    assert action_type(Shout) == "shout"
    only = ActionCatalogue([ActionSpec(Shout)])
    parsed = only.parse({**EXAMPLE, "actions": [{"type": "shout"}]})
    (action,) = parsed.actions
    assert isinstance(action, Shout)
    assert action.key == "shout-1"


@pytest.mark.parametrize(
    ("models", "saying"),
    [
        ([LogAction, OtherLog], r"Two actions.*'log'.*LogAction.*OtherLog"),
        ([Nameless], r"Nameless must declare"),
        ([Numbered], r"Numbered must name"),
    ],
)
def test_a_wrong_set_of_models_is_a_misconfiguration(
    models: list[type[ActionDefinition]], saying: str
) -> None:
    with pytest.raises(Misconfigured, match=saying):
        ActionCatalogue(map(ActionSpec, models))


def test_the_schema_is_valid_and_accepts_what_is_accepted() -> None:
    schema = CATALOGUE.json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for document in (EXAMPLE, TEMPLATED, normalised(CATALOGUE.parse(RICH))):
        assert list(validator.iter_errors(document)) == []
        assert CATALOGUE.parse(document).workflow_id == document["workflowId"]


def test_the_schema_shows_defaults_as_they_are_written() -> None:
    kinds = CATALOGUE.json_schema()["$defs"]
    assert kinds["Backoff"]["properties"]["initial"]["default"] == "2s"
    assert kinds["MongodbAction"]["properties"]["timeout"]["default"] == "30s"
    http = next(spec for spec in CATALOGUE.specs if spec.name == "http-request")
    timeouts = parameters_schema(http)["$defs"]["HttpTimeouts"]["properties"]
    assert timeouts["connect"]["default"] == "5s"


def test_a_length_of_time_in_iso_8601_stays_one() -> None:
    schema = parameters_schema(ActionSpec(Timed))
    assert schema["properties"]["rest"]["default"] == "PT2S"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"workflowId": "a b"}, ["workflowId"]),
        ({"trigger": {"type": "cron"}}, ["trigger"]),
        ({"actions": []}, ["actions"]),
        ({"actions": [{"type": "log"}]}, ["actions", 0]),
        ({"actions": [LOG] * 101}, ["actions"]),
        ({"extra": 1}, []),
        ({"retry": {"retries": 51}}, ["retry", "retries"]),
    ],
)
def test_the_schema_refuses_what_is_refused(change: dict[str, Any], path: list[Any]) -> None:
    errors = list(Draft202012Validator(CATALOGUE.json_schema()).iter_errors({**EXAMPLE, **change}))
    assert [list(error.absolute_path)[: len(path)] for error in errors] == [path]
