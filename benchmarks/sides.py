"""Who takes part: our services, the idiomatic ones, the limit; each with databases, topics and groups of its own."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeVar

from benchmarks.filling import idiomatic, ours
from benchmarks.workload import Booked
from contracts.topics import GROUPS, Group, read_by

T = TypeVar("T")
Kind = Literal["ours", "idiomatic", "limit", "relay"]
"""`relay` is the limit of what takes one record at a time."""

# Of 1, 4 and 12 the best without emails, and with them as good as any: idiomatic/README.md.
IDIOMATIC_MAX_WORKERS: Final = 4


@dataclass(frozen=True)
class Side:
    """One contestant. `name` tells it from others of its kind; `databases`: URL by service, on one server.

    `workers` is how many processes each of its services has.
    """

    kind: Kind
    name: str
    databases: Mapping[Group, str]
    workers: int = 1

    @property
    def prefix(self) -> str:
        """Before the names of its topics. Ours are the contracts'."""
        return prefix_of(self.kind)

    def reads(self, service: Group) -> dict[str, list[str]]:
        """The topics that a service reads, by group."""
        topics = [topic.name for topic in read_by(service)]
        if self.kind == "idiomatic":
            return {f"{self.prefix}{service}.{topic}": [f"{self.prefix}{topic}"] for topic in topics}
        return {f"{self.prefix}{service}": [f"{self.prefix}{topic}" for topic in topics]}

    def command(self, service: Group) -> tuple[str, ...]:
        """Of one worker of those that are not ours."""
        arguments = {
            "idiomatic": (f"benchmarks.idiomatic.{service}", "run"),
            "limit": ("benchmarks.limits", "batches", service),
            "relay": ("benchmarks.limits", "relay", service),
        }[self.kind]
        return (sys.executable, "-m", *arguments)

    def environment(self, service: Group) -> dict[str, str]:
        """Beside where the broker and the mail server are."""
        common = {"DATABASE_URL": self.databases[service]}
        if self.kind == "ours":
            return common
        return common | {"TOPIC_PREFIX": self.prefix, "MAX_WORKERS": str(IDIOMATIC_MAX_WORKERS)}

    def with_workers(self, count: int) -> "Side":
        return replace(self, name=f"{self.name} x{count}", workers=count)

    async def fill(self, sessions: Sequence[Booked], services: Sequence[Group] = GROUPS) -> None:
        """Has its databases hold these sessions, scheduled and charged. The limit decides nothing: it needs none."""
        databases = {service: self.databases[service] for service in services}
        if self.kind == "ours":
            await ours.fill(databases, sessions)
        elif self.kind == "idiomatic":
            await idiomatic.fill(databases, sessions)

    async def grant(self, sessions: Sequence[Booked]) -> None:
        """Has credits know the accounts that these sessions are paid from, and nothing else."""
        grant = {"ours": ours.grant, "idiomatic": idiomatic.grant}[self.kind]
        await grant(self.databases["credits"], sessions)


def in_turns(sides: Sequence[T], rounds: int) -> Iterator[T]:
    """All of them, round after round, each time another one first: nobody always runs after the same one."""
    for number in range(rounds):
        first = number % len(sides)
        yield from (*sides[first:], *sides[:first])


def prefix_of(kind: Kind) -> str:
    return "" if kind == "ours" else f"{kind}."


def tables_command(kind: Kind, service: Group) -> tuple[str, ...]:
    """Makes a database's tables. The limit has ours: it writes the same rows."""
    module = f"benchmarks.idiomatic.{service}" if kind == "idiomatic" else f"services.{service}"
    return (sys.executable, "-m", module, "create" if kind == "idiomatic" else "migrate")
