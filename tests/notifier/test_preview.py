"""All emails in one page, and where it is."""

import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

from services.notifier.language import LANGUAGES
from services.notifier.preview import page, preview
from services.notifier.rendering import Renderer
from services.notifier.samples import SAMPLES, in_language
from tests.notifier.reading import Page


@pytest.fixture(scope="module")
def shown() -> str:
    return page()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("look", ["light", "dark"])
def test_every_email_is_there_in_every_language_and_look(look: str, language: str, shown: str) -> None:
    frames = {attributes["title"]: attributes["data-html"] for tag, attributes in Page(shown).tags if tag == "iframe"}
    renderer = Renderer(link_base_url="https://coaching.example.org", support="support@example.org")
    for name, notice in SAMPLES.items():
        assert frames[f"{name}, {language}, {look}"] == renderer.render(in_language(notice, language)).html
    assert len(frames) == 2 * len(SAMPLES) * len(LANGUAGES)


def test_every_email_is_there_as_text_with_its_subject_and_its_calendar_part(shown: str) -> None:
    blocks = [unescape(block) for block in re.findall(r"<pre>(.*?)</pre>", shown, re.DOTALL)]
    assert sum(block.startswith("BEGIN:VCALENDAR") for block in blocks) == len(LANGUAGES) * sum(
        notice.kind.startswith("session_") and notice.kind != "session_declined" for notice in SAMPLES.values()
    )
    assert sum("You paid 3 credits." in block for block in blocks) >= 5
    assert "<dd>Abgesagt: Coaching mit Ben Ortiz, Di., 25. Nov., 11:00 MEZ</dd>" in shown


def test_each_email_can_be_found_and_linked_to(shown: str) -> None:
    tags = Page(shown).tags
    links = [attributes["href"].removeprefix("#") for tag, attributes in tags if tag == "a"]
    sections = [attributes["id"] for tag, attributes in tags if tag == "section"]
    assert links == sections
    assert sorted(sections) == sorted(SAMPLES)


def test_the_page_fetches_nothing_and_what_it_shows_runs_nothing(shown: str) -> None:
    tags = Page(shown).tags
    policy = next(attributes["content"] for tag, attributes in tags if attributes.get("http-equiv"))
    assert policy.startswith("default-src 'none';")
    assert {attributes["sandbox"] for tag, attributes in tags if tag == "iframe"} == {"allow-same-origin"}
    assert not any("src" in attributes or (tag == "link") for tag, attributes in tags)


def test_it_is_written_where_it_was_asked_for_without_any_setting(tmp_path: Path) -> None:
    file = tmp_path / "made for it" / "all.html"
    command = (sys.executable, "-m", "services.notifier", "preview", str(file))
    ended = subprocess.run(command, env={}, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == (f"{len(SAMPLES)} emails in 2 languages, to be looked at in a browser: {file.as_uri()}\n")
    assert file.read_text(encoding="utf-8") == page()


def test_where_nothing_can_be_written_is_told_with_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert preview([str(tmp_path / "file" / "all.html")]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.endswith("name another: python -m services.notifier preview FILE\n")
