"""What readers read: every email word for word (golden files), and what must be true of each.

After a wanted change of words: `UPDATE_GOLDEN=1 python -m pytest tests/notifier/test_rendering.py`, then read the diff.
"""

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.notifier.language import LANGUAGES
from services.notifier.rendering import Rendered, Renderer
from tests.notifier.reading import Page, words_of
from tests.notifier.story import (
    ANA,
    DAY,
    LATE,
    RENDERER,
    STARTS_AT,
    SUPPORT,
    canceled,
    declined,
    in_language,
    notice_of,
    refunded,
    rescheduled,
    scheduled,
    session,
)

GOLDEN = Path(__file__).parent / "golden"
FREE: dict[str, Any] = {"credits": 0}
NO_WINDOW: dict[str, Any] = {"refundable_until": STARTS_AT}
UNCONFIRMED: dict[str, Any] = {"previous_status": "requested", "rule": "unconfirmed"}

# Kind by kind and reader by reader, the everyday case first: of that one the HTML is kept, too.
EVERYDAY = {
    "scheduled.client": notice_of(scheduled()),
    "scheduled.coach": notice_of(scheduled(), "coach"),
    "rescheduled.client": notice_of(rescheduled(reason="A dentist.\nSorry!")),
    "rescheduled.coach": notice_of(rescheduled(reason="A dentist.\nSorry!"), "coach"),
    "canceled.client": notice_of(canceled(reason="I have a fever.")),
    "canceled.coach": notice_of(canceled(reason="I have a fever."), "coach"),
    "declined.client": notice_of(declined()),
    "refunded.client": notice_of(refunded()),
}
SPECIAL = {
    # R10: booked when the deadline had passed.
    "scheduled.client.late": notice_of(scheduled(LATE)),
    "scheduled.coach.late": notice_of(scheduled(LATE), "coach"),
    # No policy window: the deadline is the start.
    "scheduled.client.no-window": notice_of(scheduled(**NO_WINDOW)),
    # Nothing to refund.
    "scheduled.client.free": notice_of(scheduled(**FREE)),
    "scheduled.client.free-late": notice_of(scheduled(LATE, **FREE)),
    "scheduled.coach.free": notice_of(scheduled(**FREE), "coach"),
    "scheduled.client.titled": notice_of(scheduled(title="Career planning")),
    "rescheduled.client.by-client": notice_of(rescheduled(by="client")),
    "rescheduled.coach.by-support": notice_of(rescheduled(by="support"), "coach"),
    # R6: too late, and nothing more than that.
    "canceled.client.late": notice_of(canceled(LATE, rule="late")),
    "canceled.coach.late": notice_of(canceled(LATE, rule="late"), "coach"),
    # R7: too late, and yet refunded by whoever canceled.
    "canceled.client.late-chosen-by-coach": notice_of(canceled(LATE, rule="late_chosen", by="coach")),
    "canceled.coach.late-chosen-by-coach": notice_of(canceled(LATE, rule="late_chosen", by="coach"), "coach"),
    "canceled.client.late-chosen-by-support": notice_of(canceled(LATE, rule="late_chosen", by="support")),
    "canceled.client.unconfirmed": notice_of(canceled(**UNCONFIRMED)),
    "canceled.client.free": notice_of(canceled(of_session=FREE)),
    "declined.client.unknown-account": notice_of(declined(why="unknown_account")),
    "declined.client.too-late": notice_of(declined(why="too_late")),
    "declined.client.too-late-free": notice_of(declined(why="too_late", session=session(**FREE))),
    "refunded.client.one-credit": notice_of(refunded(credits=1, balance=1_001)),
    "refunded.client.exception-by-coach": notice_of(refunded(cause="exception", approved_by="coach")),
    "refunded.client.chosen-by-support": notice_of(refunded(cause="chosen", approved_by="support")),
    "refunded.client.declined": notice_of(refunded(cause="declined")),
}
EVERY_NOTICE = EVERYDAY | SPECIAL


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", EVERY_NOTICE)
def test_every_email_says_word_for_word(name: str, language: str) -> None:
    rendered = RENDERER.render(in_language(EVERY_NOTICE[name], language))
    assert_golden(f"{name}.{language}.txt", f"Subject: {rendered.subject}\n\n{rendered.text}")
    if name in EVERYDAY:
        assert_golden(f"{name}.{language}.html", rendered.html)


def assert_golden(file_name: str, now: str) -> None:
    golden = GOLDEN / file_name
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(now, encoding="utf-8")
    assert now == golden.read_text(encoding="utf-8")


def test_no_golden_file_is_left_over() -> None:
    texts = {f"{name}.{language}.txt" for name in EVERY_NOTICE for language in LANGUAGES}
    pages = {f"{name}.{language}.html" for name in EVERYDAY for language in LANGUAGES}
    assert {path.name for path in GOLDEN.iterdir()} == texts | pages


# What must be true of every email ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY_NOTICE)
def test_the_first_line_says_what_happened_and_html_says_what_text_says(name: str) -> None:
    rendered = RENDERER.render(EVERY_NOTICE[name])
    page = words_of(rendered.html)
    first, *others = (line for line in rendered.text.splitlines() if line)
    assert page.startswith(first), "the inbox's preview line"
    assert page.count(first) == 2
    for line in others:
        said = line.removeprefix("> ").partition(": https://")[0].removesuffix(":")
        assert " ".join(said.split()).replace(SUPPORT.address + ".", SUPPORT.address) in page


@pytest.mark.parametrize("name", EVERY_NOTICE)
def test_no_email_promises_credits_that_the_ledger_has_not_moved(name: str) -> None:
    rendered = RENDERER.render(EVERY_NOTICE[name])
    says_they_are_back = "back in your account;" in rendered.text
    assert says_they_are_back == name.startswith("refunded")


@pytest.mark.parametrize(
    ("name", "links"),
    [
        # Who lost a session may book the same coach again, in the place of the one that was canceled (R15),
        ("canceled.client", "schedule?coach={coach}&rebooks={session}"),
        ("refunded.client", "schedule?coach={coach}&rebooks={session}"),
        # a session that never stood is no session to replace;
        ("declined.client", "schedule?coach={coach}"),
        ("refunded.client.declined", "schedule?coach={coach}"),
        # the others look at their session.
        ("scheduled.client", "sessions/{session}"),
        ("rescheduled.coach", "sessions/{session}"),
        ("canceled.coach", "sessions/{session}"),
    ],
)
def test_the_next_step_is_one_link(name: str, links: str) -> None:
    notice = EVERY_NOTICE[name]
    link = "https://coaching.example.org/" + links.format(coach=notice.coach_id, session=notice.session_id)
    rendered = RENDERER.render(notice)
    assert rendered.text.count("https://") == 1
    assert f": {link}\n" in rendered.text
    assert f'href="{link.replace("&", "&amp;")}"' in rendered.html


def test_the_base_of_links_may_end_in_a_slash() -> None:
    renderer = Renderer(link_base_url="https://x.example/app/", support=SUPPORT.address)
    assert f"https://x.example/app/sessions/{EVERYDAY['canceled.coach'].session_id}" in (
        renderer.render(EVERYDAY["canceled.coach"]).text
    )


def test_a_setting_hides_the_balance() -> None:
    discreet = Renderer(link_base_url="https://x.example", support=SUPPORT.address, shows_balance=False)
    rendered = discreet.render(EVERYDAY["refunded.client"])
    assert rendered.text.startswith("3 credits are back in your account.\n")
    assert "balance" not in words_of(rendered.html)


def test_the_deadline_counts_as_it_stood_when_it_happened() -> None:
    at_the_deadline = notice_of(scheduled(STARTS_AT - DAY))
    just_after = replace(at_the_deadline, at=at_the_deadline.at + timedelta(milliseconds=1))
    assert "not refundable: the deadline was" not in RENDERER.render(at_the_deadline).text
    assert "It is not refundable: the deadline was Mon 24 Nov, 11:00 CET." in RENDERER.render(just_after).text


# What people wrote is only text -----------------------------------------------------------------------------------

# What somebody wrote, and what the other one sees of it.
HOSTILE = {
    '<script>alert("x")</script><b>bold</b>': '<script>alert("x")</script><b>bold</b>',
    "{{ 7 * 7 }} {% for x in y %} {# gone #}": "{{ 7 * 7 }} {% for x in y %} {# gone #}",
    "%(other)s %s %d %": "%(other)s %s %d %",
    "' \" ` & &amp; &lt; </td></table>": "' \" ` & &amp; &lt; </td></table>",
    "-->]]><![endif]-->": "-->]]><![endif]-->",
    "=?utf-8?q?=0D=0ABcc:_x?=": "=?utf-8?q?=0D=0ABcc:_x?=",
    "Ana Bcc:\tx@example.com\x0b": "Ana Bcc: x@example.com",
    "nul\x00 bell\x07 escape\x1b[31m del\x7f c1\x9b": "nul bell escape[31m del c1",
    "half\ud800 a\udc00 pair": "half a pair",
    "\u202egnp.exe\u202c \u2066isolated\u2069": "gnp.exe isolated",
    "\u05e9\u05dc\u05d5\u05dd, Ana": "\u2068\u05e9\u05dc\u05d5\u05dd, Ana\u2069",  # Hebrew, isolated
    "\N{GRINNING FACE}" * 100: "\N{GRINNING FACE}" * 100,
    "W" * 100: "W" * 100,
}


@pytest.mark.parametrize(("written", "shown"), HOSTILE.items())
def test_hostile_text_is_shown_as_text(written: str, shown: str) -> None:
    calm, hostile = render_with("Ben"), render_with(written)
    assert [tag for tag, _ in Page(hostile.html).tags] == [tag for tag, _ in Page(calm.html).tags]
    assert f"{shown} canceled your coaching session. {shown} with {shown}" in words_of(hostile.html)
    assert hostile.text.startswith(f"{shown} canceled your coaching session.\n\n{shown} with {shown}\n")
    assert f"Reason for canceling:\n> {shown}\n\n" in hostile.text
    assert hostile.subject == f"Canceled: coaching with {shown}, Tue 25 Nov, 11:00 CET"
    assert hostile.summary == f"{shown} with {shown}"


@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_no_line_break_gets_into_a_line(line_break: str) -> None:
    rendered = render_with(f"Ana{line_break}Bcc: everybody@example.com")
    assert rendered.subject == "Canceled: coaching with Ana Bcc: everybody@example.com, Tue 25 Nov, 11:00 CET"
    assert len(rendered.summary.splitlines()) == 1
    assert "> Ana\n> Bcc: everybody@example.com\n" in rendered.text


def render_with(text: str) -> Rendered:
    """An email in which everything that people write is this text."""
    fact = canceled(by="coach", reason=text, of_session={"title": text, "coach": replace(session().coach, name=text)})
    return RENDERER.render(notice_of(fact))


def test_a_reason_keeps_its_lines_and_a_reason_of_nothing_printable_is_none() -> None:
    two = RENDERER.render(notice_of(canceled(reason="One\r\n\r\n<two>")))
    assert "Reason for canceling:\n> One\n> <two>\n" in two.text
    assert "One<br>\n&lt;two&gt;</blockquote>" in two.html
    none = RENDERER.render(notice_of(canceled(reason="\u202e\x00")))
    assert "Reason" not in none.text + none.html


def test_an_email_in_german_for_a_coach_in_another_zone() -> None:
    at_nine = canceled(of_session={"coach": replace(ANA, locale="de-CH", time_zone="Asia/Tokyo"), "client": ANA})
    rendered = RENDERER.render(notice_of(at_nine, "coach"))
    assert rendered.language == "de"
    assert rendered.subject == "Abgesagt: Coaching mit Ana Silva, Di., 25. Nov., 19:00 JST"
    assert "Zeitzone: Asia/Tokyo" in rendered.text
