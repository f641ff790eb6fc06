"""Whole batches of commands and charge outcomes against PostgreSQL: what booking answers, keeps and holds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.fields import Message
from messaging.batches import Decision
from messaging.codec import Received
from messaging.records import Record
from services.booking.handler import BookingHandler, Changes, State
from tests.booking.builders import (
    ANA,
    BEN,
    DAY,
    DEADLINE,
    EARLIER_SESSION,
    EARLY,
    END,
    EVERY_SCRIPT,
    HOUR,
    MILLISECOND,
    SESSION,
    START,
    a_person,
    an_id,
    client,
    coach,
    support,
)
from tests.booking.bus import (
    BookingWorker,
    cancel,
    charge_declined,
    charged,
    forget_everything,
    gists,
    held_times,
    message_id,
    read_back,
    refund,
    reschedule,
    schedule,
)

EVE = a_person("Eve", 9)
OTHER = an_id(20)

# Every kind of answer, each with the message that it answers.
CONVERSATION: list[tuple[Record, str]] = [
    (schedule(EARLIER_SESSION, title="First steps"), "SessionRequested"),
    (charged(EARLIER_SESSION), "SessionScheduled"),
    (schedule(OTHER, client=EVE), "coach_unavailable"),
    (reschedule(EARLIER_SESSION, coach, at=START - 12 * HOUR, starts_at=START + DAY), "SessionRescheduled"),
    (schedule(OTHER, client=EVE), "SessionRequested"),
    (reschedule(EARLIER_SESSION, at=START - 11 * HOUR, starts_at=START), "coach_unavailable"),
    (cancel(EARLIER_SESSION, at=START + 12 * HOUR + MILLISECOND, reason="ill"), "SessionCanceled"),
    (charge_declined(OTHER, "unknown_account"), "SessionDeclined"),
    (cancel(EARLIER_SESSION, support), "already_canceled"),
    (refund(EARLIER_SESSION, by=client), "not_allowed"),
    (refund(EARLIER_SESSION, by=coach, note="of course"), "RefundApproved"),
    (refund(EARLIER_SESSION, by=support), "already_refunded"),
    (schedule(SESSION, rebooks=EARLIER_SESSION), "SessionRequested"),
    (charged(SESSION, at=EARLY + HOUR), "SessionScheduled"),
    (cancel(SESSION, at=DEADLINE), "SessionCanceled"),
    (cancel(an_id(99)), "not_found"),
]
MESSAGES = [record for record, _ in CONVERSATION]
ANSWERS = [answer for _, answer in CONVERSATION]


async def handed_over(worker: BookingWorker, records: list[Record], in_one_batch: bool) -> list[str]:
    """The gists of the answers, to one batch or to a batch for each."""
    for batch in [records] if in_one_batch else [[record] for record in records]:
        await worker.handle(*batch)
    return gists(worker.published)


@pytest.mark.parametrize("in_one_batch", [True, False])
async def test_each_message_has_its_answer(worker: BookingWorker, in_one_batch: bool) -> None:
    assert await handed_over(worker, MESSAGES, in_one_batch) == ANSWERS


@given(st.sets(st.integers(1, len(MESSAGES) - 1)))
@settings(max_examples=25)
async def test_the_same_conversation_cut_into_any_batches_is_answered_the_same_to_the_byte(
    engine: AsyncEngine, cuts: set[int]
) -> None:
    await forget_everything(engine)
    whole, cut = BookingWorker(engine), BookingWorker(engine)
    await whole.handle(*MESSAGES)
    holds = await held_times(engine)
    await forget_everything(engine)
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(MESSAGES)], strict=True):
        await cut.handle(*MESSAGES[start:end])
    assert cut.published == whole.published
    assert await held_times(engine) == holds


@pytest.mark.parametrize("in_one_batch", [True, False])
async def test_time_is_held_while_a_session_is_live(
    worker: BookingWorker, engine: AsyncEngine, in_one_batch: bool
) -> None:
    steps = [
        (schedule(), {(ANA.id, START, END), (BEN.id, START, END)}),
        (charged(), {(ANA.id, START, END), (BEN.id, START, END)}),
        (reschedule(starts_at=START + DAY), {(ANA.id, START + DAY, END + DAY), (BEN.id, START + DAY, END + DAY)}),
        (cancel(), set()),
        (schedule(OTHER), {(ANA.id, START, END), (BEN.id, START, END)}),
        (charge_declined(OTHER), set()),
    ]
    if in_one_batch:
        for number in range(1, len(steps) + 1):
            await forget_everything(engine)
            await worker.handle(*(record for record, _ in steps[:number]))
            assert await held_times(engine) == steps[number - 1][1]
    else:
        for record, held in steps:
            await worker.handle(record)
            assert await held_times(engine) == held


async def test_requested_charged_moved_and_canceled_in_one_batch(worker: BookingWorker, engine: AsyncEngine) -> None:
    answers = await worker.handle(
        schedule(), charged(), reschedule(starts_at=START + DAY), reschedule(starts_at=START + 2 * DAY), cancel()
    )
    assert gists(answers) == [
        "SessionRequested",
        "SessionScheduled",
        "SessionRescheduled",
        "SessionRescheduled",
        "SessionCanceled",
    ]
    assert [read_back(answer).body["session"]["version"] for answer in answers] == [1, 2, 3, 4, 5]
    assert await held_times(engine) == set()
    assert gists(await worker.handle(cancel())) == ["already_canceled"]


@pytest.mark.parametrize("in_one_batch", [True, False])
@pytest.mark.parametrize(
    ("second", "answer"),
    [
        (schedule(OTHER, client=EVE), "coach_unavailable"),
        (schedule(OTHER, coach=EVE), "client_unavailable"),
        (schedule(OTHER), "coach_unavailable"),  # both: the coach is named
        (schedule(OTHER, coach=ANA, client=EVE), "coach_unavailable"),  # who is coached then cannot coach then
        (schedule(OTHER, starts_at=START + 0.5 * HOUR), "coach_unavailable"),
        (schedule(OTHER, starts_at=START - 0.5 * HOUR), "coach_unavailable"),
        (schedule(OTHER, starts_at=START - HOUR, hours=3), "coach_unavailable"),
        (schedule(OTHER, starts_at=START + 0.25 * HOUR, hours=0.5), "coach_unavailable"),
        (schedule(OTHER, starts_at=END), "SessionRequested"),  # touching ends
        (schedule(OTHER, starts_at=START - HOUR), "SessionRequested"),
        (schedule(OTHER, starts_at=END - MILLISECOND), "coach_unavailable"),
        (schedule(OTHER, client=EVE, coach=a_person("Tom", 10)), "SessionRequested"),  # other people's time
    ],
)
async def test_nobody_is_in_two_sessions_at_once(
    worker: BookingWorker, in_one_batch: bool, second: Record, answer: str
) -> None:
    answers = await handed_over(worker, [schedule(), second], in_one_batch)
    assert answers == ["SessionRequested", answer]


@pytest.mark.parametrize("in_one_batch", [True, False])
@pytest.mark.parametrize(
    ("move", "answer"),
    [
        (reschedule(starts_at=START + 0.5 * HOUR), "SessionRescheduled"),  # into its own time
        (reschedule(starts_at=START), "SessionRescheduled"),  # to the same time
        (reschedule(starts_at=START + 2 * HOUR), "coach_unavailable"),  # into the coach's other session
        (reschedule(starts_at=START + 4 * HOUR), "client_unavailable"),
        (reschedule(starts_at=START, hours=2), "SessionRescheduled"),  # up to the next one
        (reschedule(starts_at=START, hours=2.5), "coach_unavailable"),
    ],
)
async def test_a_move_needs_free_time_its_own_not_counted(
    worker: BookingWorker, in_one_batch: bool, move: Record, answer: str
) -> None:
    before = [
        schedule(),
        schedule(OTHER, client=EVE, starts_at=START + 2 * HOUR),
        schedule(an_id(21), coach=EVE, starts_at=START + 4 * HOUR),
    ]
    assert await handed_over(worker, [*before, move], in_one_batch) == ["SessionRequested"] * 3 + [answer]


async def test_time_that_one_lets_go_can_be_taken_by_another_in_the_same_batch(
    worker: BookingWorker, engine: AsyncEngine
) -> None:
    await worker.handle(schedule())
    answers = await worker.handle(
        reschedule(starts_at=START + DAY), schedule(OTHER), cancel(OTHER), reschedule(starts_at=START), cancel(),
        schedule(an_id(21)),
    )  # fmt: skip
    assert gists(answers) == [
        "SessionRescheduled",
        "SessionRequested",
        "SessionCanceled",
        "SessionRescheduled",
        "SessionCanceled",
        "SessionRequested",
    ]
    assert await held_times(engine) == {(ANA.id, START, END), (BEN.id, START, END)}


async def test_two_sessions_swap_their_times_by_way_of_a_third(worker: BookingWorker, engine: AsyncEngine) -> None:
    await worker.handle(schedule(), schedule(OTHER, starts_at=START + HOUR))
    answers = await worker.handle(
        reschedule(SESSION, starts_at=START + DAY),
        reschedule(OTHER, starts_at=START),
        reschedule(SESSION, starts_at=START + HOUR),
    )
    assert gists(answers) == ["SessionRescheduled"] * 3
    assert gists(await worker.handle(cancel(SESSION))) == ["SessionCanceled"]
    assert await held_times(engine) == {(ANA.id, START, END), (BEN.id, START, END)}


@pytest.mark.parametrize("first_in_vain", [True, False])
async def test_two_requests_of_one_session_id_for_different_people_each_see_their_own_peoples_time(
    worker: BookingWorker, first_in_vain: bool
) -> None:
    await worker.handle(schedule(OTHER, client=EVE))
    first = schedule(client=a_person("Tom", 10), coach=a_person("Tim", 11), at=START if first_in_vain else EARLY)
    answers = await worker.handle(first, schedule(), reschedule(starts_at=START + 0.5 * HOUR))
    assert gists(answers) == (
        ["in_the_past", "coach_unavailable", "not_found"]
        if first_in_vain
        else ["SessionRequested", "already_exists", "not_allowed"]
    )


async def test_a_session_that_was_asked_for_in_vain_can_be_asked_for_again(worker: BookingWorker) -> None:
    answers = await worker.handle(
        schedule(at=START), schedule(), schedule(starts_at=START + DAY), charged(), reschedule(starts_at=START + DAY)
    )
    assert gists(answers) == [
        "in_the_past",
        "SessionRequested",
        "already_exists",
        "SessionScheduled",
        "SessionRescheduled",
    ]


@pytest.mark.parametrize("in_one_batch", [True, False])
@pytest.mark.parametrize(
    ("before", "rebooking", "answer"),
    [
        ([schedule(EARLIER_SESSION), cancel(EARLIER_SESSION)], schedule(rebooks=EARLIER_SESSION), "SessionRequested"),
        ([schedule(EARLIER_SESSION)], schedule(rebooks=EARLIER_SESSION), "not_canceled"),
        ([], schedule(rebooks=EARLIER_SESSION), "not_found"),
        ([], schedule(rebooks=SESSION), "not_found"),  # itself
        (
            [schedule(EARLIER_SESSION), cancel(EARLIER_SESSION)],
            schedule(coach=EVE, rebooks=EARLIER_SESSION),
            "not_allowed",
        ),
    ],
)
async def test_only_a_canceled_session_of_both_is_rebooked(
    worker: BookingWorker, in_one_batch: bool, before: list[Record], rebooking: Record, answer: str
) -> None:
    assert (await handed_over(worker, [*before, rebooking], in_one_batch))[-1] == answer


@pytest.mark.parametrize("in_one_batch", [True, False])
async def test_a_charge_confirmed_after_the_cancellation_revives_nothing(
    worker: BookingWorker, engine: AsyncEngine, in_one_batch: bool
) -> None:
    messages = [schedule(), cancel(), charged(), charge_declined(why="session_closed")]
    assert await handed_over(worker, messages, in_one_batch) == ["SessionRequested", "SessionCanceled"]
    assert await held_times(engine) == set()


async def test_the_journal_says_what_became_of_each_message(worker: BookingWorker, engine: AsyncEngine) -> None:
    told = [(schedule(), "handled"), (cancel(an_id(99)), "rejected"), (schedule(credits=-1), "rejected")]
    told += [(charged(), "handled"), (replace(cancel(), value=b"{"), "dead"), (charged(an_id(99)), "handled")]
    await worker.handle(*(record for record, _ in told))
    async with engine.connect() as connection:
        rows = await connection.execute(text('SELECT outcome FROM journal ORDER BY "offset"'))
        assert [outcome for (outcome,) in rows] == [became for _, became in told]


async def test_a_charge_for_a_session_that_nobody_knows_is_passed_over(worker: BookingWorker) -> None:
    assert await worker.handle(charged(an_id(99)), charge_declined(an_id(98))) == []


async def test_a_default_that_changes_later_changes_no_existing_session(engine: AsyncEngine) -> None:
    await forget_everything(engine)
    one_day, two_days = (BookingWorker(engine, BookingHandler(window_hours)) for window_hours in (24, 48))
    await one_day.handle(schedule(), charged())
    (canceled,) = await two_days.handle(cancel(at=DEADLINE))
    assert read_back(canceled).body["rule"] == "in_time"
    (requested,) = await two_days.handle(schedule(OTHER))
    assert read_back(requested).body["session"]["policy"] == {"window_hours": 48}
    (asked,) = await two_days.handle(schedule(an_id(21), starts_at=START + DAY, policy={"window_hours": 0}))
    assert read_back(asked).body["session"]["refundable_until"] == "2026-11-26T10:00:00.000Z"


@pytest.mark.parametrize(
    ("starts_at", "refundable_until"),
    [
        ("2026-03-29T10:00:00+02:00", "2026-03-28T08:00:00.000Z"),  # the night the clocks go forward
        ("2026-10-25T10:00:00+01:00", "2026-10-24T09:00:00.000Z"),  # the night they go back
        (
            "2026-11-25T15:30:00.1239+05:30",
            "2026-11-24T10:00:00.123Z",
        ),  # finer than a millisecond is cut
    ],
)
async def test_the_deadline_is_elapsed_time_whatever_offset_the_request_was_written_in(
    worker: BookingWorker, starts_at: str, refundable_until: str
) -> None:
    start = datetime.fromisoformat(starts_at)
    deadline = datetime.fromisoformat(refundable_until)
    request = schedule(at=deadline - DAY, starts_at=start)
    assert read_back((await worker.handle(request))[0]).body["session"]["refundable_until"] == refundable_until
    await worker.handle(charged(at=deadline - DAY))
    # The session stands in the database by now.
    (late,) = await worker.handle(reschedule(at=deadline + MILLISECOND, starts_at=start + DAY))
    assert read_back(late).gist == "inside_window"
    (canceled,) = await worker.handle(cancel(at=deadline))
    assert read_back(canceled).body["rule"] == "in_time"


async def test_a_session_can_be_as_far_away_as_a_time_can_be_written(worker: BookingWorker) -> None:
    start = datetime(9999, 12, 31, 22, tzinfo=UTC)
    answers = await worker.handle(
        schedule(starts_at=start, policy={"window_hours": 168}),
        charged(),
        reschedule(by=coach, starts_at=start + HOUR, hours=0.9),
        cancel(at=start - 167 * HOUR),
        schedule(OTHER, starts_at=datetime(1, 1, 1, tzinfo=UTC), policy={"window_hours": 168}),
    )
    assert gists(answers) == [
        "SessionRequested",
        "SessionScheduled",
        "SessionRescheduled",
        "SessionCanceled",
        "in_the_past",
    ]
    assert read_back(answers[3]).body["rule"] == "in_time"


async def test_a_session_that_costs_nothing_lives_like_any_other(worker: BookingWorker) -> None:
    answers = await worker.handle(schedule(credits=0), charged(), cancel(at=START - HOUR), refund(by=coach))
    assert gists(answers) == ["SessionRequested", "SessionScheduled", "SessionCanceled", "nothing_to_refund"]


@pytest.mark.parametrize(
    "name",
    [
        "Zoë Ñandú-Øst",
        "Ωμέγα",
        "李小龍",
        "محمد علي",
        "\U0001f9d8\U0001f3fd\u200d\u2640\ufe0f",  # one person of four code points, outside the basic plane and joined
        'O\'Brien "<b>" \\ {} %s :name',  # what quoting that is done by hand would trip over
        "a\tb",
        "\u202eevil",  # right to left from here on
        "e\u0301",  # not composed
        EVERY_SCRIPT,
    ],
)
async def test_a_name_in_any_script_is_kept_as_it_was_written(worker: BookingWorker, name: str) -> None:
    await worker.handle(schedule(client=replace(ANA, name=name), coach=replace(BEN, name=name), title=name))
    await worker.handle(charged())
    (canceled,) = await worker.handle(cancel(reason=name))
    said = read_back(canceled).body
    session = said["session"]
    assert [session["client"]["name"], session["coach"]["name"], session["title"], said["reason"]] == [name] * 4


async def test_the_reason_of_a_cancellation_is_kept_on_the_session(worker: BookingWorker, engine: AsyncEngine) -> None:
    await worker.handle(schedule(), charged())
    await worker.handle(cancel(reason=" I have a fever. "))
    async with engine.connect() as connection:
        kept = (await connection.execute(text("SELECT reason FROM sessions"))).scalars().all()
    assert kept == ["I have a fever."]


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=100).map(str.strip)


@given(st.lists(NAMES.filter(bool), min_size=1, max_size=20))
@settings(max_examples=25)
async def test_a_name_of_any_characters_is_kept_as_it_was_written(engine: AsyncEngine, names: list[str]) -> None:
    await forget_everything(engine)
    worker = BookingWorker(engine)
    people = [replace(a_person("Client", 100 + number), name=name) for number, name in enumerate(names)]
    asked = [schedule(an_id(200 + n), client=person, starts_at=START + n * DAY) for n, person in enumerate(people)]
    await worker.handle(*asked)
    answers = await worker.handle(*(charged(an_id(200 + number)) for number in range(len(people))))
    assert [read_back(answer).body["session"]["client"]["name"] for answer in answers] == names


YEARS = timedelta(days=3652)


@pytest.mark.parametrize("shift", [-YEARS, YEARS, 50 * YEARS])
async def test_the_clock_of_the_worker_decides_nothing(engine: AsyncEngine, shift: timedelta) -> None:
    """The records' own times are years from the worker's and the database's clock: every answer is the same."""
    answers = []
    for shifted_by in (timedelta(0), shift):
        await forget_everything(engine)
        worker = BookingWorker(engine)
        await worker.handle(*_lifetimes(shifted_by))
        answers.append([_without_times(read_back(record).body) for record in worker.published])
    assert answers[0] == answers[1]


def _lifetimes(shifted_by: timedelta) -> list[Record]:
    start, deadline = START + shifted_by, DEADLINE + shifted_by
    early = EARLY + shifted_by
    return [
        schedule(SESSION, at=early, starts_at=start),
        charged(SESSION, at=early),
        reschedule(SESSION, at=deadline, starts_at=start),
        reschedule(SESSION, at=deadline + MILLISECOND, starts_at=start),
        cancel(SESSION, at=deadline + MILLISECOND),
        refund(SESSION, by=coach, at=start + DAY),
        schedule(OTHER, at=start, starts_at=start),
        schedule(OTHER, at=start - MILLISECOND, starts_at=start),
        charged(OTHER, at=start),
        schedule(EARLIER_SESSION, at=early, starts_at=start + DAY),
        charged(EARLIER_SESSION, at=start + DAY - MILLISECOND),
        cancel(EARLIER_SESSION, at=start + DAY),
        cancel(EARLIER_SESSION, by=coach, refund=True, at=start + DAY - MILLISECOND),
    ]


def _without_times(body: object) -> object:
    """What is left of an answer when the ids of commands and the times, which are shifted, are taken out."""
    if not isinstance(body, dict):
        return body
    return {
        field: _without_times(value)
        for field, value in body.items()
        if not field.endswith(("_at", "_until")) and field != "command_id"
    }


class Stumbling(BookingHandler):
    """A handler with a defect that one message brings out."""

    def __init__(self, stumbles_over: str) -> None:
        super().__init__(default_window_hours=24)
        self._stumbles_over = stumbles_over

    def decide(self, state: State, received: Received[Message]) -> Decision[Changes]:
        decision = super().decide(state, received)
        if received.envelope.id == self._stumbles_over:
            raise RuntimeError("a defect")
        return decision


async def test_an_exception_in_one_decision_makes_only_that_message_a_dead_letter(engine: AsyncEngine) -> None:
    await forget_everything(engine)
    poison = cancel()
    worker = BookingWorker(engine, Stumbling(message_id(poison)))
    answers = await worker.handle(schedule(), poison, charged(), cancel())
    assert [record.topic for record in answers] == [
        "booking.events", "dlq.booking.booking.commands", "booking.events", "booking.events",
    ]  # fmt: skip
    letter = answers.pop(1)
    assert (letter.key, letter.value) == (poison.key, poison.value)
    told = dict(letter.headers)
    assert dict(poison.headers).items() <= told.items()
    assert told["__dlq.errors.class"] == b"RuntimeError"
    assert told["__dlq.errors.message"] == b"a defect"
    assert told["__dlq.errors.offset"] == str(poison.place.offset).encode()
    assert gists(answers) == ["SessionRequested", "SessionScheduled", "SessionCanceled"]
    assert [read_back(answer).body["session"]["version"] for answer in answers] == [1, 2, 3]
