"""A notice in words: subject, text and HTML, in the reader's language and on the reader's clock (R32).

The words of each kind are in `templates/<kind>.jinja`; one layout makes HTML of them (Jinja2 -> MJML -> CSS inlined),
another one text. What comes out for each variant of a kind is a skeleton with the values still to be filled in: it is
compiled once, and an email costs no more than its values.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final, Literal, NamedTuple

import mrml
from css_inline import CSSInliner
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from services.notifier.language import WallClock, language_of, number, translations, wall_clock
from services.notifier.notices import (
    Canceled,
    Declined,
    Kind,
    Notice,
    Reader,
    Refunded,
    Rescheduled,
    Role,
    Rule,
    Scheduled,
)
from services.notifier.plain_text import isolated, one_line

_LONGEST_TITLE_IN_SUBJECT: Final = 60


@dataclass(frozen=True, slots=True)
class Rendered:
    """What the reader sees. `subject` and `summary` (what calendars call the session) are one line each.

    `text` and `html` have LF line ends; `link` is the session's own page.
    """

    language: str
    subject: str
    summary: str
    link: str
    text: str
    html: str


class Variant(NamedTuple):
    """All that decides which words an email has, as opposed to the values in them."""

    kind: Kind
    reader: Reader
    language: str
    by: Literal["reader", "other", "support", ""]
    credits_case: Rule | Literal["free", ""]
    deadline_is: Literal["ahead", "the_start", "passed"]
    why: str
    shows_balance: bool
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Skeleton:
    """Each as words and names of values in turns, words first."""

    subject: Sequence[str]
    text: Sequence[str]
    html: Sequence[str]


class Renderer:
    """Words notices. `support` is the mailbox that readers may write to; the balance is shown unless told otherwise."""

    def __init__(self, *, link_base_url: str, support: str, shows_balance: bool = True) -> None:
        self._link_base_url = link_base_url.rstrip("/")
        self._support = support
        self._shows_balance = shows_balance

    def render(self, notice: Notice) -> Rendered:
        language = language_of(notice.recipient.locale)
        clock = wall_clock(language, notice.recipient.time_zone)
        values = self._links(notice) | _values(notice, language, clock)
        blocks = _blocks(notice, clock)
        skeleton = _skeleton(_variant(notice, language, self._shows_balance, (*values, *blocks)))
        return Rendered(
            language=language,
            subject=_filled(skeleton.subject, values),
            summary=values["summary"],
            link=values["session_link"],
            text=_filled(skeleton.text, values | {name: _in_text(name, lines) for name, lines in blocks.items()}),
            html=_filled(
                skeleton.html,
                {name: escape(value) for name, value in values.items()}
                | {name: _in_html(name, lines) for name, lines in blocks.items()},
            ),
        )

    def _links(self, notice: Notice) -> dict[str, str]:
        """Pages that show and ask; following a link changes nothing. Ids stand in a URL as they are."""
        schedule_link = f"{self._link_base_url}/schedule?coach={notice.coach_id}"
        return {
            "session_link": f"{self._link_base_url}/sessions/{notice.session_id}",
            "schedule_link": schedule_link,
            "rebook_link": f"{schedule_link}&rebooks={notice.session_id}",
            "support": self._support,
        }


def _variant(notice: Notice, language: str, shows_balance: bool, names: tuple[str, ...]) -> Variant:
    role: Role | None = None
    rule: Rule | Literal[""] = ""
    why = ""
    match notice.detail:
        case Rescheduled(by=role):
            pass
        case Canceled(by=role, rule=rule):
            pass
        case Declined(why=why):
            pass
        case Refunded(cause=why, approved_by=role):
            pass
        case Scheduled():
            pass
    return Variant(
        kind=notice.kind,
        reader=notice.reader,
        language=language,
        by=_seen_from(notice.reader, role) if role else "",
        credits_case="free" if notice.price_credits == 0 else rule,
        deadline_is=_deadline_is(notice),
        why=why,
        shows_balance=shows_balance,
        names=names,
    )


def _seen_from(reader: Reader, role: Role) -> Literal["reader", "other", "support"]:
    if role == "support":
        return "support"
    return "reader" if role == reader else "other"


def _deadline_is(notice: Notice) -> Literal["ahead", "the_start", "passed"]:
    """As it stood when it happened, not when the email is read (R5, R10)."""
    if notice.at > notice.refundable_until:
        return "passed"
    return "the_start" if notice.refundable_until == notice.starts_at else "ahead"


# Values -----------------------------------------------------------------------------------------------------------


def _values(notice: Notice, language: str, clock: WallClock) -> dict[str, str]:
    """What stands within a line."""
    other = isolated(one_line(notice.other_name))
    title = one_line(notice.title or "")
    return {
        "other": other,
        "summary": _summary(title, other, language),
        "what": _what(title, other, language),
        "when": clock.moment(notice.starts_at),
        "zone": clock.zone,
        "deadline": clock.moment(notice.refundable_until),
        "credits": _credits(language, notice.price_credits),
        "session_id": notice.session_id,
        **_refund_values(notice, language),
    }


def _refund_values(notice: Notice, language: str) -> dict[str, str]:
    match notice.detail:
        case Refunded(credits=credits_back, balance=balance):
            return {
                "credits": _credits(language, credits_back),
                "returned": _returned(language, credits_back),
                "balance": number(language, balance),
            }
        case _:
            return {}


def _summary(title: str, other: str, language: str) -> str:
    """The session by its title, as a line of its own."""
    gettext = translations(language).gettext
    if title:
        return gettext("%(title)s with %(other)s") % {"title": isolated(title), "other": other}
    return gettext("Coaching with %(other)s") % {"other": other}


def _what(title: str, other: str, language: str) -> str:
    """The same within the subject, whose end, the time, is to be seen as well."""
    if not title:
        return translations(language).gettext("coaching with %(other)s") % {"other": other}
    is_long = len(title) > _LONGEST_TITLE_IN_SUBJECT
    return _summary(f"{title[: _LONGEST_TITLE_IN_SUBJECT - 1].rstrip()}…" if is_long else title, other, language)


@lru_cache(maxsize=1024)
def _credits(language: str, count: int) -> str:
    ngettext = translations(language).ngettext
    return ngettext("%(count)s credit", "%(count)s credits", count) % {"count": number(language, count)}


@lru_cache(maxsize=1024)
def _returned(language: str, count: int) -> str:
    ngettext = translations(language).ngettext
    return ngettext("%(count)s credit is back in your account", "%(count)s credits are back in your account", count) % {
        "count": number(language, count)
    }


def _blocks(notice: Notice, clock: WallClock) -> dict[str, Sequence[str]]:
    """What stands on lines of its own. Without a reason there is none for it (R12)."""
    blocks: dict[str, Sequence[str]] = {"span": clock.span(notice.starts_at, notice.ends_at)}
    if isinstance(notice.detail, Rescheduled):
        blocks["previous"] = clock.span(notice.detail.previous_starts_at, notice.detail.previous_ends_at)
    if isinstance(notice.detail, Rescheduled | Canceled) and (reason := _lines(notice.detail.reason or "")):
        blocks["reason"] = reason
    return blocks


def _lines(text: str) -> list[str]:
    return [isolated(line) for line in map(one_line, text.splitlines()) if line]


def _in_text(name: str, lines: Sequence[str]) -> str:
    """Times on one line, a reason as a quotation."""
    return "\n".join(f"> {line}" for line in lines) if name == "reason" else " ".join(lines)


def _in_html(name: str, lines: Sequence[str]) -> Markup:
    """Each on its line; where one ends, a time needs no comma."""
    return Markup("<br>\n").join(lines if name == "reason" else [line.removesuffix(",") for line in lines])


# Skeletons --------------------------------------------------------------------------------------------------------


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("services.notifier"),
        autoescape=select_autoescape(enabled_extensions=("mjml.jinja",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]  # by the extension
    environment.filters["with_support_link"] = _with_support_link
    return environment


_VALUE = re.compile(r"\{\{ (\w+) \}\}")


def _filled(skeleton: Sequence[str], values: Mapping[str, str]) -> str:
    """Raises KeyError for a value that is not there."""
    filled = list(skeleton)
    filled[1::2] = [values[name] for name in skeleton[1::2]]
    return "".join(filled)


@lru_cache(maxsize=1024)
def _skeleton(variant: Variant) -> _Skeleton:
    environment = _environment(variant.language)
    # Each value is replaced by its own placeholder, so no value is ever read as a template.
    context: Mapping[str, object] = variant._asdict() | {name: f"{{{{ {name} }}}}" for name in variant.names}
    words = vars(environment.get_template(f"{variant.kind}.jinja").make_module(dict(context)))
    context = {**context, **words}
    mjml = environment.get_template("layout.mjml.jinja").render(context)
    return _Skeleton(
        subject=_VALUE.split(words["subject"]),
        text=_VALUE.split(environment.get_template("layout.txt.jinja").render(context)),
        html=_VALUE.split(_html(mjml)),
    )


def _html(mjml: str) -> str:
    html = CSSInliner(keep_at_rules=True, load_remote_stylesheets=False).inline(mrml.to_html(mjml).content)
    # A tag a line: no line of an email may be longer than 998 octets (RFC 5322, 2.1.1), and people read the HTML.
    return html.replace("><", ">\n<")


def _with_support_link(words: str) -> Markup:
    """The sentence, escaped, with the support mailbox as a link."""
    link = Markup('<a href="mailto:{{ support }}">{{ support }}</a>')
    return Markup(str(escape(words)).replace("{{ support }}", link))
