"""Settings from the environment: validated once, frozen, never read again. A bad one is told in one sentence."""

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import URL

from messaging.database import parse_database_url
from messaging.faults import Fault
from messaging.logs import LogFormat
from messaging.worker import WorkerSettings


class BadSettings(ValueError):
    """One sentence a setting, a line each."""


def _servers(value: str) -> str:
    for server in value.split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError("must be host:port[,host:port]")
    return value.replace(" ", "")


def _collector(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("must be http://host:port or https://host:port; OTLP over HTTP listens on 4318")
    return value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


Servers = Annotated[str, AfterValidator(_servers)]
Collector = Annotated[str, AfterValidator(_collector)]
LogLevel = Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_lower)]


class TracingSettings(BaseSettings):
    """Whether there are traces, in OpenTelemetry's own names. Each field is the variable of the same name in capitals.

    Its other variables (with which headers, how much, how soon) are read by OpenTelemetry itself.
    """

    model_config = SettingsConfigDict(
        env_ignore_empty=True,
        validate_default=False,
        str_strip_whitespace=True,
        frozen=True,
        extra="ignore",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
    )

    otel_exporter_otlp_endpoint: Collector | None = None
    otel_exporter_otlp_traces_endpoint: Collector | None = None
    otel_exporter_otlp_protocol: Literal["http/protobuf"] = "http/protobuf"
    otel_sdk_disabled: Annotated[bool, BeforeValidator(_lower)] = False

    @property
    def is_traced(self) -> bool:
        endpoint = self.otel_exporter_otlp_traces_endpoint or self.otel_exporter_otlp_endpoint
        return endpoint is not None and not self.otel_sdk_disabled


class ServiceSettings(TracingSettings):
    """What every service needs."""

    kafka_bootstrap_servers: Servers
    database_url: Annotated[URL, NoDecode, BeforeValidator(parse_database_url)]
    health_host: str = "127.0.0.1"
    health_port: Annotated[int, Field(ge=0, le=65535)] = 0
    log_format: Annotated[LogFormat | None, BeforeValidator(_lower)] = None
    log_level: LogLevel = "info"
    dead_letter_limit: Literal["on", "off"] = "on"
    fault: Annotated[Fault | None, NoDecode, BeforeValidator(lambda value: Fault.parse(value) if value else None)] = (
        None
    )

    def for_worker(self, group: str, migrations: Path) -> WorkerSettings:
        return WorkerSettings(
            group=group,
            bootstrap_servers=self.kafka_bootstrap_servers,
            database_url=self.database_url,
            migrations=migrations,
            health_host=self.health_host,
            health_port=self.health_port,
            fault=self.fault,
            dead_letter_limit=self.dead_letter_limit == "on",
            is_traced=self.is_traced,
        )


T = TypeVar("T", bound=TracingSettings)


def read_settings(kind: type[T]) -> T:
    """Raises BadSettings, which names each setting that is missing or unusable and says what it must be."""
    try:
        return kind()
    except ValidationError as error:
        raise BadSettings("\n".join(_sentences(error))) from None


def _sentences(error: ValidationError) -> list[str]:
    sentences = []
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        name = str(problem["loc"][0]).upper()
        said = problem["msg"].removeprefix("Value error, ")
        said = said[0].lower() + said[1:]
        sentences.append(f"{name} is not set; it is required" if problem["type"] == "missing" else f"{name}: {said}")
    return sentences
