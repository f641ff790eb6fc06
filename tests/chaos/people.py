"""Who takes part in a run: clients with their accounts, and coaches with free time. All drawn from one seed."""

import random
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

SESSION_MINUTES: Final = 15
# Coaches' sessions begin between these: under the default window of 24 hours in time, under one of 168 hours late.
FIRST_START_HOURS, LAST_START_HOURS = 25, 166
SLOTS_OF_A_COACH: Final = (LAST_START_HOURS - FIRST_START_HOURS) * 60 // SESSION_MINUTES


@dataclass(frozen=True, slots=True)
class Person:
    id: str
    name: str
    locale: str = "en"

    @property
    def email(self) -> str:
        return f"{self.name.lower()}-{self.id}@example.com"

    def as_json(self) -> dict[str, str]:
        zone = "Europe/Berlin" if self.locale == "de" else "America/New_York"
        return {"id": self.id, "name": self.name, "email": self.email, "time_zone": zone, "locale": self.locale}


@dataclass(frozen=True, slots=True)
class Client:
    person: Person
    account_id: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A time of a coach that nobody else in the run is offered."""

    coach: Person
    starts_at: datetime

    def next_to(self, hours: float) -> "Slot":
        return Slot(self.coach, self.starts_at + timedelta(hours=hours))


class Population:
    """Draws ids, people and free slots; the same seed and beginning draw the same ones."""

    def __init__(self, rng: random.Random, begins_at: datetime) -> None:
        self.rng = rng
        self.begins_at = begins_at
        self._slots_given = 0
        self._coach = self.person("Ben")

    def id(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def person(self, name: str) -> Person:
        return Person(self.id(), name, self.rng.choice(("en", "en", "de")))

    def client(self) -> Client:
        return Client(self.person("Ana"), self.id())

    def slot(self) -> Slot:
        """The next free time; a coach whose week is full is followed by another."""
        number = self._slots_given % SLOTS_OF_A_COACH
        if number == 0:
            self._coach = self.person("Ben")
        self._slots_given += 1
        start = timedelta(hours=FIRST_START_HOURS, minutes=number * SESSION_MINUTES)
        return Slot(self._coach, self.begins_at + start)


def times(starts_at: datetime) -> dict[str, Any]:
    """A session's two times, as they are written in a command."""
    return {
        "starts_at": starts_at.isoformat(),
        "ends_at": (starts_at + timedelta(minutes=SESSION_MINUTES)).isoformat(),
    }
