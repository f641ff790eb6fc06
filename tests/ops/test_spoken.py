"""People, actors and times, as they are typed."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from ops.errors import BadUsage
from ops.spoken import id_of, read_actor, read_id, read_person, read_since, read_span, read_start

NOW = datetime(2026, 11, 23, 11, 0, 0, 123_456, tzinfo=UTC)
AN_ID = "5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a"


@pytest.mark.parametrize(
    ("typed", "name", "email"),
    [
        ("Ana", "Ana", "ana@example.com"),
        ("Ana Diaz", "Ana Diaz", "ana.diaz@example.com"),
        ("  Ana   Diaz ", "Ana   Diaz", "ana.diaz@example.com"),
        ("Ana Diaz <ana@example.org>", "Ana Diaz", "ana@example.org"),
        ("Ana<ana@example.org>", "Ana", "ana@example.org"),
        ("ana@example.org", "ana@example.org", "ana@example.org"),
    ],
)
def test_a_person_is_a_name_perhaps_with_an_address(typed: str, name: str, email: str) -> None:
    person = read_person(typed, person_id=None, time_zone="Europe/Madrid", locale="es")
    assert person == {"id": id_of(email), "name": name, "email": email, "time_zone": "Europe/Madrid", "locale": "es"}


def test_a_person_may_have_an_id_of_their_own() -> None:
    assert read_person("Ana", person_id=AN_ID, time_zone="UTC", locale="en")["id"] == AN_ID


@pytest.mark.parametrize("typed", ["", "   ", "<ana@example.org>", "Ana <ana", "Ana <a b>"])
def test_what_names_nobody_is_refused(typed: str) -> None:
    with pytest.raises(BadUsage, match="write a person as"):
        read_person(typed, person_id=None, time_zone="UTC", locale="en")


def test_the_same_person_always_has_the_same_id() -> None:
    assert id_of("Ana") == id_of(" ana ") == id_of("ana@example.com") == id_of("Ana <ANA@example.com>".lower())
    assert id_of("Ana") != id_of("Ben")
    assert str(UUID(id_of("Ana"))) == id_of("Ana")
    assert id_of(AN_ID.upper()) == AN_ID


@pytest.mark.parametrize(
    ("typed", "role", "who"),
    [
        ("client:Ana", "client", "Ana"),
        ("coach:ben@example.org", "coach", "ben@example.org"),
        (f"support:{AN_ID}", "support", AN_ID),
    ],
)
def test_who_asks_is_a_role_and_a_person(typed: str, role: str, who: str) -> None:
    assert read_actor(typed) == {"role": role, "id": id_of(who)}


def test_who_asks_is_the_person_who_was_booked() -> None:
    booked = read_person("Ana Diaz <ana@example.org>", person_id=None, time_zone="UTC", locale="en")
    assert read_actor("client:ana@example.org")["id"] == booked["id"]


@pytest.mark.parametrize("typed", ["Ana", "client", "client:", "client: ", "clown:Ana", "Client:Ana", ":Ana", ""])
def test_somebody_without_a_role_cannot_ask(typed: str) -> None:
    with pytest.raises(BadUsage, match="ROLE:WHO"):
        read_actor(typed)


@pytest.mark.parametrize(
    ("typed", "span"),
    [
        ("47h", timedelta(hours=47)),
        ("90m", timedelta(minutes=90)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("2d", timedelta(days=2)),
        ("1d2h3m4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        (" 5s ", timedelta(seconds=5)),
        ("0s", timedelta(0)),
    ],
)
def test_a_span_of_time_is_numbers_with_units(typed: str, span: timedelta) -> None:
    assert read_span(typed) == span


@pytest.mark.parametrize("typed", ["", "47", "h", "-1h", "1.5h", "1h 30m", "30m1h", "soon"])
def test_what_is_no_span_of_time_is_refused(typed: str) -> None:
    with pytest.raises(BadUsage, match="is no span of time"):
        read_span(typed)


@pytest.mark.parametrize(
    ("at", "within", "start"),
    [
        (None, "47h", datetime(2026, 11, 25, 10, 0, 0, 123_000, tzinfo=UTC)),
        ("2026-11-25T11:00:00+01:00", None, datetime(2026, 11, 25, 10, tzinfo=UTC)),
    ],
)
def test_a_start_is_given_from_now_or_by_the_clock(at: str | None, within: str | None, start: datetime) -> None:
    assert read_start(at, within, NOW) == start


@pytest.mark.parametrize(
    ("at", "within", "said"),
    [
        (None, None, "when does it start"),
        ("2026-11-25T11:00:00Z", "47h", "when does it start"),
        ("2026-11-25 11:00", None, "is no time"),
        ("tomorrow", None, "is no time"),
        (None, "9999999d", "is no time"),
        (None, "soon", "is no span of time"),
    ],
)
def test_a_start_is_given_once_and_is_a_time(at: str | None, within: str | None, said: str) -> None:
    with pytest.raises(BadUsage, match=said):
        read_start(at, within, NOW)


def test_since_is_so_long_ago() -> None:
    assert read_since("45d", NOW) == NOW - timedelta(days=45)


@pytest.mark.parametrize("typed", ["800000d", "99999999999999999999d"])
def test_before_all_time_nothing_is_looked_for(typed: str) -> None:
    with pytest.raises(BadUsage, match="there was no time; write it as"):
        read_since(typed, NOW)


def test_an_id_is_read_in_any_case() -> None:
    assert read_id(f" {AN_ID.upper()} ") == AN_ID
    with pytest.raises(BadUsage, match="'Ana' is no id; write it as"):
        read_id("Ana")
