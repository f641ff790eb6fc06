"""What single answers say of the mail server as a whole, and what an operator hears of it."""

import pytest
from structlog.testing import capture_logs

from services.notifier.mail_server import (
    ASK_REFUSING_EVERY_SECONDS,
    ASK_UNREACHABLE_EVERY_SECONDS,
    MailServer,
)
from services.notifier.mailer import Accepted, Outcome, Postponed, Refused, SenderRefused, Unknown

AWAY, REFUSAL = Postponed("connection refused"), SenderRefused("553 5.7.1 Not yours")


def state_of(server: MailServer) -> tuple[str | None, bool]:
    return server.problem, server.is_refusing


def test_nobody_knows_a_server_that_was_never_asked() -> None:
    server = MailServer()
    assert not server.was_asked
    assert state_of(server) == (None, False)


def test_a_server_that_cannot_be_reached_is_a_problem_until_it_can() -> None:
    server = MailServer()
    server.not_reached(AWAY)
    assert state_of(server) == ("it cannot be reached (connection refused)", False)
    assert server.ask_again_seconds == ASK_UNREACHABLE_EVERY_SECONDS
    server.reached()
    assert server.was_asked
    assert state_of(server) == (None, False)


def test_a_server_that_lets_us_in_and_takes_us_for_no_sender_goes_on_refusing() -> None:
    server = MailServer()
    server.answered(REFUSAL)
    server.reached()
    assert state_of(server) == ("it takes no emails from us (553 5.7.1 Not yours)", True)
    assert server.ask_again_seconds == ASK_REFUSING_EVERY_SECONDS
    server.answered(Accepted("250 Ok"))
    assert state_of(server) == (None, False)


def test_a_server_that_refuses_us_at_its_door_is_well_again_when_it_lets_us_in() -> None:
    server = MailServer()
    server.not_reached(SenderRefused("535 Wrong password"))
    assert state_of(server) == ("it takes no emails from us (535 Wrong password)", True)
    server.reached()
    assert state_of(server) == (None, False)


@pytest.mark.parametrize("outcome", [Accepted("250"), Refused("550"), Postponed("450"), Unknown("lost")])
def test_what_becomes_of_one_email_is_no_problem_of_the_server(outcome: Outcome) -> None:
    server = MailServer()
    server.answered(outcome)
    assert state_of(server) == (None, False)


def test_a_problem_is_said_once_and_its_end_once() -> None:
    server = MailServer()
    with capture_logs() as lines:
        for number in range(3):
            server.not_reached(Postponed(f"connection refused, {number}"))
        for number in range(3):
            server.answered(SenderRefused(f"553 Not yours, {number}"))
            server.reached()
        for _ in range(3):
            server.answered(Accepted("250 Ok"))
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "mail.waits"),
        ("error", "mail.refused"),
        ("info", "mail.found"),
    ]
