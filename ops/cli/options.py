"""Options that several commands have."""

from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlsplit

from cyclopts import Group, Parameter
from cyclopts.validators import Number

from contracts import topics
from ops.errors import BadUsage
from ops.letters import Case, topics_of

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


def _database(service: topics.Group) -> Parameter:
    return Parameter(
        env_var=f"{service.upper()}_DATABASE_URL",
        help=f"The database of {service}: postgresql://user:password@host:port/database.",
        show_default=False,
        metavar="URL",
    )


BookingDatabase = Annotated[str | None, _database("booking")]
CreditsDatabase = Annotated[str | None, _database("credits")]
NotifierDatabase = Annotated[str | None, _database("notifier")]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Timeout = Annotated[
    float, Parameter(metavar="SECONDS", validator=Number(gt=0), help="How long an answer is waited for.")
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


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """How long somebody looks, and who it is for."""

    timeout: Timeout = TIMEOUT_SECONDS

    json: Flag = False
    """One JSON object a line."""


LOOKING_BY_DEFAULT: Final = Looking()

OfGroup = Annotated[topics.Group | None, Parameter(name="--group", help="The group that gave them up.")]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which dead letters."""

    group: OfGroup = None

    topic: Annotated[str | None, Parameter(metavar="TOPIC")] = None
    """The topic on which the messages first lay."""

    class_: Annotated[str | None, Parameter(name="--class", metavar="CLASS")] = None
    """The class of what they died of, as it is listed."""

    since: Annotated[str, Parameter(metavar="SPAN", help="How far back letters were written: 30d, 12h.")] = "30d"

    @property
    def groups(self) -> tuple[topics.Group, ...]:
        return (self.group,) if self.group is not None else topics.GROUPS

    def takes(self, case: Case) -> bool:
        return self.class_ in (None, case.letter.error_class)


ALL_LETTERS: Final = Selection()


def source_topic(given: str | None, groups: tuple[topics.Group, ...]) -> str | None:
    """Raises BadUsage for one that none of the groups reads."""
    sources = {source for group in groups for source in topics_of(group).values()}
    if given is not None and given not in sources:
        raise BadUsage(f"{given!r} is read by none of {', '.join(groups)}; they read {', '.join(sorted(sources))}")
    return given


def servers(given: str | None) -> str:
    """Raises BadUsage when it is missing, or is no address."""
    if not given:
        raise BadUsage("no Kafka is named; set KAFKA_BOOTSTRAP_SERVERS or give --bootstrap-servers, as host:port")
    for server in given.split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise BadUsage(f"{given!r} is no address of Kafka; write it as host:port[,host:port]")
    return given.replace(" ", "")


def database_of(service: topics.Group, given: str | None) -> str:
    """Raises BadUsage when it is missing, or is no address."""
    if not given:
        raise BadUsage(
            f"no database is named; set {service.upper()}_DATABASE_URL or give --{service}-database-url, as "
            "postgresql://user:password@host:port/database"
        )
    return database(given)


def database(given: str) -> str:
    """Raises BadUsage when it is no address."""
    try:
        parts = urlsplit(given)
        usable = parts.scheme in ("postgresql", "postgres") and bool(parts.hostname and parts.path.strip("/"))
        usable = usable and parts.port != 0
    except ValueError:  # a port that is no number
        usable = False
    if not usable:
        # What was given may hold a password: it is not said again.
        raise BadUsage(
            "that is no address of a database; write it as postgresql://user:password@host:port/database, "
            "with signs such as @ and / in the password percent-encoded"
        )
    return given
