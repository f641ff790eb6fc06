"""`python -m services.<name> run | migrate`: the same front door for every service, and what one of them adds."""

import asyncio
import gc
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import uvloop
from sqlalchemy.exc import SQLAlchemyError

from messaging import logs
from messaging.database import migrate
from messaging.exits import ExitCode, leave
from messaging.pipeline import first_line
from messaging.retry import Failure, classify, waits_seconds
from messaging.settings import BadSettings, ServiceSettings, read_settings
from messaging.worker import Worker

T = TypeVar("T", bound=ServiceSettings)

# A batch is tens of thousands of objects, hardly one of them in a cycle. Python's own 700 make its search for cycles a
# fifth of a worker's work.
_OBJECTS_BETWEEN_COLLECTIONS = 50_000


@dataclass(frozen=True)
class Service(Generic[T]):
    """A service as its entry point sees it. `make_worker` wires everything and starts nothing.

    `tools` are commands of its own, which need no settings: each is given what was typed after its name, and returns
    the exit code.
    """

    name: str
    settings: type[T]
    migrations: Path
    make_worker: Callable[[T], Worker[Any]]
    tools: Mapping[str, Callable[[Sequence[str]], int]] = field(default_factory=dict)


def main(service: Service[Any], arguments: list[str]) -> int:
    """Returns the exit code: 0 done, 2 bad usage or settings; a worker that fails ends with a code of its own."""
    if arguments and arguments[0] in service.tools:
        return service.tools[arguments[0]](arguments[1:])
    if arguments not in (["run"], ["migrate"]):
        commands = " | ".join(("run", "migrate", *service.tools))
        sys.stderr.write(f"usage: python -m services.{service.name} {commands}\n")
        return ExitCode.BAD_SETTINGS
    try:
        settings = read_settings(service.settings)
    except BadSettings as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.BAD_SETTINGS
    logs.configure(settings.log_format, settings.log_level)
    work = _migrate(service, settings) if arguments == ["migrate"] else _run(service, settings)
    try:
        return uvloop.run(work)
    except KeyboardInterrupt:
        return ExitCode.DONE


async def _run(service: Service[Any], settings: ServiceSettings) -> int:
    try:
        gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
        return await service.make_worker(settings).run()
    except Exception as error:  # noqa: BLE001 - whoever starts workers is told in the one way that all of them are
        leave(ExitCode.UNKNOWN_FAILURE, f"{type(error).__name__}: {first_line(error)}")


async def _migrate(service: Service[Any], settings: ServiceSettings) -> int:
    waits, said = waits_seconds(), False
    while True:
        try:
            revision = await migrate(settings.database_url, service.migrations)
        except (OSError, SQLAlchemyError) as error:
            if classify(error, contended=frozenset()) is not Failure.PASSING:
                sys.stderr.write(f"{service.name}: the database refuses the migration: {first_line(error)}\n")
                return ExitCode.UNKNOWN_FAILURE
            if not said:
                sys.stderr.write(f"waiting for the database: {first_line(error)}\n")
                said = True
            await asyncio.sleep(next(waits))
        else:
            sys.stdout.write(f"{service.name} {revision}\n")
            return ExitCode.DONE
