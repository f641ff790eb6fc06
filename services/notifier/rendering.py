"""A notice in words: subject, text and HTML, in the reader's language and on the reader's clock (R32).

The words of each kind are in `templates/<kind>.jinja`; one layout makes HTML of them (Jinja2 -> MJML -> CSS inlined),
another one text. What comes out for each variant of a kind is a skeleton with the values still to be filled in: it is
compiled once, and an email costs no more than its values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal, NamedTuple
from urllib.parse import urlencode

import mrml
from css_inline import CSSInliner
from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape
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
    subject: Template
    text: Template
    html: Template


class Renderer:
    """Words notices. `support` is the mailbox that readers may write to; the balance is shown unless told otherwise."""

    def __init__(self, *, link_base_url: str, support: str, shows_balance: bool = True) -> None:
        self._link_base_url = link_base_url.rstrip("/")
        self._support = support
        self._shows_balance = shows_balance

    def render(self, notice: Notice) -> Rendered:
        language = language_of(notice.recipient.locale)
        values = self._links(notice) | _values(notice, language)
        reason = _reason(notice)
        skeleton = _skeleton(
            _variant(notice, language, self._shows_balance, (*values, *(["reason"] if reason else [])))
        )
        return Rendered(
            language=language,
            subject=skeleton.subject.render(values),
            summary=values["summary"],
            link=values["session_link"],
            text=skeleton.text.render(values, reason=_quoted(reason)),
            html=skeleton.html.render(values, reason=_with_breaks(reason)),
        )

    def _links(self, notice: Notice) -> dict[str, str]:
        """Pages that show and ask; following a link changes nothing."""
        again = {"coach": notice.coach_id}
        return {
            "session_link": f"{self._link_base_url}/sessions/{notice.session_id}",
            "schedule_link": f"{self._link_base_url}/schedule?{urlencode(again)}",
            "rebook_link": f"{self._link_base_url}/schedule?{urlencode(again | {'rebooks': notice.session_id})}",
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


def _values(notice: Notice, language: str) -> dict[str, str]:
    clock = wall_clock(language, notice.recipient.time_zone)
    other = isolated(one_line(notice.other_name))
    return {
        "other": other,
        "summary": _summary(notice, other, language),
        "when": clock.moment(notice.starts_at),
        "span": clock.span(notice.starts_at, notice.ends_at),
        "zone": clock.zone,
        "deadline": clock.moment(notice.refundable_until),
        "credits": _credits(language, notice.price_credits),
        "session_id": notice.session_id,
        **_detail_values(notice, language, clock),
    }


def _detail_values(notice: Notice, language: str, clock: WallClock) -> dict[str, str]:
    match notice.detail:
        case Rescheduled(previous_starts_at=starts_at, previous_ends_at=ends_at):
            return {"previous": clock.span(starts_at, ends_at)}
        case Refunded(credits=credits_back, balance=balance):
            return {
                "credits": _credits(language, credits_back),
                "returned": _returned(language, credits_back),
                "balance": number(language, balance),
            }
        case _:
            return {}


def _summary(notice: Notice, other: str, language: str) -> str:
    gettext = translations(language).gettext
    title = isolated(one_line(notice.title or ""))
    if title:
        return gettext("%(title)s with %(other)s") % {"title": title, "other": other}
    return gettext("Coaching with %(other)s") % {"other": other}


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


def _reason(notice: Notice) -> list[str]:
    """The lines of the reason, none where there is no reason (R12)."""
    match notice.detail:
        case Rescheduled(reason=str(reason)) | Canceled(reason=str(reason)):
            return [isolated(line) for line in map(one_line, reason.splitlines()) if line]
        case _:
            return []


def _quoted(lines: list[str]) -> str:
    return "\n".join(f"> {line}" for line in lines)


def _with_breaks(lines: list[str]) -> Markup:
    return Markup("<br>\n").join(lines)


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


# Fills values into skeletons: one for text, where nothing needs escaping, and one for HTML, where everything does.
_TEXT = Environment(undefined=StrictUndefined, autoescape=False)
_HTML = Environment(undefined=StrictUndefined, autoescape=True)


@lru_cache(maxsize=1024)
def _skeleton(variant: Variant) -> _Skeleton:
    environment = _environment(variant.language)
    # Each value is replaced by its own placeholder, so no value is ever read as a template.
    context: Mapping[str, object] = variant._asdict() | {name: f"{{{{ {name} }}}}" for name in variant.names}
    words = vars(environment.get_template(f"{variant.kind}.jinja").make_module(dict(context)))
    context = {**context, **words}
    mjml = environment.get_template("layout.mjml.jinja").render(context)
    return _Skeleton(
        subject=_TEXT.from_string(words["subject"]),
        text=_TEXT.from_string(environment.get_template("layout.txt.jinja").render(context)),
        html=_HTML.from_string(_html(mjml)),
    )


def _html(mjml: str) -> str:
    html = CSSInliner(keep_at_rules=True, load_remote_stylesheets=False).inline(mrml.to_html(mjml).content)
    # A tag a line: no line of an email may be longer than 998 octets (RFC 5322, 2.1.1), and people read the HTML.
    return html.replace("><", ">\n<")


def _with_support_link(words: str) -> Markup:
    """The sentence, escaped, with the support mailbox as a link."""
    link = Markup('<a href="mailto:{{ support }}">{{ support }}</a>')
    return Markup(str(escape(words)).replace("{{ support }}", link))
