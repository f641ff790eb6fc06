"""A worker is killed between COMMIT and publish: its successor says what was left unsaid, in its order."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.credits.desk import Desk, Killed, said
from tests.credits.story import canceled, granted, record, requested, scheduled, session

FIRST, SECOND = session("first"), session("second", rebooks="first")


@pytest.fixture
async def dying(engine: AsyncEngine) -> Desk:
    """A worker that ends in its next batch, after it was told of a session and one that waits to replace it."""
    desk = Desk(engine)
    await desk.take(granted(3), requested(FIRST), requested(SECOND))
    desk.is_killed_before_publishing = True
    return desk


async def test_the_refund_is_made_once_and_announced_when_its_record_comes_again(dying: Desk, desk: Desk) -> None:
    cancellation = record(canceled(FIRST))
    with pytest.raises(Killed):
        await dying.take(cancellation)
    assert await dying.balance() == 0
    announced = said(await desk.take(cancellation))
    assert announced.count("first: CreditsRefunded 3 automatic, 3 left") == 1
    assert await desk.take(cancellation) == []


async def test_a_late_answer_is_announced_when_its_own_record_comes_again(dying: Desk, desk: Desk) -> None:
    with pytest.raises(Killed):
        await dying.take(canceled(FIRST))
    assert said(await desk.take(requested(SECOND))) == [
        "first: CreditsRefunded 3 automatic, 3 left",
        "second: CreditsCharged 3, 0 left",
    ]


async def test_what_was_left_unsaid_of_an_account_is_said_before_anything_new(dying: Desk, desk: Desk) -> None:
    with pytest.raises(Killed):
        await dying.take(canceled(FIRST), scheduled(SECOND), canceled(SECOND))
    assert said(await desk.take(granted(1, grant="bonus"))) == [
        "first: CreditsRefunded 3 automatic, 3 left",
        "second: CreditsCharged 3, 0 left",
        "second: CreditsRefunded 3 automatic, 3 left",
        "CreditsGranted 1, 4 left",
    ]
