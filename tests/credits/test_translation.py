"""Which end of a session gives credits back, and in whose name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.fields import Message
from services.credits.books import Actor, Fact, Refund, Wait
from services.credits.translation import Ended, ending, request, waiting_request
from tests.credits.story import approved, canceled, declined, id_of, received, requested, session

FIRST = session("first")

REFUNDS: list[tuple[Ended, Refund | None]] = [
    (canceled(FIRST, "automatic"), Refund("automatic")),
    (canceled(FIRST, "chosen", by="coach"), Refund("chosen", Actor("coach", id_of("coach")))),
    (canceled(FIRST, "none"), None),
    (declined(FIRST), Refund("declined")),
    (approved(FIRST, "ill"), Refund("exception", Actor("support", id_of("support")), "ill")),
]


@pytest.mark.parametrize(("message", "refund"), REFUNDS)
def test_an_end_says_what_goes_back_and_who_approved_it(message: Ended, refund: Refund | None) -> None:
    assert ending(received(message), message).refund == refund


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=100))
def test_a_request_that_waits_is_written_down_to_the_last_character(name: str) -> None:
    second = session("second", rebooks="first")
    second = second.model_copy(update={"client": second.client.model_copy(update={"name": f"x{name}x"[:100].strip()})})
    wait = request(received(requested(second)), second).wait
    assert wait is not None
    assert waiting_request(wait.request or "").session == second


def test_only_a_session_that_rebooks_another_can_wait() -> None:
    second = session("second", rebooks="first")
    heard: Message = requested(second)
    record = received(heard)
    wait = request(record, second).wait
    assert request(received(requested(FIRST)), FIRST).wait is None
    assert wait is not None
    assert (wait.rebooked, wait.fact) == (id_of("first"), Fact(record.envelope.id, record.appended_at))
    assert waiting_request(wait.request or "").session == second
    end = canceled(second)
    told = received(end)
    assert ending(told, end).wait == Wait(id_of("first"), Fact(told.envelope.id, told.appended_at), None)
