"""What is to be said of a run: everything that was found, whoever found it, and what was counted. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ops.audit.look import Report
from tests.chaos.audited import counts_of, findings_of
from tests.chaos.bus_log import BusLog
from tests.chaos.command_rules import lost, not_put_aside, said_again, unanswered
from tests.chaos.excuses import excuses
from tests.chaos.exits import unexplained
from tests.chaos.findings import Finding
from tests.chaos.happened import Course
from tests.chaos.mail_rules import MailAudit, audit_mail


@dataclass(frozen=True, slots=True)
class Verdict:
    findings: Sequence[Finding]
    counts: Mapping[str, int]


def judge(course: Course, log: BusLog, report: Report, *, orderly: bool) -> Verdict:
    """`orderly`: nothing happened that would make anybody say a thing twice."""
    promised = [one for promises in log.promised.values() for one in promises]
    mail = audit_mail(promised, log.news, course.receipts, excuses(course.injected, course.ends))
    findings = [
        *_unsettled(course),
        *lost(course.acknowledged, log.ids),
        *unanswered(course.acknowledged, log.answered),
        *(said_again(log.ids) if orderly else ()),
        *not_put_aside(course.acknowledged, log.letters),
        *unexplained(course.ends, course.injected, course.standstills),
        *mail.findings,
        *findings_of(report, course.acknowledged),
    ]
    return Verdict(sorted(findings), _counts(course, log, mail) | counts_of(report))


def _unsettled(course: Course) -> list[Finding]:
    return [] if course.settled_at is not None else [Finding("not settled", "work was left when the calm was over")]


def _counts(course: Course, log: BusLog, mail: MailAudit) -> dict[str, int]:
    sent = Counter(one.sending.purpose for one in course.acknowledged)
    return {
        "faults": len(course.injected),
        "workers that ended": len(course.ends),
        "standstills of this machine": len(course.standstills),
        "commands acknowledged": sent["command"],
        "commands sent again": sent["repeat"],
        "ids used again for other content": sent["reuse"],
        "pieces of poison": sent["poison"],
        "events repeated by others": course.echoes,
        "records in the log": log.records,
        "emails promised": mail.promised,
        "emails that came twice": mail.sent_twice,
        "emails given up after two tries": mail.given_up,
        "… that the server never got": mail.given_up_unseen,
    }
