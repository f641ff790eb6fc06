"""Settings from the environment: each bad or missing one is told in one sentence, together with all the others."""

import os

import pytest
from pydantic import ValidationError

from messaging.faults import Fault
from messaging.settings import BadSettings, ServiceSettings, read_settings
from tests.messaging.toy_service import MIGRATIONS, Settings

GOOD = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "DATABASE_URL": "postgresql://user:secret@127.0.0.1:5432/toy",
}
DATABASE_SENTENCE = "DATABASE_URL: must be postgresql://user:password@host:port/database"
SERVERS_SENTENCE = "KAFKA_BOOTSTRAP_SERVERS: must be host:port[,host:port]"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name in GOOD or name.startswith(("HEALTH_", "LOG_", "FAULT", "DEAD_LETTER_", "TOY_", "OTEL_")):
            monkeypatch.delenv(name)


def read(monkeypatch: pytest.MonkeyPatch, **changes: str) -> ServiceSettings:
    for name, value in {**GOOD, **changes}.items():
        monkeypatch.setenv(name, value)
    return read_settings(Settings)


def test_two_settings_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch).for_worker("toy", MIGRATIONS)
    assert settings.bootstrap_servers == "127.0.0.1:9092"
    assert settings.database_url.render_as_string(False) == "postgresql+asyncpg://user:secret@127.0.0.1:5432/toy"
    assert (settings.health_host, settings.health_port) == ("127.0.0.1", 0)
    assert settings.fault is None
    assert settings.dead_letter_limit
    assert not settings.is_traced


@pytest.mark.parametrize(
    ("name", "told", "field", "value"),
    [
        ("KAFKA_BOOTSTRAP_SERVERS", "one:9092, two:9092", "kafka_bootstrap_servers", "one:9092,two:9092"),
        ("KAFKA_BOOTSTRAP_SERVERS", "[::1]:9092", "kafka_bootstrap_servers", "[::1]:9092"),
        ("HEALTH_PORT", " 8081 ", "health_port", 8081),
        ("HEALTH_PORT", "", "health_port", 0),
        ("LOG_FORMAT", "JSON", "log_format", "json"),
        ("LOG_FORMAT", "", "log_format", None),
        ("LOG_LEVEL", "Warning", "log_level", "warning"),
        ("DEAD_LETTER_LIMIT", "off", "dead_letter_limit", "off"),
        ("FAULT", "before-publish:kill", "fault", Fault("before-publish", "kill", None)),
        ("FAULT", "", "fault", None),
        # a service's own
        ("TOY_SIZE", "5", "toy_size", 5),
    ],
)
def test_a_setting_is_read_as_people_write_it(
    monkeypatch: pytest.MonkeyPatch, name: str, told: str, field: str, value: object
) -> None:
    assert getattr(read(monkeypatch, **{name: told}), field) == value


@pytest.mark.parametrize(
    ("name", "told", "sentence"),
    [
        *(
            ("KAFKA_BOOTSTRAP_SERVERS", told, SERVERS_SENTENCE)
            for told in (
                "localhost",
                "localhost:",
                ":9092",
                "localhost:kafka",
                "localhost:0",
                "localhost:65536",
                "a:1,b",
            )
        ),
        ("KAFKA_BOOTSTRAP_SERVERS", "", "KAFKA_BOOTSTRAP_SERVERS is not set; it is required"),
        *(
            ("DATABASE_URL", told, DATABASE_SENTENCE)
            for told in (
                "toy",
                "mysql://user:secret@127.0.0.1/toy",
                "postgresql://user:secret@127.0.0.1:5432",
                "postgresql:///toy",
                "postgresql://user:secret@127.0.0.1:port/toy",
                "postgresql://user:secret@127.0.0.1:65536/toy",
            )
        ),
        ("DATABASE_URL", " ", "DATABASE_URL: must be"),
        ("HEALTH_PORT", "http", "HEALTH_PORT: input should be a valid integer"),
        ("HEALTH_PORT", "65536", "HEALTH_PORT: input should be less than or equal to 65535"),
        ("LOG_FORMAT", "xml", "LOG_FORMAT: input should be 'text' or 'json'"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL: input should be 'debug', 'info'"),
        ("DEAD_LETTER_LIMIT", "maybe", "DEAD_LETTER_LIMIT: input should be 'on' or 'off'"),
        ("FAULT", "now", "FAULT: must be point:action"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "OTEL_EXPORTER_OTLP_ENDPOINT: must be http://host:port or"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL: input should be 'http/protobuf'"),
        ("OTEL_SDK_DISABLED", "maybe", "OTEL_SDK_DISABLED: input should be a valid boolean"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, told: str, sentence: str
) -> None:
    with pytest.raises(BadSettings) as raised:
        read(monkeypatch, **{name: told})
    assert str(raised.value).startswith(sentence)
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)


def test_all_that_is_missing_is_told_at_once() -> None:
    with pytest.raises(BadSettings) as raised:
        read_settings(Settings)
    assert str(raised.value).splitlines() == [
        "KAFKA_BOOTSTRAP_SERVERS is not set; it is required",
        "DATABASE_URL is not set; it is required",
    ]


@pytest.mark.parametrize(
    ("told", "is_traced"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "True"}, False),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, False),
    ],
)
def test_there_are_traces_where_there_is_somebody_to_take_them(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, str], is_traced: bool
) -> None:
    assert read(monkeypatch, **told).for_worker("toy", MIGRATIONS).is_traced is is_traced


def test_settings_are_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch)
    with pytest.raises(ValidationError):
        settings.health_port = 1  # type: ignore[misc]  # that it cannot be set is what is tested
