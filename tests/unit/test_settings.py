"""What each service can be told through its environment, and what it says to a mistake."""

from datetime import timedelta
from typing import Final

import pytest

from runner_svc.settings import RunnerSettings
from scheduler_svc.settings import SchedulerSettings
from shared.domain.errors import Misconfigured
from shared.runtime.settings import ServiceSettings, load
from workflows_svc.settings import WorkflowsSettings

SETTINGS: Final[tuple[type[ServiceSettings], ...]] = (
    WorkflowsSettings,
    SchedulerSettings,
    RunnerSettings,
)
NAMES: Final = {name.upper() for settings in SETTINGS for name in settings.model_fields}
each_service = pytest.mark.parametrize("settings", SETTINGS)


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what the machine's own environment says."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def loaded(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    settings: type[ServiceSettings] = RunnerSettings,
) -> ServiceSettings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load(settings)


def refusal(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    settings: type[ServiceSettings] = RunnerSettings,
) -> str:
    with pytest.raises(Misconfigured) as refused:
        loaded(monkeypatch, variables, settings)
    return str(refused.value)


@each_service
def test_a_service_needs_no_variable(settings: type[ServiceSettings]) -> None:
    made = load(settings)
    assert made.host == "127.0.0.1"
    assert (made.log_level, made.log_format) == ("info", "auto")
    assert made.mongodb_uri.get_secret_value() == "mongodb://127.0.0.1:27017/?replicaSet=rs0"
    assert made.mongodb_database == "workflows"
    assert made.kafka_bootstrap_servers == "127.0.0.1:9092"
    assert made.kafka_topic_prefix == ""
    assert made.kafka_partitions == 4
    assert made.kafka_idempotent_producer is True
    assert made.kafka_security_protocol == "PLAINTEXT"


@each_service
def test_the_waits_are_those_of_the_design(settings: type[ServiceSettings]) -> None:
    made = load(settings)
    assert made.poll_interval == timedelta(seconds=5)
    assert made.lease == timedelta(seconds=30)
    assert made.resend == timedelta(seconds=30)
    assert made.resend_max == timedelta(minutes=5)
    assert made.drain == timedelta(seconds=20)
    assert made.retention == timedelta(days=30)
    assert made.max_recoveries == 5
    timing = made.timing
    assert (timing.lease, timing.resend, timing.resend_max) == (
        made.lease,
        made.resend,
        made.resend_max,
    )
    assert (timing.retention, timing.max_recoveries) == (made.retention, made.max_recoveries)


def test_each_service_has_a_port_of_its_own() -> None:
    assert [load(settings).port for settings in SETTINGS] == [8081, 8082, 8083]


def test_what_only_one_service_has_has_its_defaults() -> None:
    runner = load(RunnerSettings)
    assert runner.lease_renewal == timedelta(seconds=10)
    assert runner.http_allow_private_addresses is False
    assert load(WorkflowsSettings).body_limit == 2**20
    assert load(WorkflowsSettings).mongodb_timeout == timedelta(seconds=2)
    assert load(SchedulerSettings).scheduler_batch == 1000


@each_service
def test_the_environment_decides(
    settings: type[ServiceSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {
        "PORT": "0",
        "HOST": "0.0.0.0",
        "LOG_LEVEL": "debug",
        "MONGODB_URI": "mongodb://u:p@db/?replicaSet=x",
        "MONGODB_TIMEOUT": "1500ms",
        "KAFKA_BOOTSTRAP_SERVERS": "a:1,b:2",
        "KAFKA_PARTITIONS": "12",
        "KAFKA_IDEMPOTENT_PRODUCER": "false",
        "KAFKA_SASL_PASSWORD": "secret",
        "POLL_INTERVAL": "250ms",
        "LEASE": "2m",
        "RETENTION": "24h",
    }
    made = loaded(monkeypatch, variables, settings)
    assert (made.port, made.host, made.log_level) == (0, variables["HOST"], "debug")
    assert made.mongodb_uri.get_secret_value() == variables["MONGODB_URI"]
    assert made.mongodb_timeout == timedelta(milliseconds=1500)
    assert (made.kafka_bootstrap_servers, made.kafka_partitions) == ("a:1,b:2", 12)
    assert made.kafka_idempotent_producer is False
    assert (made.poll_interval, made.lease) == (timedelta(milliseconds=250), timedelta(minutes=2))
    assert made.retention == timedelta(hours=24)


def test_the_case_of_a_variable_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(monkeypatch, {"lease": "40s"}).lease == timedelta(seconds=40)


@each_service
def test_secrets_are_not_shown(
    settings: type[ServiceSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {"MONGODB_URI": "mongodb://u:hidden@db/", "KAFKA_SASL_PASSWORD": "hidden"}
    made = loaded(monkeypatch, variables, settings)
    assert "hidden" not in repr(made) + str(made) + made.model_dump_json()


@each_service
def test_settings_do_not_change(settings: type[ServiceSettings]) -> None:
    made = load(settings)
    with pytest.raises(ValueError, match="frozen"):
        setattr(made, "port", 1)  # noqa: B010 - the type checker refuses the plain form


def test_a_longest_wait_below_the_first_is_raised_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made = loaded(monkeypatch, {"RESEND": "10m"})
    assert made.timing.resend_max == timedelta(minutes=10)


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("MONGODB_URL", "MONGODB_URI"),
        ("MONGO_DB_URI", "MONGODB_URI"),
        ("KAFKA_BOOTSTRAP_SERVER", "KAFKA_BOOTSTRAP_SERVERS"),
        ("KAFKA_BOOTSTRAPSERVERS", "KAFKA_BOOTSTRAP_SERVERS"),
        ("POLL_INTERVALL", "POLL_INTERVAL"),
        ("LEASE_RENEWALS", "LEASE_RENEWAL"),
        ("RUNNER_CONCURENCY", "RUNNER_CONCURRENCY"),
        ("HTTP_ALLOW_PRIVATE_ADDRESS", "HTTP_ALLOW_PRIVATE_ADDRESSES"),
        ("max_recoverie", "MAX_RECOVERIES"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, misspelt: str, meant: str
) -> None:
    said = refusal(monkeypatch, {misspelt: "1"})
    assert f"The variable {misspelt.upper()} is set" in said
    assert f"Did you mean {meant}?" in said


@pytest.mark.parametrize(
    "variables",
    [
        {"PATH_TO_SOMETHING": "x"},
        {"PROT": "1"},
        {"SECRET_TOKEN": "x"},
        {"KAFKA_HOME": "/opt/kafka"},
        {"MONGODB_VERSION": "8"},
        {"SCHEDULER_BATCH": "10"},
        {"LEASE_RENEWAL": "10s", "LEASE_RENEWALS": "10s"},
    ],
    ids=list,
)
def test_other_variables_of_the_machine_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    assert loaded(monkeypatch, variables).port == 8083


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("PORT", "http", "integer"),
        ("PORT", "65536", "65535"),
        ("PORT", "-1", "0"),
        ("LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("LOG_FORMAT", "xml", "'auto', 'console' or 'json'"),
        ("LEASE", "30", "such as '500ms'"),
        ("LEASE", "half a minute", "such as '500ms'"),
        ("POLL_INTERVAL", "-5s", "such as '500ms'"),
        ("DRAIN", "9000h", "365 days"),
        ("KAFKA_PARTITIONS", "0", "1"),
        ("KAFKA_IDEMPOTENT_PRODUCER", "maybe", "boolean"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS", "'PLAINTEXT', 'SSL', 'SASL_PLAINTEXT' or 'SASL_SSL'"),
        ("MAX_RECOVERIES", "-1", "0"),
    ],
)
@each_service
def test_a_wrong_value_is_refused_with_the_variable_and_what_would_be_right(
    settings: type[ServiceSettings],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    right: str,
) -> None:
    said = refusal(monkeypatch, {name: value}, settings)
    assert said.startswith("Wrong settings. ")
    assert f"{name}: " in said
    assert right in said


def test_every_wrong_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, {"PORT": "x", "LEASE": "x", "DRAIN": "1s"})
    assert "PORT: " in said
    assert "LEASE: " in said
    assert "DRAIN" not in said


def test_a_wrong_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"MONGODB_URI": "mongodb://u:hidden@db/", "PORT": "x"}
    assert "hidden" not in refusal(monkeypatch, variables)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"RETENTION": "23h"}, "RETENTION must be at least 24h"),
        ({"POLL_INTERVAL": "0s"}, "POLL_INTERVAL and LEASE must be longer than 0"),
        ({"LEASE": "0s"}, "POLL_INTERVAL and LEASE must be longer than 0"),
        ({"LEASE_RENEWAL": "16s"}, "LEASE_RENEWAL must be longer than 0 and at most half of LEASE"),
        ({"LEASE_RENEWAL": "0s"}, "LEASE_RENEWAL must be longer than 0"),
        ({"LEASE": "19s"}, "LEASE_RENEWAL must be longer than 0 and at most half of LEASE"),
    ],
    ids=str,
)
def test_values_that_do_not_go_together_are_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], says: str
) -> None:
    assert says in refusal(monkeypatch, variables)


@pytest.mark.parametrize(
    ("settings", "variables"),
    [
        (WorkflowsSettings, {"BODY_LIMIT": "1023"}),
        (WorkflowsSettings, {"BODY_LIMIT": str(8 * 2**20 + 1)}),
        (SchedulerSettings, {"SCHEDULER_BATCH": "0"}),
        (SchedulerSettings, {"SCHEDULER_BATCH": "5001"}),
        (SchedulerSettings, {"SCHEDULER_READ_AHEAD": "0"}),
        (RunnerSettings, {"RUNNER_CONCURRENCY": "0"}),
        (RunnerSettings, {"RUNNER_BATCH": "5001"}),
        (RunnerSettings, {"HTTP_CONCURRENCY": "0"}),
        (RunnerSettings, {"HTTP_RESPONSE_LIMIT": "-1"}),
        (RunnerSettings, {"HTTP_BODY_KEPT": str(2**19 + 1)}),
    ],
    ids=str,
)
def test_numbers_have_limits(
    monkeypatch: pytest.MonkeyPatch, settings: type[ServiceSettings], variables: dict[str, str]
) -> None:
    (name,) = variables
    assert f"{name}: " in refusal(monkeypatch, variables, settings)


@each_service
def test_every_setting_of_a_service_is_explained(settings: type[ServiceSettings]) -> None:
    fields = settings.model_fields
    explained = {name for name, field in fields.items() if field.description}
    assert all(
        name.startswith(("kafka_sasl", "kafka_ssl", "kafka_security"))
        for name in fields.keys() - explained
    )
