"""A reader's language and wall clock (R32): words from gettext catalogs, dates and zone names from Babel."""

import gettext
import io
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.dates import format_date, get_timezone_gmt, get_timezone_name
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

CATALOGS = Path(__file__).parent / "locale"
# CLDR date patterns: a full date as it stands in the body, and a short one for subjects and deadlines.
_PATTERNS = {
    "en": ("EEEE d MMMM y", "EEE d MMM"),
    "de": ("EEEE, d. MMMM y", "EEE, d. MMM"),
}
_DASH = "\N{EN DASH}"
LANGUAGES = tuple(_PATTERNS)


def language_of(locale: str) -> str:
    """The language to write to a reader of this BCP 47 locale; one that we do not speak reads English."""
    primary = locale.replace("_", "-").split("-")[0].lower()
    return primary if primary in LANGUAGES else "en"


@cache
def translations(language: str) -> gettext.NullTranslations:
    """The catalog of a language. English is what the templates are written in and needs none."""
    if language == "en":
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    with (CATALOGS / language / "LC_MESSAGES" / "notifier.po").open("rb") as source:
        write_mo(compiled, read_po(source, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


@lru_cache(maxsize=1024)
def number(language: str, value: int) -> str:
    return format_decimal(value, locale=language)


@lru_cache(maxsize=4096)
def _date(language: str, day: date, pattern: str) -> str:
    return format_date(day, pattern, locale=language)


class WallClock:
    """Says instants as one reader's clock shows them, always with the zone's name."""

    def __init__(self, language: str, time_zone: str) -> None:
        self._language = language
        self._full, self._short = _PATTERNS[language]
        self._abbreviations: dict[str | None, str] = {}
        try:
            self._zone = ZoneInfo(time_zone)
        except ZoneInfoNotFoundError:
            # Booking's zone database may be newer than ours; a time in UTC, named as such, is still true.
            self._zone = ZoneInfo("UTC")

    @property
    def zone(self) -> str:
        """The zone's IANA name."""
        return self._zone.key

    def moment(self, at: datetime) -> str:
        """`Tue 25 Nov, 11:00 CET`; cut off to the minute, so that a deadline is never said too late."""
        local = self._local(at)
        return f"{_date(self._language, local.date(), self._short)}, {local:%H:%M} {self._abbreviation(local)}"

    def span(self, starts_at: datetime, ends_at: datetime) -> tuple[str, str]:
        """`Tuesday 25 November 2025,` and `11:00-12:00 CET`: two lines, or one with a space between.

        The end's date and zone stand beside it where they differ.
        """
        start, end = self._local(starts_at), self._local(ends_at)
        start_zone, end_zone = self._abbreviation(start), self._abbreviation(end)
        first_day = f"{_date(self._language, start.date(), self._full)},"
        if start.date() != end.date():
            last_day = _date(self._language, end.date(), self._full)
            return f"{first_day} {start:%H:%M} {start_zone} {_DASH}", f"{last_day}, {end:%H:%M} {end_zone}"
        if start_zone != end_zone:
            return first_day, f"{start:%H:%M} {start_zone} {_DASH} {end:%H:%M} {end_zone}"
        return first_day, f"{start:%H:%M}{_DASH}{end:%H:%M} {end_zone}"

    def _local(self, at: datetime) -> datetime:
        try:
            return at.astimezone(self._zone)
        except OverflowError:
            return at.astimezone(UTC)  # the last hours of the year 9999 exist in UTC only

    def _abbreviation(self, local: datetime) -> str:
        name = local.tzname()
        if name not in self._abbreviations:
            self._abbreviations[name] = _abbreviation(self._language, local)
        return self._abbreviations[name]


def _abbreviation(language: str, local: datetime) -> str:
    """CLDR's own (`MEZ`), else the zone database's (`IST`), else the offset (`GMT-03:00`)."""
    of_cldr, of_database = get_timezone_name(local, width="short", locale=language), local.tzname() or ""
    return next((name for name in (of_cldr, of_database) if name.isalpha()), get_timezone_gmt(local))


@lru_cache(maxsize=1024)
def wall_clock(language: str, time_zone: str) -> WallClock:
    return WallClock(language, time_zone)
