"""When an email may come twice: while something kept its worker from recording that it was taken. Pure."""

from collections.abc import Iterable, Iterator
from typing import Final

from messaging.exits import ExitCode
from tests.chaos.happened import End, Injected
from tests.chaos.mail_rules import Excuse
from tests.chaos.schedule import Kind

# What was taken is recorded in groups within 0.2 s, by a transaction that takes up to 5 s.
_RECORDED_WITHIN_SECONDS: Final = 5.5
# A fault is noted a moment before or after it happens.
_ABOUT_SECONDS: Final = 0.5
_NO_DATABASE: Final[frozenset[Kind]] = frozenset(
    {
        "connections terminated",
        "database cut off",
        "database silent",
        "database slow",
        "COMMIT's reply lost",
        "database killed",
        "database restarted",
    }
)


_FROZEN: Final[frozenset[Kind]] = frozenset({"worker frozen", "frozen before COMMIT", "frozen before publishing"})


def excuses(injected: Iterable[Injected], ends: Iterable[End]) -> list[Excuse]:
    return [*_of_ends(ends), *_of_faults(injected)]


def _of_ends(ends: Iterable[End]) -> Iterator[Excuse]:
    """Whoever stops in good order records what it sent."""
    for end in ends:
        if end.service == "notifier" and end.exit_code != ExitCode.DONE:
            yield Excuse(_origin(end.service, end.post), end.at - _RECORDED_WITHIN_SECONDS, end.at + _ABOUT_SECONDS)


def _of_faults(injected: Iterable[Injected]) -> Iterator[Excuse]:
    for one in injected:
        if one.fault.service not in (None, "notifier"):
            continue
        if one.fault.kind in _NO_DATABASE | _FROZEN:
            origin = _origin("notifier", one.post) if one.post is not None else None
            yield Excuse(origin, one.began - _RECORDED_WITHIN_SECONDS, one.mended + _ABOUT_SECONDS)


def _origin(service: str, post: int) -> str:
    return f"{service} {post}"
