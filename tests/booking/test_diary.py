"""Who is busy when (R2)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.booking.diary import Diary, Hold
from services.booking.sessions import Availability, Session
from tests.booking.builders import ANA, BEN, HOUR, START, a_person, a_session, an_id

EVE = a_person("Eve", 9)
PEOPLE = (ANA, BEN, EVE)


# Ben has a session from 10 to 11; times are hours of that day.
@pytest.mark.parametrize(
    ("start", "end", "free"),
    [
        (8, 9, True),  # well before
        (9, 10, True),  # touching its start
        (9, 10.001, False),
        (9.5, 10.5, False),  # over its start
        (10, 11, False),  # the same time
        (10.25, 10.75, False),  # within it
        (9, 12, False),  # around it
        (10.5, 11.5, False),  # over its end
        (10.999, 12, False),
        (11, 12, True),  # touching its end
        (12, 13, True),  # well after
        (34, 35, True),  # the same time of another day
    ],
)
def test_times_overlap_unless_they_only_touch(start: float, end: float, free: bool) -> None:
    assert _availability(_bens_diary((10, 11)), start, end).coach is free


# Ben has sessions from 8 to 10 and from 12 to 14, and one that is not his is at 11.
@pytest.mark.parametrize(
    ("start", "end", "free"),
    [
        (10, 12, True),  # exactly the gap
        (9, 12, False),
        (10, 13, False),
        (7, 15, False),  # over both
        (6, 8, True),
        (14, 16, True),
        (8, 10, False),
        (12, 14, False),
    ],
)
def test_a_gap_between_two_sessions_is_free(start: float, end: float, free: bool) -> None:
    diary = _bens_diary((8, 10), (12, 14))
    diary.take(_session(20, EVE.id, ANA.id, 11, 12))
    assert _availability(diary, start, end).coach is free


# Ana is busy from 8 to 9, Ben from 9 to 10, both (with each other) from 12 to 13.
@pytest.mark.parametrize(
    ("start", "end", "availability"),
    [
        (8, 9, Availability(coach=True, client=False)),
        (9, 10, Availability(coach=False, client=True)),
        (8, 10, Availability(coach=False, client=False)),
        (12, 13, Availability(coach=False, client=False)),
        (10, 12, Availability(coach=True, client=True)),
    ],
)
def test_coach_and_client_are_asked_each_for_themselves(start: float, end: float, availability: Availability) -> None:
    diary = Diary()
    for session in (
        _session(20, ANA.id, EVE.id, 8, 9),
        _session(21, EVE.id, BEN.id, 9, 10),
        _session(22, ANA.id, BEN.id, 12, 13),
    ):
        diary.take(session)
    assert _availability(diary, start, end) == availability


def test_who_coaches_then_cannot_be_coached_then() -> None:
    diary = Diary()
    diary.take(_session(20, EVE.id, ANA.id, 10, 11))
    assert not _availability(diary, 10, 11).client


def test_a_session_is_not_in_the_way_of_its_own_move() -> None:
    diary = Diary()
    diary.take(_session(20, ANA.id, BEN.id, 10, 11))
    diary.take(_session(21, EVE.id, BEN.id, 11.5, 12))
    assert _availability(diary, 10.5, 11.5, mover=20) == Availability(coach=True, client=True)
    assert _availability(diary, 10.5, 11.6, mover=20) == Availability(coach=False, client=True)


def test_what_was_released_is_free_and_what_was_never_held_is_released_without_harm() -> None:
    diary = _bens_diary((10, 11))
    for start, end in ((10, 11), (8, 9), (12, 13)):
        diary.release(_session(1, ANA.id, BEN.id, start, end))
    assert not _availability(diary, 10, 11).coach
    diary.release(_session(10, EVE.id, BEN.id, 10, 11))
    assert _availability(diary, 10, 11).coach


def test_the_order_in_which_holds_are_read_is_of_no_matter() -> None:
    later, earlier = (Hold(START + n * HOUR, START + (n + 1) * HOUR, an_id(50 + n)) for n in (5, 0))
    diary = Diary([(BEN.id, later), (BEN.id, earlier)])
    assert not _availability(diary, 10, 11).coach
    assert not _availability(diary, 15, 16).coach
    assert _availability(diary, 11, 15).coach


spans = st.tuples(st.integers(0, 15), st.integers(1, 5)).map(lambda span: (span[0], span[0] + span[1]))
people = st.permutations([person.id for person in PEOPLE]).map(lambda order: (order[0], order[1]))


@given(st.lists(st.tuples(st.integers(20, 24), people, spans, st.booleans()), max_size=30))
def test_it_agrees_with_looking_at_every_session(
    steps: list[tuple[int, tuple[str, str], tuple[int, int], bool]],
) -> None:
    """Each step cancels a session, or books or moves it when both are free: as the diary says, so says the list."""
    diary, booked = Diary(), dict[str, Session]()
    for number, (client_id, coach_id), (start, end), cancels in steps:
        before = booked.get(an_id(number))
        wanted = _session(number, client_id, coach_id, start, end)
        if before is not None:
            wanted = replace(wanted, client=before.client, coach=before.coach)
        asked = _ask(diary, wanted)
        assert asked == Availability(*(_naively_free(booked, wanted, p.id) for p in (wanted.coach, wanted.client)))
        if before is not None and (cancels or asked == Availability(coach=True, client=True)):
            diary.release(booked.pop(before.session_id))
        if not cancels and asked == Availability(coach=True, client=True):
            diary.take(wanted)
            booked[wanted.session_id] = wanted


def _naively_free(booked: dict[str, Session], wanted: Session, person_id: str) -> bool:
    return not any(
        other.starts_at < wanted.ends_at
        and wanted.starts_at < other.ends_at
        and person_id in (other.client.id, other.coach.id)
        for other in booked.values()
        if other.session_id != wanted.session_id
    )


def _bens_diary(*spans: tuple[float, float]) -> Diary:
    """With sessions of Eve's, numbered by their start."""
    diary = Diary()
    for start, end in spans:
        diary.take(_session(int(start), EVE.id, BEN.id, start, end))
    return diary


def _session(number: int, client_id: str, coach_id: str, start: float, end: float) -> Session:
    client, coach = (next(p for p in PEOPLE if p.id == person_id) for person_id in (client_id, coach_id))
    return a_session(
        session_id=an_id(number),
        client=client,
        coach=coach,
        starts_at=START + (start - 10) * HOUR,
        ends_at=START + (end - 10) * HOUR,
    )


def _availability(diary: Diary, start: float, end: float, mover: int = 99) -> Availability:
    """Of Ben as the coach and Ana as the client, for the session of this number."""
    return _ask(diary, _session(mover, ANA.id, BEN.id, start, end))


def _ask(diary: Diary, wanted: Session) -> Availability:
    return diary.availability(
        coach_id=wanted.coach.id,
        client_id=wanted.client.id,
        starts_at=wanted.starts_at,
        ends_at=wanted.ends_at,
        session_id=wanted.session_id,
    )
