"""The reader's calendar follows the session (R33)."""

from dataclasses import replace
from datetime import timedelta, timezone
from itertools import permutations
from typing import get_args

import pytest
from ical.calendar_stream import IcsCalendarStream

from services.notifier.calendar import Invitation, invitation
from services.notifier.mailbox import Mailbox, mailbox
from services.notifier.notices import Fact, Kind, Notice
from services.notifier.samples import in_language
from tests.notifier.calendar_program import Calendar, Received, read
from tests.notifier.story import (
    DAY,
    HOUR,
    IN_TIME,
    RENDERER,
    SENDER,
    SESSION_ID,
    STARTS_AT,
    canceled,
    declined,
    notice_of,
    refunded,
    rescheduled,
    scheduled,
)

FACTS: tuple[Fact, ...] = (scheduled(), rescheduled(), canceled(), declined(), refunded())
ONE_OF_EACH = {notice_of(fact).kind: notice_of(fact) for fact in FACTS}
MOVED = notice_of(rescheduled(of_session={"starts_at": STARTS_AT + DAY, "ends_at": STARTS_AT + DAY + HOUR}))


def invite(notice: Notice, organizer: Mailbox = SENDER) -> Invitation | None:
    rendered = RENDERER.render(notice)
    attendee = mailbox(notice.recipient.name, notice.recipient.email)
    return invitation(notice, organizer=organizer, attendee=attendee, summary=rendered.summary, link=rendered.link)


def ics(notice: Notice) -> bytes:
    made = invite(notice)
    assert made
    return made.ics


def received(notice: Notice) -> Received:
    return read(ics(notice))


@pytest.mark.parametrize("kind", get_args(Kind))
def test_sessions_that_stand_move_or_fall_have_a_calendar_part(kind: Kind) -> None:
    methods = {"session_scheduled": "REQUEST", "session_rescheduled": "REQUEST", "session_canceled": "CANCEL"}
    made = invite(ONE_OF_EACH[kind])
    assert (made.method if made else None) == methods.get(kind)
    if made:
        assert read(made.ics).method == made.method


def test_an_invitation_says_when_and_with_whom() -> None:
    event = received(notice_of(scheduled())).event
    assert {name: found.text for name, found in event.items()} == {
        "UID": f"{SESSION_ID}@example.org",
        "SEQUENCE": "2",
        "DTSTAMP": "20251123T100000Z",
        "DTSTART": "20251125T100000Z",
        "DTEND": "20251125T110000Z",
        "SUMMARY": "Coaching with Ben Ortiz",
        "DESCRIPTION": f"https://coaching.example.org/sessions/{SESSION_ID}",
        "STATUS": "CONFIRMED",
        "ORGANIZER": "mailto:coaching@example.org",
        "ATTENDEE": "mailto:ana@example.com",
    }
    assert (event["DTSTART"].instant, event["DTEND"].instant) == (STARTS_AT, STARTS_AT + HOUR)
    assert event["DTSTAMP"].instant == IN_TIME
    assert event["ORGANIZER"].parameters == {"CN": "Coaching"}
    assert event["ATTENDEE"].parameters == {
        "CN": "Ana Silva",
        "ROLE": "REQ-PARTICIPANT",
        "PARTSTAT": "ACCEPTED",
        "RSVP": "FALSE",
    }


@pytest.mark.parametrize("notice", [notice_of(scheduled(title="Größe; mit, Komma")), MOVED, notice_of(canceled())])
def test_another_library_reads_the_same(notice: Notice) -> None:
    calendar = IcsCalendarStream.calendar_from_ics(ics(notice).decode())
    (event,) = calendar.events
    is_off = notice.kind == "session_canceled"
    assert (calendar.method, event.status) == (("CANCEL", "CANCELLED") if is_off else ("REQUEST", "CONFIRMED"))
    assert (event.uid, event.sequence) == (f"{SESSION_ID}@example.org", notice.session_version)
    assert (event.dtstart, event.dtend, event.dtstamp) == (notice.starts_at, notice.ends_at, notice.at)
    assert event.summary == RENDERER.render(notice).summary
    assert event.organizer
    assert (event.organizer.uri, event.organizer.common_name) == ("mailto:coaching@example.org", "Coaching")
    assert [(str(person.uri), person.common_name) for person in event.attendees] == [
        ("mailto:ana@example.com", "Ana Silva")
    ]


def test_a_cancellation_says_so_in_its_status_too() -> None:
    event = received(notice_of(canceled())).event
    assert event["STATUS"].text == "CANCELLED"
    assert event["SEQUENCE"].value == "4"


def test_the_summary_is_in_the_readers_language() -> None:
    assert received(in_language(notice_of(scheduled()), "de")).event["SUMMARY"].text == "Coaching mit Ben Ortiz"


def test_the_coach_gets_the_same_event_without_the_clients_address() -> None:
    client, coach = (notice_of(scheduled(), reader) for reader in ("client", "coach"))
    assert received(coach).event["UID"] == received(client).event["UID"]
    assert b"ana@example.com" not in ics(coach)
    assert b"ben@example.com" not in ics(client)


def test_scheduled_then_moved_then_canceled_leaves_the_calendar_empty() -> None:
    calendar = Calendar()
    uid = f"{SESSION_ID}@example.org"
    calendar.receive(ics(notice_of(scheduled())))
    assert calendar.events[uid]["DTSTART"].instant == STARTS_AT
    calendar.receive(ics(MOVED))
    assert [event["DTSTART"].instant for event in calendar.events.values()] == [STARTS_AT + DAY]
    calendar.receive(ics(notice_of(canceled())))
    assert calendar.events == {}


def test_in_whatever_order_and_however_often_they_are_read_the_calendar_ends_empty() -> None:
    parts = [ics(notice_of(scheduled())), ics(MOVED), ics(notice_of(canceled()))]
    for order in permutations(parts + parts):
        calendar = Calendar()
        for part in order:
            calendar.receive(part)
        assert calendar.events == {}


def test_instants_of_any_offset_are_told_in_utc() -> None:
    notice = notice_of(scheduled())
    elsewhere = replace(notice, starts_at=notice.starts_at.astimezone(timezone(timedelta(hours=9))))
    assert received(elsewhere).event["DTSTART"].text == "20251125T100000Z"


@pytest.mark.parametrize("title", ["First steps " * 9, "Größe, " * 20, "\\n^n;" * 30, "\N{GRINNING FACE}" * 30])
def test_no_line_is_longer_than_75_octets_and_no_character_lies_on_two(title: str) -> None:
    lines = ics(notice_of(scheduled(title=title))).split(b"\r\n")
    assert max(map(len, lines)) <= 75
    assert all(line.decode() for line in lines[:-1])


@pytest.mark.parametrize("before", range(40, 70))
def test_no_escape_lies_on_two_lines(before: int) -> None:
    """Some calendars read a line before they have joined it with the next."""
    notice = notice_of(scheduled(title=f"{'x' * before}, part two"))
    assert not any(line.endswith(b"\\") for line in ics(notice).split(b"\r\n"))


@pytest.mark.parametrize(
    "name",
    [
        'Ana "Ace" Silva',
        "Silva; Ana, PhD: \\n^n\\;",
        "ATTENDEE:mailto:x@example.com",
        "Ünïcödé " * 11 + "x",
        "\N{GRINNING FACE}" * 100,
        "W" * 100,
    ],
)
def test_hostile_names_are_only_names(name: str) -> None:
    fact = scheduled(title=name)
    fact = replace(fact, session=replace(fact.session, client=replace(fact.session.client, name=name)))
    event = received(notice_of(fact)).event
    shown = " ".join(name.split())
    assert event["SUMMARY"].text == f"{shown} with Ben Ortiz"
    assert event["ATTENDEE"].parameters["CN"] == name
    assert event["ATTENDEE"].value == "mailto:ana@example.com"


def test_an_organizer_without_a_name_and_an_address_that_needs_escaping() -> None:
    made = invite(notice_of(scheduled()), mailbox("", "100%+a&b@example.org"))
    assert made
    organizer = read(made.ics).event["ORGANIZER"]
    assert (organizer.parameters, organizer.value) == ({}, "mailto:100%25+a%26b@example.org")
