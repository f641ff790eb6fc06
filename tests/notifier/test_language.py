"""Words and wall clocks in the reader's language (R32)."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po

from services.notifier.language import CATALOGS, LANGUAGES, WallClock, language_of, number

SOURCES = CATALOGS.parent
TRANSLATED = [language for language in LANGUAGES if language != "en"]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("en", "en"),
        ("de", "de"),
        ("de-AT", "de"),
        ("de_CH", "de"),
        ("DE", "de"),
        ("en-GB", "en"),
        ("den", "en"),  # Slavey, which only begins like German
        ("pt-BR", "en"),  # what we do not speak is read in English
    ],
)
def test_a_locale_chooses_the_language(locale: str, language: str) -> None:
    assert language_of(locale) == language


@pytest.mark.parametrize(
    ("language", "zone", "at", "said"),
    [
        ("en", "Europe/Berlin", "2025-11-25T10:00", "Tue 25 Nov, 11:00 CET"),
        ("de", "Europe/Berlin", "2025-11-25T10:00", "Di., 25. Nov., 11:00 MEZ"),
        # The same clock in summer.
        ("en", "Europe/Berlin", "2025-07-25T10:00", "Fri 25 Jul, 12:00 CEST"),
        ("de", "Europe/Berlin", "2025-07-25T10:00", "Fr., 25. Juli, 12:00 MESZ"),
        # Another day on the other side of the world.
        ("en", "Pacific/Auckland", "2025-11-25T12:00", "Wed 26 Nov, 01:00 NZDT"),
        ("en", "America/New_York", "2025-11-25T03:00", "Mon 24 Nov, 22:00 EST"),
        # Zones without a name of letters, and with half hours.
        ("en", "America/Sao_Paulo", "2025-11-25T10:00", "Tue 25 Nov, 07:00 GMT-03:00"),
        ("en", "Asia/Kathmandu", "2025-11-25T10:00", "Tue 25 Nov, 15:45 GMT+05:45"),
        ("en", "Asia/Kolkata", "2025-11-25T10:00", "Tue 25 Nov, 15:30 IST"),
        # The hour that comes twice is told apart by its zone.
        ("en", "Europe/Berlin", "2025-10-26T00:30", "Sun 26 Oct, 02:30 CEST"),
        ("en", "Europe/Berlin", "2025-10-26T01:30", "Sun 26 Oct, 02:30 CET"),
        # A deadline is cut off, not rounded up: one second late is late.
        ("en", "UTC", "2025-11-25T10:00:59.999", "Tue 25 Nov, 10:00 UTC"),
        # A zone newer than our data, and an hour that Berlin's calendar does not have any more.
        ("en", "Europe/Atlantis", "2025-11-25T10:00", "Tue 25 Nov, 10:00 UTC"),
        ("en", "Europe/Berlin", "9999-12-31T23:30", "Fri 31 Dec, 23:30 UTC"),
    ],
)
def test_a_moment_on_the_readers_clock(language: str, zone: str, at: str, said: str) -> None:
    assert WallClock(language, zone).moment(utc(at)) == said


@pytest.mark.parametrize(
    ("language", "starts_at", "ends_at", "said"),
    [
        ("en", "2025-11-25T10:00", "2025-11-25T11:00", "Tuesday 25 November 2025, 11:00-12:00 CET"),
        ("de", "2025-11-25T10:00", "2025-11-25T11:00", "Dienstag, 25. November 2025, 11:00-12:00 MEZ"),
        # Past midnight.
        (
            "en",
            "2025-11-25T22:30",
            "2025-11-25T23:30",
            "Tuesday 25 November 2025, 23:30 CET - Wednesday 26 November 2025, 00:30 CET",
        ),
        # Across the end of summer time, where both ends show the same time.
        ("en", "2025-10-26T00:30", "2025-10-26T01:30", "Sunday 26 October 2025, 02:30 CEST - 02:30 CET"),
    ],
)
def test_a_span_on_the_readers_clock(language: str, starts_at: str, ends_at: str, said: str) -> None:
    clock = WallClock(language, "Europe/Berlin")
    assert " ".join(clock.span(utc(starts_at), utc(ends_at))).replace("\N{EN DASH}", "-") == said


def test_numbers_are_grouped_as_the_language_does() -> None:
    assert (number("en", 100_000), number("de", 100_000), number("de", 12)) == ("100,000", "100.000", "12")


# Catalogs ---------------------------------------------------------------------------------------------------------


def words_in_the_source() -> set[str | tuple[str, ...]]:
    templates = ((path, "jinja2") for path in SOURCES.glob("templates/*.jinja"))
    modules = ((path, "python") for path in SOURCES.glob("*.py"))
    return {words for path, method in (*templates, *modules) for words in _extracted(path, method)}


def _extracted(path: Path, method: str) -> Iterator[str | tuple[str, ...]]:
    options = {"silent": "false"} if method == "jinja2" else {}
    for _, words, _, _ in extract_from_file(method, path, options=options):
        yield words


@pytest.fixture(params=TRANSLATED)
def catalog(request: pytest.FixtureRequest) -> Catalog:
    with (CATALOGS / request.param / "LC_MESSAGES" / "notifier.po").open("rb") as source:
        return read_po(source, locale=request.param, abort_invalid=True)


def test_every_word_is_translated_and_no_translation_is_left_over(catalog: Catalog) -> None:
    translated = {message.id for message in catalog if message.id and message.string and not message.fuzzy}
    assert words_in_the_source() == translated
    assert all(all(message.string or ()) for message in catalog if message.pluralizable)


def test_translations_name_the_same_values_as_the_words(catalog: Catalog) -> None:
    assert [(message.id, list(map(str, errors))) for message, errors in catalog.check()] == []
    # Babel's checkers look at kinds of placeholders; here it is their names that count.
    for message in catalog:
        assert _values_in(message.id) == _values_in(message.string), message.id


def _values_in(words: str | Sequence[str] | None) -> set[str]:
    return set(re.findall(r"%\((\w+)\)s", str(words)))
