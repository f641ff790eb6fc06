"""How the steps of one cancellation are found among all that was said."""

import pytest

from benchmarks.bus import Heard
from benchmarks.quiet import TO_ACCEPTED, TO_CANCELED, TO_REFUNDED, latencies
from benchmarks.stage import Acceptance
from services.notifier.notices import email_id

CANCELED_ID, REFUNDED_ID = "11111111-0000-4000-8000-000000000000", "22222222-0000-4000-8000-000000000000"


def heard(at_ms: int, message_id: str, cause: str = "") -> Heard:
    return Heard(at_ms, "key", "type", message_id, cause, b"")


COMMANDS = [heard(1_000, "other"), heard(2_000, "command")]
CANCELED = [heard(2_010, CANCELED_ID, cause="command"), heard(1_500, "other canceled", cause="other")]
REFUNDED = [heard(2_030, REFUNDED_ID, cause=CANCELED_ID)]


def test_each_step_is_timed_from_the_append_of_its_own_command() -> None:
    took = latencies(COMMANDS, CANCELED, REFUNDED, [])
    assert took == {TO_CANCELED: [10.0, 500.0], TO_REFUNDED: [30.0]}


def test_an_email_is_found_by_its_id_and_timed_from_the_command_behind_its_fact() -> None:
    accepted = [
        Acceptance(f"{email_id(REFUNDED_ID, 'credits_refunded', 'client')}@localhost", 2.100),
        Acceptance(f"{email_id(CANCELED_ID, 'session_canceled', 'coach')}@localhost", 2.050),
        Acceptance(f"{email_id(CANCELED_ID, 'session_canceled', 'client')}@localhost", 2.060),
    ]
    took = latencies(COMMANDS, CANCELED[:1], REFUNDED, accepted)
    assert took[TO_ACCEPTED] == pytest.approx([100.0, 50.0, 60.0])


def test_an_email_that_nobody_owes_is_not_passed_over() -> None:
    with pytest.raises(KeyError):
        latencies(COMMANDS, CANCELED[:1], REFUNDED, [Acceptance("unheard-of@localhost", 2.0)])
