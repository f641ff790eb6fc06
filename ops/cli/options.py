"""Options that several commands have."""

from dataclasses import dataclass
from typing import Annotated, Final

from cyclopts import Group, Parameter
from cyclopts.validators import Number

from ops.errors import BadUsage

TIMEOUT_SECONDS: Final = 30.0

Servers = Annotated[
    str | None,
    Parameter(
        env_var="KAFKA_BOOTSTRAP_SERVERS",
        help="Where Kafka is: host:port[,host:port].",
        show_default=False,
        metavar="HOST:PORT",
    ),
]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Timeout = Annotated[
    float, Parameter(metavar="SECONDS", validator=Number(gt=0), help="How long Kafka, or the answer, is waited for.")
]


@Parameter(name="*", group=Group("Sending", sort_key=9))
@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """How a command travels, and what is shown of it."""

    bootstrap_servers: Servers = None

    id: Annotated[str | None, Parameter(metavar="ID")] = None
    """The command's id; the same id again is the same command, done once."""

    timeout: Timeout = TIMEOUT_SECONDS

    json: Flag = False
    """One JSON object a line."""

    dry_run: Flag = False
    """Show the record, and publish nothing."""


BY_DEFAULT: Final = Sending()


def servers(given: str | None) -> str:
    """Raises BadUsage when it is missing, or is no address."""
    if not given:
        raise BadUsage("no Kafka is named; set KAFKA_BOOTSTRAP_SERVERS or give --bootstrap-servers, as host:port")
    for server in given.split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise BadUsage(f"{given!r} is no address of Kafka; write it as host:port[,host:port]")
    return given.replace(" ", "")
