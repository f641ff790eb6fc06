"""The mail server as a part of the stack, and reading what it got."""

from contextlib import AsyncExitStack
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlsplit

import aiosmtplib

from devstack.mail import MailServer
from devstack.parts import MailPart


async def test_each_mail_is_kept_in_order_with_its_envelope(mail: MailPart) -> None:
    await _send(
        mail, _mail("Session canceled: Thursday 10:00 → 11:00"), recipients=["ana@example.com", "hidden@example.com"]
    )
    await _send(mail, _mail("Credits refunded"), recipients=["ana@example.com"])
    assert mail.mailbox is not None
    first, second = await mail.mailbox.mails()
    assert first.subject == "Session canceled: Thursday 10:00 → 11:00"
    assert first.sender == "coaching@example.com"
    assert first.recipients == ("ana@example.com", "hidden@example.com")
    assert first.message["To"] == "ana@example.com"
    assert first.body("plain") == "Zum Glück rechtzeitig.\n"
    assert first.body("html") == ""
    assert second.subject == "Credits refunded"
    (hidden,) = await mail.mailbox.mails(to=["hidden@example.com", "nobody@example.com"])
    assert hidden.subject == first.subject


async def test_mails_survive_a_stop_and_a_start_and_new_ones_come_after_them(
    at_end: AsyncExitStack, tmp_path: Path
) -> None:
    mail = MailServer(tmp_path)
    at_end.push_async_callback(mail.stop)
    await mail.start()
    await _send(mail, _mail("first"), recipients=["ana@example.com"])
    await mail.stop()
    assert not await mail.healthy()
    await mail.start()
    await _send(mail, _mail("second"), recipients=["ana@example.com"])
    assert [kept.subject for kept in await mail.mailbox.mails()] == ["first", "second"]


async def test_the_message_is_kept_byte_for_byte_under_its_envelope(at_end: AsyncExitStack, tmp_path: Path) -> None:
    mail = MailServer(tmp_path)
    at_end.push_async_callback(mail.stop)
    await mail.start()
    source = b"Subject: raw\r\n\r\n..two dots, and \xff\r\n"
    async with _client(mail) as client:
        await client.sendmail("coaching@example.com", ["ana@example.com"], source)
    (kept,) = mail.mailbox.folder.iterdir()
    envelope = b"Return-Path: <coaching@example.com>\r\nDelivered-To: ana@example.com\r\n"
    assert kept.read_bytes() == envelope + source


def _mail(subject: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "coaching@example.com", "ana@example.com", subject
    message.set_content("Zum Glück rechtzeitig.\n")
    return message


async def _send(mail: MailPart, message: EmailMessage, *, recipients: list[str]) -> None:
    async with _client(mail) as client:
        await client.send_message(message, recipients=recipients)


def _client(mail: MailPart) -> aiosmtplib.SMTP:
    url = urlsplit(mail.address)
    return aiosmtplib.SMTP(hostname=url.hostname, port=url.port)
