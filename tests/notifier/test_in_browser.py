"""Emails in a real browser: what people with small screens, dark screens and screen readers need of them.

Every picture that is taken here is kept in build/screenshots, to be looked at.
"""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe

from services.notifier.language import LANGUAGES
from services.notifier.preview import page as preview_page
from services.notifier.samples import EVERYDAY, SAMPLES, in_language
from tests.notifier.browser import Scheme, Window, chromium, window
from tests.notifier.story import RENDERER

PHONE, DESKTOP = 320, 700
# Of the everyday ones each has parts of its own; of the last two, long words and another direction try the layout.
LOOKED_AT = (*EVERYDAY, "canceled.client.longest", "canceled.coach.right-to-left")
# An email stands within the page of a mail program, whose landmarks they are; for itself it is an article.
NOT_FOR_EMAILS = ("landmark-one-main", "region")

# Of every element: how it is laid out, how large, and how far to the right it goes.
ELEMENTS = """
() => [...document.querySelectorAll("body, body *")].map((element) => {
  const {display, position, float, fontSize} = getComputedStyle(element);
  const {right, height} = element.getBoundingClientRect();
  return {tag: element.localName, display, position, float, fontSize: parseFloat(fontSize), right, height};
})
"""


@pytest.fixture(scope="module")
async def screen() -> AsyncIterator[Window]:
    async with window() as one:
        yield one


def html(name: str, language: str = "en") -> str:
    return RENDERER.render(in_language(SAMPLES[name], language)).html


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", LOOKED_AT)
async def test_axe_finds_nothing_that_keeps_people_from_reading(name: str, scheme: Scheme, screen: Window) -> None:
    await screen.show(html(name), width=PHONE, scheme=scheme)
    options: Any = {
        "rules": {rule: {"enabled": False} for rule in NOT_FOR_EMAILS},
        "resultTypes": ["violations", "incomplete"],
    }
    found = (await Axe().run(screen.page, options=options)).response
    assert [f"{one['id']}: {one['nodes'][0]['failureSummary']}" for one in found["violations"]] == []
    assert [one["id"] for one in found["incomplete"]] == [], "what axe could not tell"
    looked_for = {
        "color-contrast",
        "html-has-lang",
        "html-lang-valid",
        "document-title",
        "link-name",
        "link-in-text-block",
    }
    assert looked_for | {"page-has-heading-one", "heading-order"} <= {one["id"] for one in found["passes"]}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", SAMPLES)
async def test_an_email_fits_a_phone_and_is_laid_out_as_mail_programs_can(
    name: str, language: str, screen: Window
) -> None:
    await screen.show(html(name, language), width=PHONE, scheme="light")
    elements = await screen.page.evaluate(ELEMENTS)
    assert [one["tag"] for one in elements if one["right"] > PHONE + 0.5] == []
    assert await screen.page.evaluate("document.documentElement.scrollWidth") == PHONE
    assert await screen.page.evaluate("document.documentElement.lang") == language
    assert [one["tag"] for one in elements].count("h1") == 1
    assert not {one["display"] for one in elements if re.search("flex|grid", one["display"])}
    assert {(one["position"], one["float"]) for one in elements} == {("static", "none")}
    assert min(one["fontSize"] for one in elements if one["tag"] in ("p", "a", "h1", "h2", "blockquote")) >= 14
    (button,) = (one["height"] for one in elements if one["tag"] == "a" and one["display"] == "inline-block")
    assert button >= 44, "too flat for a thumb"
    assert screen.asked == []


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("name", LOOKED_AT)
async def test_an_email_is_bright_by_day_and_dark_by_night(name: str, width: int, screen: Window) -> None:
    shares: dict[Scheme, float] = {}
    for scheme in ("light", "dark"):
        await screen.show(html(name), width=width, scheme=scheme)
        shares[scheme] = await screen.picture(f"{name}.{scheme}.{width}")
    assert shares["light"] > 0.7
    assert 0.005 < shares["dark"] < 0.15, "words, and nothing that was left white behind them"


async def test_without_the_styles_in_its_head_an_email_is_still_right(screen: Window) -> None:
    """Some mail programs take them away: what is left is the light look, whole."""
    bare = re.sub(r"<style.*?</style>", "", html("canceled.client"), flags=re.DOTALL)
    await screen.show(bare, width=PHONE, scheme="dark")
    assert await screen.picture("canceled.client.no-styles.320") > 0.7
    assert await screen.page.evaluate("document.documentElement.scrollWidth") == PHONE


async def test_without_chromium_these_tests_are_left_out_and_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.skip.Exception, match="no Chromium on the PATH: apt-get install chromium"):
        async with chromium():
            raise AssertionError("there is none")


async def test_the_preview_shows_both_looks_whichever_is_the_systems_own(tmp_path: Path) -> None:
    async with window() as screen:
        for system in ("light", "dark"):
            page_file = tmp_path / f"{system}.html"
            page_file.write_text(
                preview_page().replace("color-scheme: light dark;", f"color-scheme: {system};"), "utf-8"
            )
            await screen.page.goto(page_file.as_uri())
            assert await screen.bright_share_of_frame("iframe.light") > 0.6
            assert await screen.bright_share_of_frame("iframe.dark") < 0.15
        assert screen.asked == []


async def test_the_preview_fits_frames_to_emails_and_shows_what_is_chosen(tmp_path: Path, screen: Window) -> None:
    (tmp_path / "emails.html").write_text(preview_page(), "utf-8")
    page = screen.page
    await page.goto((tmp_path / "emails.html").as_uri())
    for choice in ("#narrow", "#wide"):
        await page.check(choice)
        frame = await page.locator("iframe:visible").first.element_handle()
        fits = "frame => frame.contentDocument?.body?.offsetHeight === frame.clientHeight"
        await page.wait_for_function(fits, arg=frame)
    await page.check("#de")
    await page.check("#look-text")
    assert await page.locator("iframe:visible").count() == 0
    assert await page.locator("article:visible").count() == len(SAMPLES)
    assert "Sie haben eine Coaching-Sitzung" in await page.locator("pre:visible").first.inner_text()
