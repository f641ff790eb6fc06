"""`coaching emails`: every email in a page, and one email again, on the running system."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from devstack.mailbox import Mail
from devstack.parts import until
from devstack.stack import Stack
from ops.cli import emails
from ops.email_lines import Outcome, conclusion, facts, refusal
from ops.emails_view import Email, Verdict
from tests.ops.typed import Run

AT = datetime(2026, 11, 25, 10, tzinfo=UTC)
FAILED = Email(
    email_id="e5e5e5e5-0000-5000-8000-00000000000e",
    kind="session_canceled",
    reader="coach",
    session_id="5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a",
    address="ben@example.com",
    status="failed",
    attempts=1,
    answer="550 5.1.1 No such user",
    decided_at=AT,
    not_before=AT,
    times_resent=0,
    verdict="resendable",
    overtaken_by=None,
)


@pytest.fixture
def at_work(platform: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The system, where the command line finds it."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", platform.bootstrap_servers)
    monkeypatch.setenv("NOTIFIER_DATABASE_URL", platform.database_url("notifier"))
    return platform


async def emails_of_a_canceled_session(run: Run) -> dict[tuple[str, str], str]:
    """The ids of the emails, by kind and reader."""
    account_id, session_id = str(uuid4()), str(uuid4())
    await run("send", "grant", "12", "--account", account_id)
    words = ("--session", session_id, "--account", account_id, "--credits", "3", "--starts-in", "60h")
    people = ("--client", "Ana", "--client-id", str(uuid4()), "--coach", f"Coach {session_id[:8]}")
    await run("send", "schedule", *words, *people)
    await run("send", "cancel", session_id, "--by", f"client:{people[3]}")
    _, out, _ = await run("session", session_id, "--json")
    said = [json.loads(line)["said"] for line in out.splitlines() if '"notifier.EmailSent' in line]
    return {(one["body"]["kind"], one["body"]["reader"]): one["body"]["email_id"] for one in said}


async def mails_of(stack: Stack, email_id: str) -> list[Mail]:
    assert stack.mailbox
    return [mail for mail in await stack.mailbox.mails() if email_id in mail.message["Message-ID"]]


async def audited(run: Run) -> tuple[int, str]:
    """The exit code and the last word of `coaching audit`."""
    exit_code, out, err = await run("audit")
    return exit_code, out.splitlines()[-1] if exit_code == 0 else err


async def test_an_email_is_looked_at_and_then_sent_again(run: Run, at_work: Stack) -> None:
    email_id = (await emails_of_a_canceled_session(run))["session_canceled", "coach"]
    exit_code, out, err = await run("emails", "resend", email_id)
    assert (exit_code, err) == (0, "")
    assert f"email    {email_id}  session canceled, to the coach\n" in out
    assert "status   sent on " in out
    assert out.endswith(f"Nothing was sent. It is sent again with: coaching emails resend {email_id} --yes\n")
    assert len(await mails_of(at_work, email_id)) == 1

    async def is_sent() -> bool:
        # What became of it is announced a moment later than it is recorded.
        return (await run("emails", "resend", email_id, "--yes"))[0] == 0

    assert await until(is_sent, 20)
    first, again = await mails_of(at_work, email_id)
    assert first.message["Message-ID"] != again.message["Message-ID"]
    assert (first.subject, first.recipients) == (again.subject, again.recipients)
    _, out, _ = await run("emails", "resend", email_id)
    assert "sent again once" in out
    assert await audited(run) == (0, "All that was looked at is as it must be.")


async def test_news_that_no_longer_holds_is_refused_with_what_to_send_instead(run: Run, at_work: Stack) -> None:
    ids = await emails_of_a_canceled_session(run)
    scheduled, canceled = ids["session_scheduled", "client"], ids["session_canceled", "client"]
    for words in ((), ("--yes",)):
        exit_code, _, err = await run("emails", "resend", scheduled, *words)
        assert exit_code == 1
        assert err.endswith(f"have that one sent again with: coaching emails resend {canceled}\n")
    assert len(await mails_of(at_work, scheduled)) == 1


@pytest.mark.usefixtures("at_work")
async def test_for_programs_each_line_is_an_object(run: Run) -> None:
    email_id = (await emails_of_a_canceled_session(run))["session_canceled", "client"]
    exit_code, out, err = await run("emails", "resend", email_id, "--json")
    email, concluded = map(json.loads, out.splitlines())
    assert (exit_code, err) == (0, "")
    assert (email["email"]["kind"], email["email"]["address"]) == ("session_canceled", "ana@example.com")
    assert (concluded["concluded"]["outcome"], concluded["concluded"]["email_id"]) == ("resendable", email_id)
    exit_code, out, _ = await run("emails", "resend", str(uuid4()), "--yes", "--json")
    assert (exit_code, json.loads(out)["concluded"]["outcome"]) == (1, "not_found")


async def test_an_email_that_waits_for_the_mail_server_is_told_and_goes_out_without_us(
    run: Run, at_work: Stack
) -> None:
    email_id = (await emails_of_a_canceled_session(run))["session_canceled", "client"]
    (worker,) = [worker for worker in at_work.workers if worker.service == "notifier"]
    await worker.stop()
    try:
        exit_code, _, err = await run("emails", "resend", email_id, "--yes", "--timeout", "1")
        meanwhile = await audited(run)
    finally:
        await worker.start()
    assert exit_code == 3
    assert meanwhile == (0, "All that was looked at is as it must be.")
    assert err.startswith("it is not sent yet, and goes out as soon as the mail server takes it;")

    async def came() -> bool:
        return len(await mails_of(at_work, email_id)) == 2

    assert await until(came, 20)


async def test_a_database_without_emails_is_told(run: Run, at_work: Stack) -> None:
    url = at_work.database_url("booking")
    exit_code, out, err = await run("emails", "resend", str(uuid4()), "--notifier-database-url", url)
    assert (exit_code, out) == (2, "")
    assert "has no emails (function resend_email(" in err
    assert err.endswith("name notifier's own, brought up to date with: python -m services.notifier migrate\n")


@pytest.mark.parametrize(
    ("email", "status"),
    [
        (FAILED, "failed on Wed 25 Nov 2026, 10:00 UTC after 1 attempt: 550 5.1.1 No such user"),
        (
            replace(FAILED, status="sent", attempts=2, answer=None, times_resent=2),
            "sent on Wed 25 Nov 2026, 10:00 UTC after 2 attempts, sent again 2 times",
        ),
        (
            replace(FAILED, status="waiting", decided_at=None, answer="450 Later"),
            "waiting, next try Wed 25 Nov 2026, 10:00 UTC, after 1 attempt: 450 Later",
        ),
        (replace(FAILED, status="sending", decided_at=None, answer=None), "sending"),
    ],
)
def test_what_is_known_of_an_email(email: Email, status: str) -> None:
    assert dict(facts(email)) == {
        "email": f"{FAILED.email_id}  session canceled, to the coach",
        "session": FAILED.session_id,
        "to": "ben@example.com",
        "status": status,
    }
    assert dict(facts(replace(email, address=None)))["to"] == "an address that is not kept any more"


@pytest.mark.parametrize(
    ("verdict", "why"),
    [
        ("resendable", None),
        ("resent", None),
        ("on_its_way", "it is on its way already, and is tried again by itself; look"),
        ("unannounced", "what became of it is not announced yet; see that a notifier runs, then try again"),
        ("never_sent", "it was never to be sent, because its news was old when it came; tell the reader"),
        ("forgotten", "what it said is not kept any more, 90 days after it was sent; write to the reader"),
        ("overtaken", "a later email says that this session has moved or is off; have that one sent again with: "),
    ],
)
def test_why_an_email_is_not_sent_again_is_a_sentence_with_what_to_do(verdict: Verdict, why: str | None) -> None:
    said = refusal(replace(FAILED, verdict=verdict, overtaken_by="7"))
    assert (said or "").startswith(why or "")
    assert (said is None) == (why is None)


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        ("resendable", f"Nothing was sent. It is sent again with: coaching emails resend {FAILED.email_id} --yes"),
        ("sent", "It was sent again."),
        ("failed", "it has failed again: 550 5.1.1 No such user; mend what it names"),
        ("waiting", "it is not sent yet, and goes out as soon as the mail server takes it;"),
    ],
)
def test_the_last_word_is_what_became_of_it(outcome: Outcome, sentence: str) -> None:
    assert conclusion(FAILED, outcome).startswith(sentence)


async def test_every_email_is_written_into_one_page_which_is_named(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "emails.html"
    exit_code, out, err = await run("emails", "preview", str(file))
    assert (exit_code, err) == (0, "")
    assert out.endswith(f"{file.as_uri()}\n")
    assert "<iframe" in file.read_text(encoding="utf-8")


async def test_a_page_that_cannot_be_written_is_told(run: Run, tmp_path: Path) -> None:
    exit_code, out, err = await run("emails", "preview", str(tmp_path))
    assert (exit_code, out, err.count("\n")) == (2, "", 1)
    assert f"{tmp_path} cannot be written (" in err


async def test_where_the_notifier_is_not_installed_the_way_out_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_there(_name: str) -> Any:
        return None

    monkeypatch.setattr(emails, "find_spec", not_there)
    exit_code, out, err = await run("emails", "preview")
    assert (exit_code, out) == (2, "")
    assert err.endswith("is not installed here; where it is, run: python -m services.notifier preview\n")
