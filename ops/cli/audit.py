"""`coaching audit`: what must be true, worked out again from the log and the databases, and where it is not."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict

from cyclopts import App

from contracts.topics import Group
from ops.audit import lines
from ops.audit.auditing import Addresses, audit
from ops.audit.look import Report
from ops.cli.options import (
    LOOKING_BY_DEFAULT,
    BookingDatabase,
    CreditsDatabase,
    Looking,
    NotifierDatabase,
    Servers,
    database,
    servers,
)
from ops.cli.terminal import complain, in_silence, progress, say, say_facts, say_json
from ops.errors import Exit

app = App(
    "audit",
    help="Work out again what must be true, from the log and from the databases, and show where it is not.\n\n"
    "Exit code 1 when something is not. Changes nothing; the system may run or not.",
    help_epilogue="Example: coaching audit --bootstrap-servers 127.0.0.1:9092 "
    "--credits-database-url postgresql://credits:secret@127.0.0.1:5432/credits",
)


@app.default
async def look(
    *,
    bootstrap_servers: Servers = None,
    booking_database_url: BookingDatabase = None,
    credits_database_url: CreditsDatabase = None,
    notifier_database_url: NotifierDatabase = None,
    looking: Looking = LOOKING_BY_DEFAULT,
) -> int:
    given: Mapping[Group, str | None] = {
        "booking": booking_database_url,
        "credits": credits_database_url,
        "notifier": notifier_database_url,
    }
    databases = {service: database(url) for service, url in given.items() if url}
    addresses = Addresses(servers(bootstrap_servers), databases)
    with nullcontext(in_silence) if looking.json else progress("reading the log") as on_progress:
        report = await audit(addresses, timeout_seconds=looking.timeout, on_progress=on_progress)
    (_show_to_programs if looking.json else _show_to_people)(report)
    return Exit.DONE if report.holds else Exit.NO


def _show_to_people(report: Report) -> None:
    say_facts(lines.facts(report))
    for sentence in report.unchecked:
        complain(sentence)
    for line in lines.findings(report):
        complain(line)
    (say if report.holds else complain)(lines.closing(report))


def _show_to_programs(report: Report) -> None:
    for finding in report.findings:
        say_json({"finding": asdict(finding)})
    told = {"outcome": "holds" if report.holds else "broken", "findings": len(report.findings)}
    say_json({"concluded": {**told, "counts": dict(report.counts), "unchecked": report.unchecked}})
