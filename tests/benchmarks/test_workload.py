"""The sessions of a benchmark are such as the services could have booked."""

from collections import defaultdict
from itertools import pairwise
from uuid import UUID

from benchmarks.workload import (
    GRANTED_CREDITS,
    PRICE_CREDITS,
    Booked,
    book,
    canceled,
    cancellations,
    chunks,
    new_id,
    refunded,
    requested,
)
from contracts.topics import CONVERSATION
from messaging.codec import Codec, Received
from messaging.records import Outgoing, Place, Record

SESSIONS = book(1000)


def holds_of(sessions: list[Booked]) -> dict[UUID, list[Booked]]:
    holds: dict[UUID, list[Booked]] = defaultdict(list)
    for one in sessions:
        holds[one.client.id].append(one)
        holds[one.coach.id].append(one)
    return holds


def read(records: list[Outgoing]) -> list[object]:
    codec = Codec(CONVERSATION, "replay.none")
    return [
        codec.read(Record(Place(one.topic, 0, 0), one.key, one.value, one.headers, 1_764_000_000_000, append_time=True))
        for one in records
    ]


def test_nobody_has_two_sessions_at_once() -> None:
    for theirs in holds_of(SESSIONS).values():
        in_order = sorted(theirs, key=lambda one: one.starts_at)
        assert all(one.ends_at <= next_.starts_at for one, next_ in pairwise(in_order))


def test_nobody_gets_more_emails_at_once_than_the_notifiers_pace_allows() -> None:
    for theirs in holds_of(SESSIONS).values():
        # Two to the client and one to the coach, of at most 30 a minute.
        assert len(theirs) * (2 if theirs[0].client.id == theirs[-1].client.id else 1) <= 30


def test_an_accounts_charges_follow_each_other_and_its_balance_follows_them() -> None:
    accounts: dict[UUID, list[Booked]] = defaultdict(list)
    for one in SESSIONS:
        accounts[one.account_id].append(one)
    assert len(accounts) > 200
    for theirs in accounts.values():
        assert [one.account_version for one in theirs] == list(range(2, 2 + len(theirs)))
        assert theirs[-1].balance_credits == GRANTED_CREDITS - PRICE_CREDITS * len(theirs)


def test_one_account_can_pay_for_all() -> None:
    sessions = book(50, one_account=True)
    assert len({one.account_id for one in sessions}) == 1
    assert [one.account_version for one in sessions] == list(range(2, 52))


def test_every_message_is_one_that_the_services_can_read() -> None:
    for make in (cancellations, requested, canceled, refunded):
        assert all(isinstance(reading, Received) for reading in read(make(SESSIONS[:5])))


def test_a_large_set_comes_in_parts_with_people_of_their_own() -> None:
    parts = list(chunks(250, 100))
    assert [len(part) for part in parts] == [100, 100, 50]
    people = [{who.id for one in part for who in (one.client, one.coach)} for part in parts]
    assert not people[0] & people[1]


def test_a_cheap_id_is_a_random_uuid_like_any_other() -> None:
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert {one.version for one in ids} == {4}
    assert {str(one.variant) for one in ids} == {"specified in RFC 4122"}
