"""What follows from an attempt, as a table (email.md, "How it is sent")."""

import pytest

from services.notifier.attempts import Schedule, given_back, result_of
from services.notifier.mailer import Accepted, Outcome, Postponed, Refused, SenderRefused, Unknown
from services.notifier.store import Claimed, Result

SCHEDULE = Schedule(retry_seconds=(60, 300, 900), unknown_retry_seconds=600)
EVENLY = 0.5  # no jitter
MESSAGE_ID = "<1@example.org>"


def claimed(attempts: int = 1, times_unknown: int = 0) -> Claimed:
    return Claimed("an email", "a token", attempts, times_unknown, "{}")


def result(status: str, answer: str, wait_seconds: float = 0, **other: object) -> Result:
    return Result("an email", "a token", status, answer, wait_seconds, **other)  # type: ignore[arg-type]  # by the table


@pytest.mark.parametrize(
    ("email", "outcome", "expected"),
    [
        # The server has it.
        (claimed(), Accepted("250 Ok"), result("sent", "250 Ok", message_id=MESSAGE_ID)),
        # It never will: this email has failed, with the server's words.
        (claimed(), Refused("550 No such user"), result("failed", "550 No such user")),
        # Not now: one wait after each attempt,
        (claimed(attempts=1), Postponed("450 Later"), result("waiting", "450 Later", 60)),
        (claimed(attempts=2), Postponed("450 Later"), result("waiting", "450 Later", 300)),
        (claimed(attempts=3), Postponed("450 Later"), result("waiting", "450 Later", 900)),
        # and after the last one it is given up, with the server's words.
        (claimed(attempts=4), Postponed("450 Later"), result("failed", "given up after 4 attempts: 450 Later")),
        # Sent, but not answered: once more, much later,
        (claimed(), Unknown("connection lost"), result("unknown", "connection lost", 600)),
        # and not a third time: there may be two copies.
        (
            claimed(attempts=2, times_unknown=1),
            Unknown("connection lost"),
            result("failed", "it is not known whether it was sent: connection lost"),
        ),
        # What may have been sent uses up no wait of the schedule,
        (claimed(attempts=2, times_unknown=1), Postponed("450 Later"), result("waiting", "450 Later", 60)),
        (claimed(attempts=4, times_unknown=1), Postponed("450 Later"), result("waiting", "450 Later", 900)),
        # and may be accepted the second time, or refused.
        (claimed(attempts=2, times_unknown=1), Accepted("250 Ok"), result("sent", "250 Ok", message_id=MESSAGE_ID)),
        # Of an email that the server did not even look at nothing is known: it stays as it was.
        (claimed(), SenderRefused("553 Not yours"), result("waiting", "553 Not yours", attempted=False)),
        (claimed(attempts=9), SenderRefused("554 No"), result("waiting", "554 No", attempted=False)),
    ],
)
def test_what_follows_from_an_attempt(email: Claimed, outcome: Outcome, expected: Result) -> None:
    assert result_of(email, outcome, SCHEDULE, luck=EVENLY, message_id=MESSAGE_ID) == expected


@pytest.mark.parametrize(
    ("outcome", "shortest", "longest"), [(Postponed("450 Later"), 48, 72), (Unknown("lost"), 480, 720)]
)
def test_waits_are_spread_by_a_fifth_either_way(outcome: Outcome, shortest: float, longest: float) -> None:
    waits = [result_of(claimed(), outcome, SCHEDULE, luck=luck).wait_seconds for luck in (0, 0.25, 0.999999)]
    assert waits == sorted(waits)
    assert (waits[0], round(waits[-1], 3)) == (shortest, longest)


def test_without_a_schedule_the_first_postponement_is_the_last() -> None:
    never_again = Schedule(retry_seconds=(), unknown_retry_seconds=600)
    assert result_of(claimed(), Postponed("450 Later"), never_again, luck=EVENLY).status == "failed"


def test_an_email_that_is_given_back_has_not_been_tried() -> None:
    assert given_back(claimed(attempts=2), "not now") == result("waiting", "not now", attempted=False)
