"""The toy service as a process: `python -m tests.messaging.toy_service run | migrate`."""

import sys
from pathlib import Path

from messaging.entry import Service, main
from messaging.settings import ServiceSettings
from messaging.worker import Worker
from tests.messaging.toy import GROUP, INPUTS, Message, ToyHandler

MIGRATIONS = Path(__file__).parent / "migrations"


class Settings(ServiceSettings):
    toy_size: int = 3


def make_worker(settings: Settings) -> Worker[Message]:
    return Worker(settings.for_worker(GROUP, MIGRATIONS), INPUTS, ["toy.counts", "toy.replies"], ToyHandler)


SERVICE = Service(GROUP, Settings, MIGRATIONS, make_worker)

if __name__ == "__main__":
    sys.exit(main(SERVICE, sys.argv[1:]))
