"""What an audit can find: a closed set of kinds, each a promise that was broken."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal[
    "unreadable",
    "unanswered",
    "answered_twice",
    "changed",
    "unasked",
    "wrong_verdict",
    "version_missing",
    "out_of_order",
    "wrong_history",
    "wrong_balance",
    "below_zero",
    "charge_unanswered",
    "charged_twice",
    "not_confirmed",
    "not_refunded",
    "refunded_twice",
    "wrong_refund",
    "letter_differs",
    "email_missing",
    "email_twice",
    "email_unexpected",
    "email_stuck",
    "wrong_hold",
    "overlap",
    "wrong_row",
    "unannounced",
    "not_in_log",
    "not_in_database",
    "differs",
]

KINDS: Final[Mapping[Kind, str]] = {
    # The log alone.
    "unreadable": "a service published what the contracts do not allow",
    "unanswered": "a command, or a record that cannot be read, was handled and left without an answer or a dead letter",
    "answered_twice": "a message has two different answers of one service",
    "changed": "one message id stands over two different contents",
    "unasked": "a message names a cause that is not there, or that it cannot have",
    "wrong_verdict": "an event does not follow from what it carries, or from the command that it answers (R3-R9, R16)",
    "version_missing": "a session or an account has a gap in its versions",
    "out_of_order": "an event first appears after a later one of the same session or account",
    "wrong_history": "an event does not follow from the one before it",
    "wrong_balance": "a balance is not the one before it and what moved",
    "below_zero": "an account is below zero (R21)",
    "charge_unanswered": "credits handled a session's request and neither charged nor declined it",
    "charged_twice": "a session was charged twice (R22)",
    "not_confirmed": "booking handled the answer to a charge, and the session still waits for it",
    "not_refunded": "credits handled what gives a charge back, and did not",
    "refunded_twice": "a session was refunded twice (R22)",
    "wrong_refund": "a refund is not of what was charged, or nobody decided it",
    "letter_differs": "a dead letter is not the record that it was (R41)",
    "email_twice": "one sending of an email has two pieces of news: sent twice, or sent and failed (R30)",
    "email_unexpected": "there is news of an email that its event does not ask for (R31)",
    # The databases.
    "email_stuck": "an email's claim is over, and the notifier that works does not take it back",
    "wrong_hold": "a session's held time is not its own (R2)",
    "overlap": "one person is in two live sessions at once (R2)",
    "wrong_row": "a row contradicts itself or another of its database",
    # The one against the other.
    "email_missing": "an event was handled, and an email that it asks for is nowhere",
    "unannounced": "what was committed was never said, and nothing is under way that would say it",
    "not_in_log": "a database has what the log does not tell of",
    "not_in_database": "the log tells of what a database does not have",
    "differs": "log and database say different things of one fact",
}
"""Each kind, and the promise that is broken."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """`about` names what it is found at: `session 5f2c…`. `sentence` tells what is there and what should be."""

    kind: Kind
    about: str
    sentence: str
