"""Two requests for one slot at the same instant: exactly one wins (R2)."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

from tests.system.platform import Platform, Someone, on_apache_kafka

PAIRS = 200


# A commit that meets the second worker's leave is of an old generation to the development broker: aiokafka then joins
# as another member, and that broker waits for the one of before without end.
@on_apache_kafka
async def test_of_two_requests_for_one_slot_at_once_exactly_one_wins(platform: Platform) -> None:
    account_id = await platform.account_with(1)
    second_worker = await platform.stack.start_worker("booking")
    starts_at = datetime.now(UTC) + timedelta(days=3)

    async def ask(coach: Someone) -> str:
        session_id = str(uuid.uuid4())
        body = {
            "session_id": session_id,
            "account_id": account_id,
            "client": Someone("Ana").as_person(),
            "coach": coach.as_person(),
            "starts_at": starts_at.isoformat(),
            "ends_at": (starts_at + timedelta(hours=1)).isoformat(),
            "credits": 0,
        }
        return await platform.bus.send("booking.commands", "ScheduleSession", session_id, body)

    try:
        coaches = [Someone("Ben") for _ in range(PAIRS)]
        command_ids = await asyncio.gather(*(ask(coach) for coach in coaches for _ in range(2)))
        pairs = zip(command_ids[::2], command_ids[1::2], strict=True)
        for pair in pairs:
            answers = [await platform.bus.answer_to(command_id) for command_id in pair]
            assert sorted(answer.type for answer in answers) == ["CommandRejected", "SessionRequested"]
            (rejected,) = [answer.body["code"] for answer in answers if answer.type == "CommandRejected"]
            assert rejected == "coach_unavailable"
    finally:
        await second_worker.stop()
        platform.stack.workers.remove(second_worker)
