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


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


Servers = Annotated[str, AfterValidator(_servers)]
LogLevel = Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_lower)]


class ServiceSettings(BaseSettings):
    """What every service needs. Each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True,
        validate_default=False,
        str_strip_whitespace=True,
        frozen=True,
        extra="ignore",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
    )

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
        )


T = TypeVar("T", bound=ServiceSettings)


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
