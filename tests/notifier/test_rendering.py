"""What readers read: every email word for word (golden files), and what must be true of each.

After a wanted change of words: `UPDATE_GOLDEN=1 python -m pytest tests/notifier/test_rendering.py`, then read the diff.
"""

import os
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.notifier.language import LANGUAGES
from services.notifier.rendering import Rendered, Renderer
from services.notifier.samples import EVERYDAY, SAMPLES, in_language
from tests.notifier.reading import Page, words_of
from tests.notifier.story import (
    ANA,
    DAY,
    RENDERER,
    STARTS_AT,
    SUPPORT,
    canceled,
    notice_of,
    scheduled,
    session,
)

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", SAMPLES)
def test_every_email_says_word_for_word(name: str, language: str) -> None:
    rendered = RENDERER.render(in_language(SAMPLES[name], language))
    assert_golden(f"{name}.{language}.txt", f"Subject: {rendered.subject}\n\n{rendered.text}")
    if name in EVERYDAY:
        assert_golden(f"{name}.{language}.html", rendered.html)


def assert_golden(file_name: str, now: str) -> None:
    golden = GOLDEN / file_name
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(now, encoding="utf-8")
    assert now == golden.read_text(encoding="utf-8")


def test_no_golden_file_is_left_over() -> None:
    texts = {f"{name}.{language}.txt" for name in SAMPLES for language in LANGUAGES}
    pages = {f"{name}.{language}.html" for name in EVERYDAY for language in LANGUAGES}
    assert {path.name for path in GOLDEN.iterdir()} == texts | pages


# What must be true of every email ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_the_first_line_says_what_happened_and_html_says_what_text_says(name: str) -> None:
    rendered = RENDERER.render(SAMPLES[name])
    page = words_of(rendered.html)
    first, *others = (line for line in rendered.text.splitlines() if line)
    assert page.startswith(first), "the inbox's preview line"
    assert page.count(first) == 2
    for line in others:
        said = line.removeprefix("> ").partition(": https://")[0].removesuffix(":")
        words = " ".join(said.split()).replace(SUPPORT.address + ".", SUPPORT.address)
        # Where a line of HTML ends, a time needs no comma.
        assert words.replace(",", "") in page.replace(",", "")


# How each language says that credits have moved. "Another email follows once they are back" says they have not.
HAVE_MOVED = {
    "en": r"(?<!once they )\bare back\b|\bis back\b|\b(was|were|been) (refunded|returned)\b|\bbalance\b",
    "de": r"\b(ist|sind) wieder auf\b|\b(wurden?|worden) (erstattet|zurück)|\bKontostand\b",
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", SAMPLES)
def test_no_email_promises_credits_that_the_ledger_has_not_moved(name: str, language: str) -> None:
    rendered = RENDERER.render(in_language(SAMPLES[name], language))
    said = re.findall(HAVE_MOVED[language], f"{rendered.subject}\n{rendered.text}\n{words_of(rendered.html)}")
    assert bool(said) == name.startswith("refunded"), said


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
    notice = SAMPLES[name]
    link = "https://coaching.example.org/" + links.format(coach=notice.coach_id, session=notice.session_id)
    rendered = RENDERER.render(notice)
    assert rendered.text.count("https://") == 1
    assert f": {link}\n" in rendered.text
    assert f'href="{link.replace("&", "&amp;")}"' in rendered.html


@pytest.mark.parametrize(
    ("title", "said"),
    [
        (None, "coaching with Ben Ortiz"),
        ("Career planning", "Career planning with Ben Ortiz"),
        ("x" * 60, f"{'x' * 60} with Ben Ortiz"),
        # The time stands at the end, and an inbox shows no more than the beginning.
        ("x" * 61, f"{'x' * 59}… with Ben Ortiz"),
        (f"{'x' * 58}  {'y' * 60}", f"{'x' * 58}… with Ben Ortiz"),
    ],
)
def test_a_subject_says_what_session_and_when(title: str | None, said: str) -> None:
    subject = RENDERER.render(notice_of(scheduled(title=title))).subject
    assert subject == f"Scheduled: {said}, Tue 25 Nov, 11:00 CET"


def test_the_base_of_links_may_end_in_a_slash() -> None:
    renderer = Renderer(link_base_url="https://x.example/app/", support=SUPPORT.address)
    assert f"https://x.example/app/sessions/{SAMPLES['canceled.coach'].session_id}" in (
        renderer.render(SAMPLES["canceled.coach"]).text
    )


def test_a_setting_hides_the_balance() -> None:
    discreet = Renderer(link_base_url="https://x.example", support=SUPPORT.address, shows_balance=False)
    rendered = discreet.render(SAMPLES["refunded.client"])
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
    "\u200fAna\u200e": "\u2068\u200fAna\u200e\u2069",  # marks of direction, isolated as well
    "\N{GRINNING FACE}" * 500: "\N{GRINNING FACE}" * 500,
    "W" * 500: "W" * 500,
}


@pytest.mark.parametrize(("written", "shown"), HOSTILE.items())
def test_hostile_text_is_shown_as_text(written: str, shown: str) -> None:
    calm, hostile = render_with("Ben"), render_with(written)
    assert [tag for tag, _ in Page(hostile.html).tags] == [tag for tag, _ in Page(calm.html).tags]
    assert f"{shown} canceled your coaching session. {shown} with {shown}" in words_of(hostile.html)
    assert hostile.text.startswith(f"{shown} canceled your coaching session.\n\n{shown} with {shown}\n")
    assert f"Reason for canceling:\n> {shown}\n\n" in hostile.text
    title = shown if len(shown) <= 60 else f"{shown[:59]}…"
    assert hostile.subject == f"Canceled: {title} with {shown}, Tue 25 Nov, 11:00 CET"
    assert hostile.summary == f"{shown} with {shown}"


@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_no_line_break_gets_into_a_line(line_break: str) -> None:
    rendered = render_with(f"Ana{line_break}Bcc: everybody@example.com")
    shown = "Ana Bcc: everybody@example.com"
    assert rendered.subject == f"Canceled: {shown} with {shown}, Tue 25 Nov, 11:00 CET"
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
