"""People, actors and times as one types them, read into what a command's body holds."""

import re
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from contracts.fields import parse_instant, usable_id
from ops.errors import BadUsage

_PERSON: Final = re.compile(r"(?P<name>[^<>]*[^<>\s])\s*(?:<(?P<email>[^<>\s]+)>)?")
_SPAN: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_ROLES: Final = ("client", "coach", "support")


def read_person(text: str, *, person_id: str | None, time_zone: str, locale: str) -> dict[str, Any]:
    """`Ana` or `Ana Diaz <ana@example.org>`, as the body of a Person. Raises BadUsage."""
    found = _PERSON.fullmatch(text.strip())
    if found is None:
        raise BadUsage(f"{text!r} is nobody's name; write a person as: 'Ana' or 'Ana Diaz <ana@example.org>'")
    return {
        "id": person_id or id_of(text),
        "name": found["name"],
        "email": _email(text),
        "time_zone": time_zone,
        "locale": locale,
    }


def read_actor(text: str) -> dict[str, Any]:
    """`client:Ana`, `coach:ben@example.org` or `support:<id>`, as the body of an Actor. Raises BadUsage."""
    role, colon, who = text.partition(":")
    if role not in _ROLES or not colon or not who.strip():
        raise BadUsage(f"{text!r} is nobody who can ask; write ROLE:WHO, such as client:Ana, coach:Ben or support:<id>")
    return {"role": role, "id": id_of(who)}


def id_of(who: str) -> str:
    """An id as it is; for a name or an address always the same one, so that people can be named instead of numbered."""
    return usable_id(who.strip()) or str(uuid5(NAMESPACE_URL, f"mailto:{_email(who)}"))


def read_span(text: str) -> timedelta:
    """`47h`, `1h30m`, `2d`, `90s`. Raises BadUsage."""
    found = _SPAN.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        raise BadUsage(f"{text!r} is no span of time; write it as 47h, 1h30m, 2d or 90s")
    days, hours, minutes, seconds = (int(number or 0) for number in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def read_since(text: str, now: datetime) -> datetime:
    """So long ago: `45d`. Raises BadUsage."""
    try:
        return now - read_span(text)
    except OverflowError:
        raise BadUsage(f"{text!r} ago there was no time; write it as 45d, 12h or 30m") from None


def read_id(text: str) -> str:
    """A UUID in any case, as canonical text. Raises BadUsage."""
    found = usable_id(text.strip())
    if found is None:
        raise BadUsage(f"{text!r} is no id; write it as 5f2c0d9e-8c1f-4c0e-9d3a-1f2e3d4c5b6a")
    return found


def read_start(starts_at: str | None, starts_in: str | None, now: datetime) -> datetime:
    """From the one of the two that was given. Raises BadUsage unless it is just one, and a time."""
    if (starts_at is None) == (starts_in is None):
        raise BadUsage("when does it start? Give either --starts-in, such as 47h, or --starts-at")
    try:
        return parse_instant(starts_at) if starts_at is not None else parse_instant(now + read_span(starts_in or ""))
    except (ValueError, OverflowError):
        raise BadUsage(f"{starts_at or starts_in!r} is no time; write it as 2026-11-25T10:00:00+01:00") from None


def _email(who: str) -> str:
    """The address given, or a made-up one in a domain where nobody lives (RFC 2606)."""
    found = _PERSON.fullmatch(who.strip())
    address = (found["email"] if found else None) or who.strip()
    return address if "@" in address else f"{'.'.join(address.casefold().split())}@example.com"
