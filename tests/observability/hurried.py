"""The service that SERVICE names, as a process that looks after its tables every second and not every minute:
`SERVICE=credits python -m tests.observability.hurried run`.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from messaging.entry import Service, main
from messaging.settings import ServiceSettings
from messaging.worker import WorkerSettings
from services.booking import app as booking
from services.booking.settings import Settings as BookingSettings
from services.credits import app as credits
from services.credits.settings import Settings as CreditsSettings
from services.notifier import app as notifier
from services.notifier.settings import Settings as NotifierSettings


class _Hurried(ServiceSettings):
    def for_worker(self, group: str, migrations: Path) -> WorkerSettings:
        return replace(super().for_worker(group, migrations), upkeep_every_seconds=1.0)


class _Booking(_Hurried, BookingSettings):
    pass


class _Credits(_Hurried, CreditsSettings):
    pass


class _Notifier(_Hurried, NotifierSettings):
    pass


SERVICES: Final[Mapping[str, Service[Any]]] = {
    "booking": replace(booking.SERVICE, settings=_Booking),
    "credits": replace(credits.SERVICE, settings=_Credits),
    "notifier": replace(notifier.SERVICE, settings=_Notifier),
}

if __name__ == "__main__":
    sys.exit(main(SERVICES[os.environ["SERVICE"]], sys.argv[1:]))
