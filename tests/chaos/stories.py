"""What clients, coaches and support do in a run, one session's story each: what is asked, and how long after what.

Nobody here waits for an answer: whatever the system makes of a command that comes too early is right if it is answered.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

from tests.chaos.people import Client, Person, Population, Slot, times

Role = Literal["client", "coach", "support"]
PRICE: Final = 3
# Long enough for most charges to be confirmed while nothing fails; everything is right if they are not.
_CONFIRMED_SECONDS = (1.0, 6.0)
_SOON_SECONDS = (0.0, 0.5)
# A window within which every start of this run lies: whoever cancels such a session is late (R5).
_LATE_POLICY: Final[Mapping[str, Any]] = {"policy": {"window_hours": 168}}


@dataclass(frozen=True, slots=True)
class Asked:
    """A command before it has an id: `seconds` after the story began."""

    seconds: float
    type: str
    key: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Session:
    id: str
    client: Client
    slot: Slot


class Story:
    """Writes down what is asked, and lets time pass in between."""

    def __init__(self, population: Population, regulars: list[Client], begins_seconds: float) -> None:
        """`regulars` have more credits than they can spend. `begins_seconds`: after the beginning of the load."""
        self.population, self.rng = population, population.rng
        self.regulars = regulars
        self.asked: list[Asked] = []
        self.begins_seconds = begins_seconds
        self._seconds = 0.0

    def wait(self, between: tuple[float, float]) -> None:
        self._seconds += self.rng.uniform(*between)

    def ask(self, message_type: str, key: str, body: Mapping[str, Any]) -> None:
        self.asked.append(Asked(self._seconds, message_type, key, body))

    def grant(self, client: Client, credits_: int, grant_id: str | None = None) -> str:
        grant_id = grant_id or self.population.id()
        body = {"grant_id": grant_id, "account_id": client.account_id, "credits": credits_}
        self.ask("credits.GrantCredits.v1", client.account_id, body)
        return grant_id

    def client_with(self, credits_: int) -> Client:
        """Somebody new, whose grant is handled before the wait is over."""
        client = self.population.client()
        self.grant(client, credits_)
        self.wait(_CONFIRMED_SECONDS)
        return client

    def regular(self) -> Client:
        return self.rng.choice(self.regulars)

    def schedule(self, client: Client | None = None, slot: Slot | None = None, **fields: Any) -> Session:
        session = Session(self.population.id(), client or self.regular(), slot or self.population.slot())
        body = {
            "session_id": session.id,
            "account_id": session.client.account_id,
            "client": session.client.person.as_json(),
            "coach": session.slot.coach.as_json(),
            **times(session.slot.starts_at),
            "credits": PRICE,
            **fields,
        }
        self.ask("booking.ScheduleSession.v1", session.id, body)
        return session

    def cancel(self, session: Session, role: Role, **fields: Any) -> None:
        self._act("booking.CancelSession.v1", session, role, fields)

    def refund(self, session: Session, role: Role) -> None:
        self._act("booking.RefundSession.v1", session, role, {"note": "an exception"})

    def move(self, session: Session, role: Role, slot: Slot) -> None:
        self._act("booking.RescheduleSession.v1", session, role, times(slot.starts_at))

    def any_role(self) -> Role:
        return self.rng.choice(("client", "coach", "support"))

    def _act(self, message_type: str, session: Session, role: Role, fields: Mapping[str, Any]) -> None:
        people: dict[Role, Person] = {"client": session.client.person, "coach": session.slot.coach}
        actor = people[role].id if role in people else self.population.id()
        body = {"session_id": session.id, "by": {"role": role, "id": actor}, **fields}
        self.ask(message_type, session.id, body)


# Stories ---------------------------------------------------------------------------------------------------------


def stands(story: Story) -> None:
    story.schedule(title="First talk")


def canceled_in_time(story: Story) -> None:
    session = story.schedule()
    story.wait(_CONFIRMED_SECONDS)
    story.cancel(session, story.any_role(), reason="Down with the flu")


def canceled_too_late(story: Story) -> None:
    session = story.schedule(**_LATE_POLICY)
    story.wait(_CONFIRMED_SECONDS)
    story.cancel(session, story.any_role())
    if story.rng.random() < 0.6:
        story.wait(_CONFIRMED_SECONDS)
        story.refund(session, story.rng.choice(("coach", "support")))
        story.wait(_SOON_SECONDS)
        story.refund(session, story.any_role())


def refund_chosen(story: Story) -> None:
    session = story.schedule(**_LATE_POLICY)
    story.wait(_CONFIRMED_SECONDS)
    story.cancel(session, story.any_role(), refund=True)
    story.wait(_SOON_SECONDS)
    story.refund(session, "support")


def canceled_before_it_is_charged(story: Story) -> None:
    session = story.schedule()
    story.wait((0.0, 0.05))
    story.cancel(session, story.any_role())


def moved(story: Story) -> None:
    session = story.schedule(**(_LATE_POLICY if story.rng.random() < 0.3 else {}))
    for _ in range(story.rng.randint(1, 3)):
        story.wait(_CONFIRMED_SECONDS)
        story.move(session, story.any_role(), story.population.slot())
    if story.rng.random() < 0.7:
        story.wait(_SOON_SECONDS)
        story.cancel(session, story.any_role())


def rebooked(story: Story) -> None:
    """R26: the client owns the price of one session, and rebooks in the same breath as canceling."""
    client = story.client_with(PRICE)
    session = story.schedule(client)
    story.wait(_CONFIRMED_SECONDS)
    for _ in range(story.rng.randint(1, 3)):
        story.cancel(session, "client")
        story.wait((0.0, 0.3))
        session = story.schedule(client, session.slot, rebooks=session.id)
        story.wait(story.rng.choice((_SOON_SECONDS, _CONFIRMED_SECONDS)))
    if story.rng.random() < 0.5:
        story.cancel(session, "client")


def cannot_be_paid(story: Story) -> None:
    client = story.client_with(PRICE - 1) if story.rng.random() < 0.7 else story.population.client()
    session = story.schedule(client)
    story.wait(_CONFIRMED_SECONDS)
    story.cancel(session, "client")


def paid_later(story: Story) -> None:
    """Two sessions, credits for one and a half: whichever is charged first stands; a grant and another try follow."""
    client = story.client_with(PRICE + 1)
    story.schedule(client)
    story.schedule(client)
    story.wait(_CONFIRMED_SECONDS)
    story.grant(client, PRICE)
    story.wait(_SOON_SECONDS)
    story.schedule(client)


def slot_taken(story: Story) -> None:
    """Two clients ask for one time of one coach at once; a third session is moved there later."""
    slot = story.population.slot()
    story.schedule(slot=slot)
    story.schedule(slot=slot)
    other = story.schedule(slot=slot.next_to(hours=1000))
    story.wait(_CONFIRMED_SECONDS)
    story.move(other, "coach", slot)


def started_meanwhile(story: Story) -> None:
    """It starts a few seconds on: what is asked after that, and a charge confirmed after that, come too late."""
    begins = timedelta(seconds=story.begins_seconds + story.rng.uniform(1, 8))
    session = story.schedule(slot=Slot(story.population.person("Ben"), story.population.begins_at + begins))
    story.wait((0.5, 10.0))
    story.cancel(session, story.any_role())


def nobodys_business(story: Story) -> None:
    """A stranger, a session that is not there, a refund for one that stands, a client who would choose a refund."""
    session = story.schedule()
    story.wait(_SOON_SECONDS)
    stranger = Session(session.id, story.population.client(), session.slot)
    story.cancel(stranger, "client")
    story.refund(session, "coach")
    story.cancel(session, "client", refund=True)
    nowhere = Session(story.population.id(), session.client, session.slot)
    story.cancel(nowhere, "support")
    story.schedule(rebooks=nowhere.id)


def breaks_its_bounds(story: Story) -> None:
    session = story.schedule(credits=story.rng.choice((-1, 3.0, "3", True, 100_001)))
    story.schedule(title="x" * 121)
    story.cancel(session, "client", reason="x" * 501)
    story.wait(_SOON_SECONDS)
    story.grant(story.regular(), 0)


def free_of_charge(story: Story) -> None:
    session = story.schedule(credits=0, **_LATE_POLICY)
    story.wait(_CONFIRMED_SECONDS)
    story.cancel(session, "client")
    story.wait(_SOON_SECONDS)
    story.refund(session, "support")


def granted_twice(story: Story) -> None:
    client = story.regular()
    grant_id = story.grant(client, 5)
    story.wait(_SOON_SECONDS)
    story.grant(client, 5, grant_id)


STORIES: Final[Mapping[Callable[[Story], None], int]] = {
    stands: 12,
    canceled_in_time: 20,
    canceled_too_late: 12,
    refund_chosen: 6,
    canceled_before_it_is_charged: 8,
    moved: 12,
    rebooked: 10,
    cannot_be_paid: 4,
    paid_later: 3,
    slot_taken: 4,
    started_meanwhile: 3,
    nobodys_business: 2,
    breaks_its_bounds: 2,
    free_of_charge: 2,
    granted_twice: 2,
}
"""Each story with how often it is told, in a hundred."""
