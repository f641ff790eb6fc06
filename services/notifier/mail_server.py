"""What the answers to single emails say of the mail server as a whole: whether there is any use in sending more."""

from typing import Final

import structlog

from services.notifier.mailer import Outcome, SenderRefused

# How often one email asks whether the server is back, and whether it takes us for a sender again.
ASK_UNREACHABLE_EVERY_SECONDS: Final = 1.0
ASK_REFUSING_EVERY_SECONDS: Final = 5.0

log = structlog.get_logger(__name__)


class MailServer:
    """`problem` is what keeps all emails from being sent, in words; None while they are taken."""

    def __init__(self) -> None:
        self.was_asked = False
        self.problem: str | None = None
        self.is_refusing = False
        self._took_no_sender = False

    @property
    def ask_again_seconds(self) -> float:
        """How long to leave the server alone while there is a problem."""
        return ASK_REFUSING_EVERY_SECONDS if self.is_refusing else ASK_UNREACHABLE_EVERY_SECONDS

    def reached(self) -> None:
        """That it lets us in says nothing of whether it takes us for a sender."""
        if not self._took_no_sender:
            self._all_is_well()

    def not_reached(self, outcome: Outcome) -> None:
        self._trouble(outcome)

    def answered(self, outcome: Outcome) -> None:
        """To an email."""
        self._took_no_sender = isinstance(outcome, SenderRefused)
        if self._took_no_sender:
            self._trouble(outcome)
        else:
            self._all_is_well()

    def _trouble(self, outcome: Outcome) -> None:
        """Says so when it begins and when it becomes another kind: the wording may differ from answer to answer."""
        self.was_asked = True
        is_new = self.problem is None or self.is_refusing != isinstance(outcome, SenderRefused)
        self.is_refusing = isinstance(outcome, SenderRefused)
        if self.is_refusing:
            self.problem = f"it takes no emails from us ({outcome.answer})"
        else:
            self.problem = f"it cannot be reached ({outcome.answer})"
        if is_new and self.is_refusing:
            log.error(
                "mail.refused",
                message="Nothing is sent: the mail server takes no emails from us. They are kept until it does;"
                " look at SMTP_URL and MAIL_FROM.",
                answer=outcome.answer,
            )
        elif is_new:
            log.warning(
                "mail.waits",
                message="Emails wait: the mail server cannot be reached. They are kept until it can.",
                answer=outcome.answer,
            )

    def _all_is_well(self) -> None:
        self.was_asked = True
        if self.problem is not None:
            log.info("mail.found", message="The mail server takes emails again.")
        self.problem, self.is_refusing = None, False
