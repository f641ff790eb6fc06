"""The email on the wire, read back by the standard library's parser."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.header import decode_header
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.notifier.calendar import invitation
from services.notifier.mailbox import Mailbox, UnsendableAddressError, encoded, mailbox, parse_mailbox
from services.notifier.message import message, message_id
from services.notifier.notices import Notice, email_id
from services.notifier.rendering import Rendered
from services.notifier.samples import in_language
from tests.notifier.story import (
    EVENT_ID,
    RENDERER,
    SENDER,
    SUPPORT,
    canceled,
    notice_of,
    refunded,
)

NOW = datetime(2025, 11, 23, 10, 0, 5, tzinfo=UTC)
CANCELED = notice_of(canceled(reason="I have a fever."))
EMAIL_ID = email_id(EVENT_ID, "session_canceled", "client")


def wire(
    notice: Notice = CANCELED,
    *,
    rendered: Rendered | None = None,
    sender: Mailbox = SENDER,
    recipient: Mailbox | None = None,
    now: datetime = NOW,
) -> bytes:
    shown = rendered or RENDERER.render(notice)
    to = recipient or mailbox(notice.recipient.name, notice.recipient.email)
    invite = invitation(notice, organizer=sender, attendee=to, summary=shown.summary, link=shown.link)
    return message(
        shown,
        invite,
        message_id=message_id(EMAIL_ID, sender),
        sender=sender,
        reply_to=SUPPORT,
        recipient=to,
        now=now,
    )


def parsed(raw: bytes) -> EmailMessage:
    email = message_from_bytes(raw, policy=policy.default)
    assert [part.defects for part in email.walk() if part.defects] == []
    return email


def parts(email: EmailMessage) -> dict[str, EmailMessage]:
    return {part.get_content_type(): part for part in email.walk() if not part.is_multipart()}


def text_of(part: EmailMessage) -> str:
    content = part.get_content()
    return (content if isinstance(content, str) else content.decode()).replace("\r\n", "\n")


def test_an_email_with_an_invitation_has_the_structure_that_mail_programs_want() -> None:
    email = parsed(wire())
    assert [part.get_content_type() for part in email.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "text/calendar",
        "application/ics",
    ]
    calendar, attached = parts(email)["text/calendar"], parts(email)["application/ics"]
    assert dict(calendar["Content-Type"].params) == {"method": "CANCEL", "charset": "UTF-8"}
    assert (attached.get_content_disposition(), attached.get_filename()) == ("attachment", "invite.ics")
    assert attached.get_payload(decode=True) == calendar.get_payload(decode=True)


def test_an_email_without_an_invitation_is_text_and_html() -> None:
    email = parsed(wire(notice_of(refunded())))
    assert [part.get_content_type() for part in email.walk()] == ["multipart/alternative", "text/plain", "text/html"]


@pytest.mark.parametrize("locale", ["en", "de"])
def test_every_part_arrives_as_it_was_rendered(locale: str) -> None:
    notice = in_language(CANCELED, locale)
    rendered = RENDERER.render(notice)
    arrived = parts(parsed(wire(notice)))
    assert text_of(arrived["text/plain"]) == rendered.text
    # Characters outside ASCII come as references, which mean the same.
    assert text_of(arrived["text/html"]) == rendered.html.encode("ascii", "xmlcharrefreplace").decode()
    expected = invitation(
        notice,
        organizer=SENDER,
        attendee=mailbox("Ana Silva", "ana@example.com"),
        summary=rendered.summary,
        link=rendered.link,
    )
    assert expected
    assert arrived["application/ics"].get_payload(decode=True) == expected.ics


def test_an_invitation_outside_ascii_arrives_whole() -> None:
    notice = notice_of(canceled(of_session={"title": "Größe " * 10}))
    rendered = RENDERER.render(notice)
    made = invitation(
        notice,
        organizer=SENDER,
        attendee=mailbox("Ana Silva", "ana@example.com"),
        summary=rendered.summary,
        link=rendered.link,
    )
    assert made
    assert not made.ics.isascii()
    assert parts(parsed(wire(notice)))["text/calendar"].get_payload(decode=True) == made.ics


def test_the_headers() -> None:
    email = parsed(wire())
    assert {name: str(value) for name, value in email.items() if name != "Content-Type"} == {
        "MIME-Version": "1.0",
        "From": "Coaching <coaching@example.org>",
        "To": "Ana Silva <ana@example.com>",
        "Reply-To": "support@example.org",
        "Subject": "Canceled: coaching with Ben Ortiz, Tue 25 Nov, 11:00 CET",
        "Date": "Sun, 23 Nov 2025 10:00:05 +0000",
        "Message-ID": f"<{EMAIL_ID}@example.org>",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "OOF, AutoReply",
        "Content-Language": "en",
    }


def test_every_attempt_has_the_same_message_id_and_its_own_date() -> None:
    first, second = parsed(wire()), parsed(wire(now=NOW + timedelta(hours=3)))
    assert first["Message-ID"] == second["Message-ID"] == message_id(EMAIL_ID, SENDER)
    assert first["Date"].datetime == NOW
    assert second["Date"].datetime == NOW + timedelta(hours=3)


def test_an_email_that_an_operator_has_sent_again_is_another_one_to_mail_programs() -> None:
    first, again, once_more = (message_id(EMAIL_ID, SENDER, times_resent=times) for times in range(3))
    assert first == f"<{EMAIL_ID}@example.org>"
    assert (again, once_more) == (f"<{EMAIL_ID}.1@example.org>", f"<{EMAIL_ID}.2@example.org>")


def test_a_date_keeps_its_offset() -> None:
    at = NOW.astimezone(timezone(timedelta(hours=1)))
    assert str(parsed(wire(now=at))["Date"]) == "Sun, 23 Nov 2025 11:00:05 +0100"


# Hostile text -----------------------------------------------------------------------------------------------------

# Whatever the renderer lets through: lines without controls.
lines = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=500).map(
    lambda text: " ".join(text.split()) or "x"
)


@settings(max_examples=50, deadline=None)
@given(subject=lines, name=lines.map(lambda text: text[:100].strip()), body=st.lists(lines, max_size=5))
def test_whatever_is_written_arrives_and_adds_no_header_and_no_part(subject: str, name: str, body: list[str]) -> None:
    text = "\n".join([*body, "."])
    rendered = Rendered("en", subject, subject, "https://x.example", text, f"<p>{subject}</p>\n.")
    raw = wire(rendered=rendered, recipient=mailbox(name, "ana@example.com"))
    assert_fit_for_smtp(raw)
    email = parsed(raw)
    assert len(email.keys()) == 11
    assert len(list(email.walk())) == 6
    assert " ".join(str(email["Subject"]).split()) == subject
    assert email["To"].addresses[0].addr_spec == "ana@example.com"
    assert text_of(parts(email)["text/plain"]) == text


@pytest.mark.parametrize("before", ["", "x" * 998, "\n" * 40, "x\n" * 700, f"{'x' * 997}\n" * 3])
@pytest.mark.parametrize("after", ["", "x" * 998, "\n" * 40])
@pytest.mark.parametrize(("octets", "encoding"), [(998, "7bit"), (999, "quoted-printable")])
def test_a_line_goes_as_it_is_up_to_998_octets(before: str, after: str, octets: int, encoding: str) -> None:
    text = f"{before}\n{'y' * octets}\n{after}"
    arrived = parts(parsed(wire(rendered=replace(RENDERER.render(CANCELED), text=text))))["text/plain"]
    assert arrived["Content-Transfer-Encoding"] == encoding
    assert text_of(arrived) == text


def assert_fit_for_smtp(raw: bytes) -> None:
    assert raw.isascii()
    assert b"\0" not in raw
    assert raw.endswith(b"\r\n")
    raw_lines = raw.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in raw_lines)
    assert max(map(len, raw_lines)) <= 998


@pytest.mark.parametrize(
    "name",
    [
        "Ana\r\nBcc: x\0",
        "=?utf-8?q?Bcc:=0D=0A?=",
        'Ana "Ace" Silva, PhD <ana>',
        "Jörg",
        "山田 太郎",
        "W" * 100,
        "\N{GRINNING FACE}" * 100,
    ],
)
def test_a_name_is_a_name_whatever_it_looks_like(name: str) -> None:
    raw = wire(recipient=mailbox(name, "ana@example.com"), sender=mailbox(name, "coaching@example.org"))
    assert_fit_for_smtp(raw)
    email = parsed(raw)
    for header, address in (("To", "ana@example.com"), ("From", "coaching@example.org")):
        (only,) = email[header].addresses
        assert only.addr_spec == address
        assert "".join(only.display_name.split()) == "".join(name.replace("\0", "").split())


def test_what_only_looks_like_an_encoded_subject_is_shown_as_it_is() -> None:
    rendered = replace(RENDERER.render(CANCELED), subject="=?utf-8?q?=0D=0ABcc:_x?=")
    assert str(parsed(wire(rendered=rendered))["Subject"]) == "=?utf-8?q?=0D=0ABcc:_x?="


@pytest.mark.parametrize("subject", ["Jörg", "Ünïcödé " * 12, "山田 太郎" * 9, "\N{GRINNING FACE}" * 40, "=?x?=" * 20])
def test_other_letters_stand_in_short_lines_each_of_whole_characters(subject: str) -> None:
    lines = f"Subject: {encoded(subject, 'Subject')}".split("\r\n")
    assert max(map(len, lines)) <= 76
    words = [decode_header(line.removeprefix("Subject:").strip()) for line in lines]
    assert [charset for ((_, charset),) in words] == ["utf-8"] * len(lines)
    assert "".join(octets.decode() for ((octets, _),) in words) == subject


def test_nobody_can_write_a_boundary() -> None:
    first, second = wire(), wire()
    boundary = parsed(first).get_boundary()
    assert boundary
    quoted = notice_of(canceled(reason=f"--{boundary}\n--{boundary}--"))
    assert boundary.encode() not in second
    assert len(list(parsed(wire(quoted)).walk())) == 6


# Addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("ana@example.com", "ana@example.com"),
        ("ana.o'neil+coaching@mail.example.com", "ana.o'neil+coaching@mail.example.com"),
        ("coaching@localhost", "coaching@localhost"),
        ("ana@[192.0.2.1]", "ana@[192.0.2.1]"),
        ("ana@bücher.example", "ana@xn--bcher-kva.example"),
    ],
)
def test_an_address_is_written_in_ascii(address: str, written: str) -> None:
    assert mailbox("Ana", address).address == written


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ana",
        "@example.com",
        "ana@",
        "ana@b@example.com",
        "a b@example.com",
        "ana@ex ample.com",
        "ana,ben@example.com",
        'a"b@example.com',
        "ana@example.com>",
        "ana@example.com\r\nBcc: x",
        "ana@bücher..example",
        "jörg@example.com",
    ],
)
def test_an_address_that_no_server_takes_is_unsendable(address: str) -> None:
    with pytest.raises(UnsendableAddressError) as refused:
        mailbox("Ana", address)
    assert "ana" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("coaching@example.org", "", "coaching@example.org"),
        ("Coaching <coaching@example.org>", "Coaching", "coaching@example.org"),
        ('"Coaching, Inc." <coaching@example.org>', "Coaching, Inc.", "coaching@example.org"),
    ],
)
def test_a_setting_names_a_mailbox_with_or_without_a_name(text: str, name: str, address: str) -> None:
    assert parse_mailbox(text) == Mailbox(name, address)
