"""What the Compose file promises, checked without a Docker engine."""

from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.integration.deployment import (
    DEPENDENCIES,
    SETTINGS,
    default,
    each_service,
    loaded_with,
    run_tool,
)
from tests.support.servers import ROOT


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(ROOT / "docker-compose.yaml")
    return loaded


def service_of(compose: dict[str, Any], package: str) -> dict[str, Any]:
    """Return the Compose service that is built from a package."""
    dockerfile = f"{package}/Dockerfile"
    services: list[dict[str, Any]] = list(compose["services"].values())
    (found,) = (s for s in services if s.get("build", {}).get("dockerfile") == dockerfile)
    return found


class TestCompose:
    def test_the_file_follows_the_schema_of_compose(self) -> None:
        run_tool(
            "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yaml"
        )

    def test_only_the_dependencies_start_without_a_profile(self, compose: dict[str, Any]) -> None:
        services = compose["services"]
        assert {name for name, s in services.items() if "profiles" not in s} == DEPENDENCIES
        assert len(services) == len(DEPENDENCIES) + len(SETTINGS)
        for package in SETTINGS:
            assert service_of(compose, package)["profiles"] == ["services"]

    @each_service
    def test_the_service_accepts_its_environment(
        self, package: str, compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loaded_with(service_of(compose, package)["environment"], package, monkeypatch)

    @each_service
    def test_the_service_waits_for_healthy_dependencies(
        self, package: str, compose: dict[str, Any]
    ) -> None:
        waits = service_of(compose, package)["depends_on"]
        assert waits == {name: {"condition": "service_healthy"} for name in DEPENDENCIES}
        assert all("healthcheck" in compose["services"][name] for name in DEPENDENCIES)

    @each_service
    def test_the_service_gets_no_more_rights_than_it_needs(
        self, package: str, compose: dict[str, Any]
    ) -> None:
        service = service_of(compose, package)
        assert service["read_only"] is True
        assert service["tmpfs"] == ["/tmp"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]

    @each_service
    def test_the_service_is_given_the_time_it_may_take_to_stop(
        self, package: str, compose: dict[str, Any]
    ) -> None:
        grace = int(service_of(compose, package)["stop_grace_period"].removesuffix("s"))
        drain = SETTINGS[package].model_fields["drain"].default
        assert grace > 3 * drain.total_seconds()

    @each_service
    def test_the_service_is_reached_on_its_own_port(
        self, package: str, compose: dict[str, Any]
    ) -> None:
        port = SETTINGS[package].model_fields["port"].default
        assert service_of(compose, package)["ports"] == [f"127.0.0.1:{port}:{port}"]

    def test_nothing_is_reachable_from_other_machines(self, compose: dict[str, Any]) -> None:
        ports = [port for s in compose["services"].values() for port in s["ports"]]
        assert len(ports) == len(compose["services"])
        assert all(port.startswith("127.0.0.1:") for port in ports)

    def test_the_data_survives_the_containers(self, compose: dict[str, Any]) -> None:
        mounts = [compose["services"][name]["volumes"] for name in DEPENDENCIES]
        assert {volume.partition(":")[0] for (volume,) in mounts} == set(compose["volumes"])
        assert compose["services"]["kafka"]["volumes"] == [
            f"kafka-data:{compose['services']['kafka']['environment']['KAFKA_LOG_DIRS']}"
        ]

    def test_the_default_database_address_leads_to_the_replica_set(
        self, compose: dict[str, Any]
    ) -> None:
        address, _, name = default("mongodb_uri").removeprefix("mongodb://").partition("/?")
        mongodb = compose["services"]["mongodb"]
        initiation = mongodb["environment"]["BECOME_PRIMARY"]
        assert f'_id: "{name.removeprefix("replicaSet=")}"' in initiation
        assert f'host: "{address}"' in initiation
        assert mongodb["ports"] == [f"{address}:27017"]
        assert "BECOME_PRIMARY" in mongodb["healthcheck"]["test"][-1]

    def test_both_ways_to_kafka_are_advertised(self, compose: dict[str, Any]) -> None:
        kafka = compose["services"]["kafka"]
        listeners = kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
        within = service_of(compose, "runner_svc")["environment"]["KAFKA_BOOTSTRAP_SERVERS"]
        outside = default("kafka_bootstrap_servers")
        assert kafka["ports"] == [f"{outside}:9092"]
        assert {listener.partition("://")[2] for listener in listeners} == {
            within,
            outside.replace("127.0.0.1", "localhost"),
        }

    def test_no_topic_appears_by_mistake(self, compose: dict[str, Any]) -> None:
        environment = compose["services"]["kafka"]["environment"]
        assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
