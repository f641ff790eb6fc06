"""The toy service as a process: `python -m tests.messaging.toy_service run | migrate`."""

import sys
from dataclasses import replace
from pathlib import Path

from messaging.entry import Service, main
from messaging.settings import ServiceSettings
from messaging.worker import Worker
from tests.messaging.toy import GROUP, INPUTS, Message, ToyHandler

MIGRATIONS = Path(__file__).parent / "migrations"


class Settings(ServiceSettings):
    toy_size: int = 3


def make_worker(settings: Settings) -> Worker[Message]:
    # What a service does after a minute, this one does after a second or two.
    hurried = replace(
        settings.for_worker(GROUP, MIGRATIONS), failing_is_not_ready_seconds=2.0, upkeep_every_seconds=1.0
    )
    return Worker(hurried, INPUTS, ["toy.counts", "toy.replies"], ToyHandler)


SERVICE = Service(GROUP, Settings, MIGRATIONS, make_worker)

if __name__ == "__main__":
    sys.exit(main(SERVICE, sys.argv[1:]))
