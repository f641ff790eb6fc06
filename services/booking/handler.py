"""Load, decide, save: one batch of commands and charge outcomes in one transaction."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from contracts import booking as says
from contracts import credits as hears
from contracts.fields import Message
from messaging.answers import Answer
from messaging.batches import Decision
from messaging.codec import Invalid, Received
from services.booking import sessions, store
from services.booking.diary import Diary
from services.booking.sessions import Availability, Rejected, Session
from services.booking.translation import actor, event, rejection, request

Changes = Session | None

_COMMANDS = (says.ScheduleSession, says.RescheduleSession, says.CancelSession, says.RefundSession)
_ABOUT_CHARGES = (hears.CreditsCharged, hears.ChargeDeclined, hears.CreditsRefunded)


@dataclass(slots=True)
class State:
    """The sessions and held times that a batch works on, and the ids of those that it added, changed or moved."""

    sessions: dict[str, Session]
    diary: Diary
    added: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)


class BookingHandler:
    contended = store.CONTENDED

    def __init__(self, default_window_hours: int) -> None:
        self._default_window_hours = default_window_hours

    def state_key(self, message: Message) -> str | None:
        return _session_id(message)

    async def lock(self, connection: AsyncConnection, messages: Sequence[Received[Message]]) -> Collection[str]:
        session_ids = _session_ids(messages)
        moved = {
            received.message.session_id for received in messages if isinstance(received.message, says.RescheduleSession)
        }
        people = await store.people_of(connection, moved)
        for received in messages:
            if isinstance(received.message, says.ScheduleSession):
                people |= {received.message.client.id, received.message.coach.id}
        await store.lock(connection, people=people, sessions=session_ids)
        return session_ids

    async def load(self, connection: AsyncConnection, messages: Sequence[Received[Message]]) -> State:
        rebooked = {
            received.message.rebooks
            for received in messages
            if isinstance(received.message, says.ScheduleSession) and received.message.rebooks is not None
        }
        found = await store.read_sessions(connection, _session_ids(messages) | rebooked)
        return State(found, Diary(await store.read_holds(connection, _wanted_times(messages, found))))

    def decide(self, state: State, received: Received[Message]) -> Decision[Changes]:
        outcome = self._outcome(state, received)
        if outcome is None:
            return Decision(None)
        if isinstance(outcome, Rejected):
            answer = rejection(received, _session_id(received.message), outcome.code, outcome.message)
            return Decision(None, (answer,), rejected=True)
        return Decision(outcome.session, (event(outcome),))

    def apply(self, state: State, changes: Changes) -> None:
        if changes is None:
            return
        before = state.sessions.get(changes.session_id)
        if before is None:
            state.added.add(changes.session_id)
            state.diary.take(changes)
        elif changes.session_id not in state.added:
            state.changed.add(changes.session_id)
        if before is not None and _held_time(before) != _held_time(changes):
            state.moved.add(changes.session_id)
            state.diary.release(before)
            if changes.is_live:
                state.diary.take(changes)
        state.sessions[changes.session_id] = changes

    async def save(self, connection: AsyncConnection, state: State) -> None:
        added = [state.sessions[session_id] for session_id in state.added]
        moved = [state.sessions[session_id] for session_id in state.moved if session_id not in state.added]
        await store.release_time(connection, moved)
        await store.add(connection, added)
        await store.change(connection, [state.sessions[session_id] for session_id in state.changed])
        await store.hold_time(connection, [session for session in (*added, *moved) if session.is_live])

    def reject(self, command: Invalid | Received[Message], code: str, problem: str) -> Answer:
        key = command.key if isinstance(command, Invalid) else _session_id(command.message)
        return rejection(command, key, code, problem)

    def _outcome(self, state: State, received: Received[Message]) -> sessions.Outcome | Rejected | None:
        message, at = received.message, received.appended_at
        session = state.sessions.get(_session_id(message) or "")
        match message:
            case says.ScheduleSession():
                wanted = request(message, self._default_window_hours)
                rebooked = state.sessions.get(wanted.rebooks) if wanted.rebooks else None
                return sessions.schedule(session, wanted, rebooked, self._free_for(state, wanted), at=at)
            case says.RescheduleSession():
                free = self._free_for_move(state, session, message)
                by, reason = actor(message.by), message.reason
                return sessions.reschedule(session, by, message.starts_at, message.ends_at, reason, free, at=at)
            case says.CancelSession():
                by, refund = actor(message.by), message.refund is True
                return sessions.cancel(session, by, message.reason, refund=refund, at=at)
            case says.RefundSession():
                return sessions.refund(session, actor(message.by), message.note, at=at)
            case hears.CreditsCharged():
                return sessions.charge_confirmed(session, at=at)
            case hears.ChargeDeclined(why="session_closed") | hears.CreditsRefunded() | hears.CreditsGranted():
                return None
            case hears.ChargeDeclined(why="insufficient_credits" | "unknown_account" as why):
                return sessions.charge_declined(session, why)
            case _:
                raise TypeError(f"booking handles no {type(message).__name__}")

    def _free_for(self, state: State, wanted: sessions.Request) -> Availability:
        return state.diary.availability(
            coach_id=wanted.coach.id,
            client_id=wanted.client.id,
            starts_at=wanted.starts_at,
            ends_at=wanted.ends_at,
            session_id=wanted.session_id,
        )

    def _free_for_move(self, state: State, session: Session | None, move: says.RescheduleSession) -> Availability:
        if session is None:
            return Availability(coach=True, client=True)
        return state.diary.availability(
            coach_id=session.coach.id,
            client_id=session.client.id,
            starts_at=move.starts_at,
            ends_at=move.ends_at,
            session_id=session.session_id,
        )


def _session_id(message: Message) -> str | None:
    """None for what is about an account alone."""
    if isinstance(message, _COMMANDS):
        return message.session_id
    return message.session.session_id if isinstance(message, _ABOUT_CHARGES) else None


def _session_ids(messages: Sequence[Received[Message]]) -> set[str]:
    return {session_id for received in messages if (session_id := _session_id(received.message)) is not None}


def _held_time(session: Session) -> tuple[datetime, datetime] | None:
    return (session.starts_at, session.ends_at) if session.is_live else None


def _wanted_times(
    messages: Sequence[Received[Message]], found: dict[str, Session]
) -> list[tuple[str, datetime, datetime]]:
    """(person id, start, end) of all times that these messages ask for.

    A session to be moved may be new, too; and one id may be asked for more than once, for other people each time.
    """
    people = {session_id: {session.client.id, session.coach.id} for session_id, session in found.items()}
    wanted: list[tuple[str, datetime, datetime]] = []
    for received in messages:
        message = received.message
        if isinstance(message, says.ScheduleSession):
            people.setdefault(message.session_id, set()).update((message.client.id, message.coach.id))
        if isinstance(message, says.ScheduleSession | says.RescheduleSession):
            who = people.get(message.session_id, ())
            wanted.extend((person_id, message.starts_at, message.ends_at) for person_id in who)
    return wanted
