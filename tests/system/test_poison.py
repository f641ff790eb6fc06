"""What cannot be read goes to the dead letters with its bytes, and delays nobody."""

import json
import uuid

from tests.system.bus import Heard, command_headers
from tests.system.platform import Platform

DEAD_LETTERS = "dlq.booking.booking.commands"


async def test_unreadable_records_between_good_ones_of_one_batch_become_dead_letters(platform: Platform) -> None:
    account_id = await platform.account_with(12)
    booking = await platform.schedule(starts_in_hours=47, account_id=account_id)
    key = booking.session_id.encode()
    stranger, client = str(uuid.uuid4()), booking.client.id
    refused_id, accepted_id = str(uuid.uuid4()), str(uuid.uuid4())
    bad_headers = (("ce_specversion", b"1.0"), ("ce_id", b"\xff\xfe"), ("kept", None))
    no_json = b"{not json " + key

    def cancel_by(actor_id: str) -> bytes:
        body = {"session_id": booking.session_id, "by": {"role": "client", "id": actor_id}}
        return json.dumps(body).encode()

    partition, _ = await platform.bus.send_together(
        "booking.commands",
        [
            (key, cancel_by(stranger), [*command_headers("booking.CancelSession.v1", refused_id)]),
            (key, b'{"marker": "header"}', [*bad_headers]),
            (key, no_json, [*command_headers("booking.CancelSession.v1", str(uuid.uuid4()))]),
            (key, cancel_by(client), [*command_headers("booking.CancelSession.v1", accepted_id)]),
        ],
    )

    assert (await platform.bus.answer_to(refused_id)).body["code"] == "not_allowed"
    assert (await platform.bus.answer_to(accepted_id)).type == "SessionCanceled"
    letters = await platform.bus.wait_for(lambda record: record.topic == DEAD_LETTERS and record.key == key, count=2)
    assert [letter.value for letter in letters] == [b'{"marker": "header"}', no_json]
    assert letters[0].headers[: len(bad_headers)] == bad_headers
    for letter in letters:
        assert_tells_its_story(letter, partition)


def assert_tells_its_story(letter: Heard, partition: int) -> None:
    assert letter.header("__dlq.errors.topic") == "booking.commands"
    assert letter.header("__dlq.errors.partition") == str(partition)
    assert letter.header("__dlq.errors.group") == "booking"
    assert letter.header("__dlq.errors.offset").isdecimal()
    assert letter.header("__dlq.errors.timestamp").isdecimal()
    assert letter.header("__dlq.errors.message")


async def test_a_command_whose_key_is_not_its_session_is_rejected_under_the_id_in_its_body(platform: Platform) -> None:
    session_id, command_id = str(uuid.uuid4()), str(uuid.uuid4())
    body = json.dumps({"session_id": session_id, "by": {"role": "support", "id": str(uuid.uuid4())}}).encode()
    for key in (None, b"\xff\xfe"):
        record = (key, body, [*command_headers("booking.CancelSession.v1", command_id)])
        await platform.bus.send_together("booking.commands", [record])
    rejection = await platform.bus.answer_to(command_id)
    assert (rejection.body["code"], rejection.key) == ("invalid", session_id.encode())
