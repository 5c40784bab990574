"""What the definitions of `mongodb` and `kafka-publish` may say, and what they may not."""

from typing import Any

import pytest

from shared.domain.actions import KAFKA_PUBLISH, MONGODB
from shared.domain.catalogue import ActionCatalogue, definition_text, normalised
from shared.domain.data_actions import KafkaPublishAction, MongodbAction
from shared.domain.definition import ActionDefinition, WorkflowDefinition
from shared.domain.errors import InvalidInput

CATALOGUE = ActionCatalogue([MONGODB, KAFKA_PUBLISH])
PLACE = {"type": "mongodb", "database": "shop", "collection": "orders"}
FIND = {**PLACE, "operation": "find"}
INSERT = {**PLACE, "operation": "insert", "documents": [{"a": None}]}
UPDATE = {**PLACE, "operation": "update", "filter": {}, "update": {"$set": {"a": None}}}
DELETE = {**PLACE, "operation": "delete", "filter": {}}
PUBLISH = {"type": "kafka-publish", "topic": "orders", "value": {"n": 1}}


def workflow(action: dict[str, Any]) -> WorkflowDefinition:
    return CATALOGUE.parse({"workflowId": "w", "trigger": {"type": "manual"}, "actions": [action]})


def parsed(action: dict[str, Any]) -> ActionDefinition:
    return workflow(action).actions[0]


def refusal(action: dict[str, Any]) -> tuple[str, str]:
    """Return the pointer, from the action on, and the sentence of the one problem there is."""
    with pytest.raises(InvalidInput) as raised:
        workflow(action)
    (problem,) = raised.value.problems
    return problem.pointer.removeprefix("/actions/0"), problem.detail


@pytest.mark.parametrize(
    "action",
    [
        FIND,
        {**FIND, "filter": {"a": {"$gt": 1}}, "projection": {"a": 1}, "sort": {"b": -1, "a": 1}},
        {**FIND, "limit": 1000, "readConcern": "local", "writeConcern": 1},
        INSERT,
        UPDATE,
        {**UPDATE, "update": [{"$set": {"a": "$b"}}, {"$unset": "b"}], "many": True},
        {**UPDATE, "upsert": True, "many": False, "connection": "orders_2"},
        DELETE,
        {**DELETE, "filter": {"_id": {"$oid": "0" * 24}}, "many": True, "timeout": "2m"},
        PUBLISH,
        {**PUBLISH, "key": "k", "headers": {"source": "here"}, "cluster": "other"},
        {**PUBLISH, "value": None},
    ],
)
def test_a_definition_survives_being_stored(action: dict[str, Any]) -> None:
    definition = workflow(action)
    assert CATALOGUE.restore(normalised(definition)) == definition
    assert CATALOGUE.restore_text(definition_text(definition)) == definition


def test_defaults_are_the_strong_ones() -> None:
    action = parsed(DELETE)
    assert isinstance(action, MongodbAction)
    assert (action.read_concern, action.write_concern) == ("snapshot", "majority")
    assert (action.connection, action.many, action.timeout.seconds) == ("default", None, 30)


def test_the_key_of_a_message_is_not_the_key_of_the_action() -> None:
    action = parsed({**PUBLISH, "key": "customer-7"})
    assert isinstance(action, KafkaPublishAction)
    assert (action.key, action.message_key) == ("kafka-publish-1", "customer-7")


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ({**PLACE, "operation": "insert"}, "documents"),
        ({**PLACE, "operation": "delete"}, "filter"),
        ({**DELETE, "filter": None, "many": True}, "filter"),
        ({**PLACE, "operation": "update", "update": {"$inc": {"n": 1}}}, "filter"),
        ({**PLACE, "operation": "update", "filter": {}}, "update"),
    ],
)
def test_an_operation_requires_its_fields(action: dict[str, Any], name: str) -> None:
    pointer, detail = refusal(action)
    assert pointer == f"/{name}"
    assert detail.startswith(f"is required by the operation '{action['operation']}'")
    assert ("{} means every document" in detail) == (name == "filter")


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ({**FIND, "update": {"$inc": {"n": 1}}}, "update"),
        ({**FIND, "many": False}, "many"),
        ({**INSERT, "filter": {}}, "filter"),
        ({**INSERT, "upsert": True}, "upsert"),
        ({**UPDATE, "limit": 1}, "limit"),
        ({**UPDATE, "documents": [{}]}, "documents"),
        ({**DELETE, "sort": {"a": 1}}, "sort"),
        ({**DELETE, "upsert": True}, "upsert"),
    ],
)
def test_an_operation_takes_no_field_of_another(action: dict[str, Any], name: str) -> None:
    said = f"has no meaning for the operation '{action['operation']}'"
    assert refusal(action) == (f"/{name}", said)


@pytest.mark.parametrize(
    ("changed", "pointer", "said"),
    [
        ({"filter": {"$where": "1"}}, "/filter", "JavaScript on the server is not allowed"),
        ({"filter": {"$or": [{"a": {"$expr": {"$function": {}}}}]}}, "/filter", "'$function'"),
        ({"filter": {"$expr": {"$accumulator": {}}}}, "/filter", "'$accumulator'"),
        ({"update": [{"$set": {"a": {"$function": {}}}}]}, "/update", "'$function'"),
        ({"update": [{"$set": {"a": 1}}, {"$out": "x"}]}, "/update", "only the named collection"),
        ({"update": [{"$merge": {"into": "x"}}]}, "/update", "'$merge'"),
        ({"update": {"a": 1}}, "/update", "has 'a' where an update operator"),
        ({"update": {}}, "/update", "must be an object of update operators"),
        ({"update": []}, "/update", "must have at least one stage"),
        ({"update": "x"}, "/update", "must be an object of update operators"),
        ({"database": "admin"}, "/database", "belongs to MongoDB itself"),
        ({"database": "Local"}, "/database", "belongs to MongoDB itself"),
        ({"database": "config"}, "/database", "belongs to MongoDB itself"),
        ({"database": "a.b"}, "/database", "must have 1 to 63 bytes"),
        ({"database": ""}, "/database", "must have 1 to 63 bytes"),
        ({"database": "ä" * 32}, "/database", "must have 1 to 63 bytes"),
        ({"collection": "system.users"}, "/collection", "belongs to MongoDB itself"),
        ({"collection": "workflow_action_results"}, "/collection", "keeps the results of actions"),
        ({"collection": "a$b"}, "/collection", "must have 1 to 190 bytes"),
        ({"collection": ".a"}, "/collection", "must have 1 to 190 bytes"),
        ({"collection": ""}, "/collection", "must have 1 to 190 bytes"),
        ({"connection": "ORDERS"}, "/connection", "must match"),
        ({"operation": "aggregate"}, "/operation", "must be one of"),
        ({"readConcern": "linearizable"}, "/readConcern", "must be one of"),
        ({"writeConcern": 0}, "/writeConcern", "must be one of"),
        ({"many": "yes"}, "/many", "must be true or false"),
        ({"upsert": 1}, "/upsert", "must be true or false"),
        ({"timeout": "0s"}, "/timeout", "must be longer than 0 and at most 2m"),
        ({"timeout": "121s"}, "/timeout", "must be longer than 0 and at most 2m"),
        ({"hint": "a"}, "/hint", "is not a known field"),
    ],
)
def test_what_an_update_may_not_say(changed: dict[str, Any], pointer: str, said: str) -> None:
    where, detail = refusal({**UPDATE, **changed})
    assert where == pointer
    assert said in detail


@pytest.mark.parametrize(
    ("action", "pointer", "said"),
    [
        ({**FIND, "projection": {"a": {"$function": {}}}}, "/projection", "'$function'"),
        ({**FIND, "sort": {"a": 2}}, "/sort/a", "must be one of"),
        ({**FIND, "sort": {}}, "/sort", "must have at least 1 item"),
        ({**FIND, "limit": 0}, "/limit", "must be at least 1"),
        ({**FIND, "limit": 1001}, "/limit", "must be at most 1000"),
        ({**FIND, "limit": "5"}, "/limit", "must be a whole number"),
        ({**INSERT, "documents": []}, "/documents", "must have at least 1 item"),
        ({**INSERT, "documents": [{}] * 1001}, "/documents", "must have at most 1000 items"),
        ({**INSERT, "documents": [1]}, "/documents/0", "must be an object"),
        ({**PUBLISH, "topic": "a b"}, "/topic", "must be a Kafka topic"),
        ({**PUBLISH, "topic": ".."}, "/topic", "must be a Kafka topic"),
        ({**PUBLISH, "topic": "a" * 250}, "/topic", "must be a Kafka topic"),
        ({**PUBLISH, "topic": "a\n"}, "/topic", "must be a Kafka topic"),
        ({**PUBLISH, "cluster": "a-b"}, "/cluster", "must match"),
        ({**PUBLISH, "key": 1}, "/key", "must be a string"),
        ({**PUBLISH, "headers": {"a": 1}}, "/headers/a", "must be a string"),
        ({**PUBLISH, "headers": {"": "x"}}, "/headers", "is empty"),
        ({**PUBLISH, "headers": {"a": "x" * 8193}}, "/headers", "longer than 8192"),
        ({**PUBLISH, "headers": {"Idempotency-Key": "x"}}, "/headers", "set by the platform"),
        ({**PUBLISH, "headers": {str(n): "" for n in range(65)}}, "/headers", "at most 64"),
    ],
)
def test_what_other_actions_may_not_say(action: dict[str, Any], pointer: str, said: str) -> None:
    where, detail = refusal(action)
    assert where == pointer
    assert said in detail


def test_data_may_look_like_operators_where_nothing_evaluates_it() -> None:
    parsed({**INSERT, "documents": [{"rule": {"$where": "1"}}]})
