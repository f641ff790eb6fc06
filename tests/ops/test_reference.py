"""What is made of the messages is as they are now: schemas, the AsyncAPI document, the pages for people."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from contracts.catalog import CATALOG
from contracts.topics import CONVERSATION
from ops.reference import DOCUMENTS, generated

FILES = generated()
PAGE = DOCUMENTS / "messages.html"
MARKDOWN = DOCUMENTS / "messages.md"


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in FILES])
def test_what_is_committed_is_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == FILES[path], "write it anew with: coaching contracts write"


def test_the_page_fetches_nothing_and_runs_nothing() -> None:
    tags = Tags(FILES[PAGE]).found
    assert (
        "meta",
        {"http-equiv": "Content-Security-Policy", "content": "default-src 'none'; style-src 'unsafe-inline'"},
    ) in tags
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in tags}
    assert not re.search(r"url\(|@import", FILES[PAGE])
    assert all((attributes["href"] or "").startswith("#") for tag, attributes in tags if tag == "a")


def test_every_link_of_the_page_leads_somewhere_and_every_topic_and_message_can_be_linked_to() -> None:
    tags = Tags(FILES[PAGE]).found
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {(attributes["href"] or "")[1:] for tag, attributes in tags if tag == "a"} <= set(ids)
    assert {*CATALOG, *(topic.name for topic in CONVERSATION)} <= set(ids)


def test_every_link_of_the_markdown_leads_somewhere() -> None:
    text = FILES[MARKDOWN]
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors
        else:
            assert (DOCUMENTS / target).exists()
    assert set(CATALOG) <= set(headings)


def test_a_field_is_told_with_its_bounds_and_whether_it_may_be_left_out() -> None:
    rows = FILES[MARKDOWN].splitlines()
    assert "| `credits` | integer, 0 to 100000 | yes |" in rows
    assert "| `title` | text, at most 120 characters or null | no |" in rows
    assert "| `client` | [AcceptedPerson](#acceptedperson) | yes |" in rows
    assert "| `policy` | [Policy](#policy) or null | no |" in rows
    assert "| `rule` | `in_time`, `unconfirmed`, `late` or `late_chosen` | yes |" in rows
    assert "| `time_zone` | text. IANA name | yes |" in rows


def test_a_command_is_told_with_what_answers_it() -> None:
    answered = (
        "Answered by [booking.SessionCanceled.v1](#bookingsessioncanceledv1) or "
        "[booking.CommandRejected.v1](#bookingcommandrejectedv1)."
    )
    _, _, after = FILES[MARKDOWN].partition("\n### booking.CancelSession.v1\n")
    assert answered in after.partition("\n### ")[0]
