"""The notifier's settings, from the environment."""

from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from messaging.settings import ServiceSettings
from services.notifier.mailbox import Mailbox, parse_mailbox
from services.notifier.mailer import SmtpServer, parse_smtp_url

_LONGEST_RETRY_SECONDS = 48 * 3600
_FIRST_RETRIES_SECONDS = (60, 300, 900, 1800)


def _default_retries() -> tuple[float, ...]:
    """1, 5, 15, 30 minutes, then every hour, up to 48 hours in all."""
    hours = (_LONGEST_RETRY_SECONDS - sum(_FIRST_RETRIES_SECONDS)) // 3600
    return (*_FIRST_RETRIES_SECONDS, *(3600 for _ in range(hours)))


def _seconds(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        waits = tuple(float(part) for part in value.split(","))
    except ValueError:
        raise ValueError("must be seconds, comma-separated, such as 60,300,900") from None
    if not all(0 <= wait <= _LONGEST_RETRY_SECONDS for wait in waits):
        raise ValueError("must be between 0 and 172800 seconds each")
    return waits


def _link_base(value: object) -> object:
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return value.rstrip("/")
    raise ValueError("must start with http:// or https://")


class Settings(ServiceSettings):
    smtp_url: Annotated[SmtpServer, NoDecode, BeforeValidator(parse_smtp_url)]
    mail_from: Annotated[Mailbox, NoDecode, BeforeValidator(parse_mailbox)] = parse_mailbox("coaching@localhost")
    mail_support: Annotated[Mailbox, NoDecode, BeforeValidator(parse_mailbox)] = parse_mailbox("support@localhost")
    link_base_url: Annotated[str, BeforeValidator(_link_base)] = "http://127.0.0.1:8080"
    mail_shows_balance: bool = True
    mail_max_age_days: Annotated[float, Field(gt=0)] = 7
    mail_per_reader_per_minute: Annotated[int, Field(ge=1)] = 30
    smtp_retry_seconds: Annotated[tuple[float, ...], NoDecode, BeforeValidator(_seconds)] = _default_retries()
    smtp_unknown_retry_seconds: Annotated[float, Field(ge=0)] = 900
    smtp_lease_seconds: Annotated[float, Field(ge=5, le=3600)] = 60
