"""Parts that somebody else runs, known by their addresses in the environment."""

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

from devstack.broker import broker_answers
from devstack.mail import mail_answers
from devstack.mailbox import Mailbox, mailbox_at
from devstack.parts import Part, StackError, host_and_port, until
from devstack.postgres import postgres_answers

PATIENCE_SECONDS = 10.0


class GivenPart:
    """A part that is there already: starting it waits until it answers, stopping it does nothing."""

    def __init__(
        self,
        name: str,
        address: str,
        answers: Callable[[str], Awaitable[bool]],
        *,
        variable: str,
        mailbox: Mailbox | None = None,
    ) -> None:
        """`variable` is where the address comes from."""
        self.name, self.address, self.mailbox = name, address, mailbox
        self._answers, self._variable = answers, variable
        self.note = f"{host_and_port(address)}    as {variable} says"

    async def start(self) -> None:
        if not await until(self.healthy, PATIENCE_SECONDS):
            raise StackError(
                f"{self.name}: nothing answers at {host_and_port(self.address)}, where {self._variable} points; "
                f"use a part of our own with: unset {self._variable}"
            )

    async def healthy(self) -> bool:
        return await self._answers(self.address)

    async def stop(self) -> None: ...


def given_postgres(environment: Mapping[str, str]) -> Part | None:
    """The server behind DATABASE_URL, the URL of a superuser: databases and roles are made on it."""
    url = environment.get("DATABASE_URL")
    if not url:
        return None
    _check_url("DATABASE_URL", url, ("postgresql", "postgres"), "postgresql://user:password@host:5432/postgres")
    return GivenPart("postgres", url, postgres_answers, variable="DATABASE_URL")


def given_broker(environment: Mapping[str, str]) -> Part | None:
    """The cluster behind KAFKA_BOOTSTRAP_SERVERS."""
    servers = environment.get("KAFKA_BOOTSTRAP_SERVERS")
    if not servers:
        return None
    for server in servers.split(","):
        _check_url("KAFKA_BOOTSTRAP_SERVERS", f"kafka://{server.strip()}", ("kafka",), "host:9092")
    return GivenPart("broker", servers, broker_answers, variable="KAFKA_BOOTSTRAP_SERVERS")


def given_mail(environment: Mapping[str, str]) -> GivenPart | None:
    """The server behind SMTP_URL; MAIL_API_URL, where MailDev's page is, tells what it received."""
    url = environment.get("SMTP_URL")
    if not url:
        return None
    _check_url("SMTP_URL", url, ("smtp", "smtp+starttls", "smtps"), "smtp://host:1025")
    api_url = environment.get("MAIL_API_URL")
    mailbox = mailbox_at(api_url) if api_url else None
    return GivenPart("mail", url, mail_answers, variable="SMTP_URL", mailbox=mailbox)


def _check_url(variable: str, url: str, schemes: tuple[str, ...], example: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in schemes and parts.hostname and (parts.port or variable == "DATABASE_URL")
    except ValueError:  # a port that is no number
        usable = False
    if not usable:
        raise StackError(f"{variable} is not of the form {example}; correct it with: export {variable}={example}")
