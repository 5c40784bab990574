"""Which databases and brokers the actions of a runner may reach, told by its environment."""

import pytest
from pydantic import SecretStr

from runner_svc.bootstrap import connections, kafka_clusters
from runner_svc.settings import RunnerSettings
from shared.domain.errors import Misconfigured
from shared.runtime.settings import load


def settings() -> RunnerSettings:
    return RunnerSettings(kafka_bootstrap_servers="own-1:9092,own-2:9092", kafka_topic_prefix="p-")


def test_the_name_of_a_connection_is_the_rest_of_the_variable_in_small_letters() -> None:
    environment = {
        "MONGODB_CONNECTION_ORDERS": "mongodb://a",
        "MONGODB_CONNECTION_EMPTY": "",
        "MONGODB_URI": "mongodb://the-platforms-own",
    }
    assert connections(environment, "MONGODB_CONNECTION_") == {"orders": "mongodb://a"}


def test_the_variables_are_no_misspelt_settings() -> None:
    names = ("MONGODB_CONNECTION_URI", "KAFKA_CONNECTION_DEFAULT", "KAFKA_CONNECTION_TOPIC_PREFIX")
    load(RunnerSettings, dict.fromkeys(names, "x"))


def test_the_default_cluster_is_the_platforms_own_without_its_own_topics() -> None:
    clusters = kafka_clusters(settings(), {})
    assert set(clusters) == {"default"}
    assert clusters["default"].connection["bootstrap_servers"] == "own-1:9092,own-2:9092"
    assert clusters["default"].closed_topics == {
        "p-execution-requests",
        "p-execution-requests.dlq",
        "p-notices",
    }


def test_the_platforms_topics_stay_closed_under_another_name_of_its_brokers() -> None:
    clusters = kafka_clusters(settings(), {"KAFKA_CONNECTION_SAME": "other:1, own-2:9092"})
    assert "p-notices" in clusters["same"].closed_topics


def test_another_cluster_has_no_closed_topics_and_none_of_the_platforms_credentials() -> None:
    own = settings().model_copy(
        update={"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_username": "platform"}
    )
    environment = {"KAFKA_CONNECTION_DEFAULT": "else:1", "KAFKA_CONNECTION_EAST": "east:1"}
    clusters = kafka_clusters(own, environment)
    for name, servers in {"default": "else:1", "east": "east:1"}.items():
        assert clusters[name].closed_topics == frozenset()
        assert clusters[name].connection == {
            "bootstrap_servers": servers,
            "client_id": "runner-svc",
        }


def test_a_cluster_does_not_show_its_password() -> None:
    password = SecretStr("s3cret-word")
    clusters = kafka_clusters(settings().model_copy(update={"kafka_sasl_password": password}), {})
    assert clusters["default"].connection["sasl_plain_password"] == "s3cret-word"
    assert "s3cret-word" not in repr(clusters)


def test_an_address_that_is_none_names_its_variable() -> None:
    with pytest.raises(Misconfigured, match="KAFKA_CONNECTION_EAST 'east' must be host:port"):
        kafka_clusters(settings(), {"KAFKA_CONNECTION_EAST": "east"})
