"""What mail programs and people need of the HTML: phones, dark mode, screen readers, Outlook, no images."""

import re

import pytest
from css_inline import CSSInliner

from services.notifier.notices import Notice
from services.notifier.samples import in_language
from tests.notifier.reading import Attributes, Page
from tests.notifier.story import (
    RENDERER,
    canceled,
    declined,
    notice_of,
    refunded,
    rescheduled,
    scheduled,
)

EVERY_PART = {
    "scheduled": notice_of(scheduled(title="Career planning")),
    "rescheduled": notice_of(rescheduled(reason="A dentist."), "coach"),
    "canceled": notice_of(canceled(reason="I have a fever.")),
    "canceled late": notice_of(canceled(rule="late")),
    "declined": notice_of(declined()),
    "refunded": in_language(notice_of(refunded()), "de"),
}
DARK = re.compile(r"@media \(prefers-color-scheme: dark\) \{(.*?\})\s*\}", re.DOTALL)


@pytest.fixture(params=list(EVERY_PART))
def notice(request: pytest.FixtureRequest) -> Notice:
    return EVERY_PART[request.param]


@pytest.fixture
def html(notice: Notice) -> str:
    return RENDERER.render(notice).html


@pytest.fixture
def page(html: str) -> Page:
    return Page(html)


def test_a_screen_reader_knows_the_language_the_title_and_the_one_heading(page: Page, notice: Notice) -> None:
    root = next(attributes for tag, attributes in page.tags if tag == "html")
    assert root["lang"] == notice.recipient.locale
    assert [tag for tag, _ in page.tags].count("h1") == 1
    assert [tag for tag, _ in page.tags].count("title") == 1


def test_tables_are_layout_only(page: Page) -> None:
    assert {attributes.get("role") for tag, attributes in page.tags if tag == "table"} == {"presentation"}


def test_nothing_is_fetched_and_nothing_runs(page: Page, html: str) -> None:
    assert {tag for tag, _ in page.tags} & {"img", "script", "link", "iframe", "form", "video", "object"} == set()
    assert "url(" not in html
    assert "@import" not in html
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_links_name_their_action_and_go_to_our_pages_or_to_support(page: Page) -> None:
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert all(link.startswith(("https://coaching.example.org/", "mailto:support@example.org")) for link in links)
    names = {words for words, around in page.texts if any(tag == "a" for tag, _ in around)}
    assert names <= {"View Session", "Schedule Session", "Sitzung buchen", "support@example.org"}


def test_lengths_are_in_pixels_and_nothing_is_laid_out_by_flex_or_grid(page: Page) -> None:
    styles = ";".join(attributes.get("style", "") for _, attributes in page.tags)
    assert not re.search(r"display:\s*(flex|grid)|position:|float:|\d(r?em|vw|vh)\b", styles)


def test_it_fits_a_phone_of_320_pixels(page: Page) -> None:
    fixed = re.compile(r"(?<!max-)(?:min-)?width:\s*(\d+)px")
    styles = [attributes.get("style", "") for _, attributes in page.tags]
    assert [width for style in styles for width in fixed.findall(style) if int(width) > 320] == []
    # What Outlook alone reads is in comments, and fixed.
    assert not any("width" in attributes and attributes["width"] != "100%" for _, attributes in page.tags)


def test_dark_mode_is_announced_and_survives_the_inlining(page: Page, html: str) -> None:
    assert ("meta", {"name": "color-scheme", "content": "light dark"}) in page.tags
    assert DARK.search(html)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_word_has_contrast(html: str, mode: str) -> None:
    seen = Page(html if mode == "light" else in_the_dark(html)).texts
    visible = [(words, around) for words, around in seen if "display:none" not in all_styles(around)]
    assert len(visible) >= 8
    for words, around in visible:
        ratio = contrast(color_of(around, "color"), color_of(around, "background-color"))
        assert ratio >= 4.5, f"{words}: {ratio:.1f}"


def in_the_dark(html: str) -> str:
    """The page as a program in dark mode shows it: its rules for the dark applied."""
    found = DARK.search(html)
    assert found
    rules = re.sub(r"\bbody,", "body, ", found[1])
    return CSSInliner(extra_css=rules, load_remote_stylesheets=False).inline(html)


def all_styles(around: list[tuple[str, Attributes]]) -> str:
    return ";".join(attributes.get("style", "") for _, attributes in around)


def color_of(around: list[tuple[str, Attributes]], name: str) -> str:
    """The innermost color; a background may be given by its shorthand."""
    names = (name, "background") if name == "background-color" else (name,)
    for _, attributes in reversed(around):
        declarations = (declaration.split(":", 1) for declaration in attributes.get("style", "").split(";"))
        declared = {name_and_value[0].strip(): name_and_value[-1].strip() for name_and_value in declarations}
        for color in (declared.get(name) for name in names):
            if color:
                return color.removesuffix("!important").strip()
    raise AssertionError(f"no {name} around")


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, 1.4.3."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_the_contrast_is_the_one_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_no_line_is_longer_than_mail_allows(html: str) -> None:
    assert max(map(len, html.split("\n"))) < 998
