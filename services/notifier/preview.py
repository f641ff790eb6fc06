"""Every email in one page for a browser, light, dark and as text: `python -m services.notifier preview [FILE]`.

The page is one file that fetches nothing; what it shows comes from the templates that emails are sent from.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from services.notifier.calendar import invitation
from services.notifier.language import LANGUAGES
from services.notifier.mailbox import mailbox
from services.notifier.notices import Notice
from services.notifier.rendering import Rendered, Renderer
from services.notifier.samples import SAMPLES, in_language

DEFAULT_FILE: Final = Path("build/emails.html")
_SENDER = mailbox("Coaching", "coaching@example.org")
_RENDERER = Renderer(link_base_url="https://coaching.example.org", support="support@example.org")


@dataclass(frozen=True, slots=True)
class Shown:
    """One email in one language. `calendar` is what its invitation says, None where it has none."""

    language: str
    to: str
    rendered: Rendered
    calendar: str | None

    @property
    def first_line(self) -> str:
        """What an inbox shows beside the subject."""
        return self.rendered.text.partition("\n")[0]


@dataclass(frozen=True, slots=True)
class Email:
    """One sample in all languages. `case` is what is special about it, nothing for the everyday one."""

    name: str
    case: str
    shown: Sequence[Shown]


def preview(arguments: Sequence[str]) -> int:
    """Writes the page, says where it is, and returns the exit code: 2 when it cannot be written."""
    parser = argparse.ArgumentParser(prog="python -m services.notifier preview", description="Every email in one page.")
    parser.add_argument("file", nargs="?", type=Path, default=DEFAULT_FILE, help=f"default: {DEFAULT_FILE}")
    file: Path = parser.parse_args(arguments).file
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(page(), encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"{file} cannot be written ({error.strerror}); name another: {parser.prog} FILE\n")
        return 2
    count = f"{len(SAMPLES)} emails in {len(LANGUAGES)} languages"
    sys.stdout.write(f"{count}, to be looked at in a browser: {file.resolve().as_uri()}\n")
    return 0


def page() -> str:
    environment = Environment(
        loader=PackageLoader("services.notifier"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("preview.html.jinja").render(groups=list(_groups()), languages=LANGUAGES)


def _groups() -> Iterator[tuple[str, list[Email]]]:
    """`scheduled, to the client` with all its emails, and so on."""

    def group(name: str) -> str:
        kind, reader, *_ = name.split(".")
        return f"{kind}, to the {reader}"

    for title, names in groupby(sorted(SAMPLES, key=_place), key=group):
        yield title, [_email(name) for name in names]


def _place(name: str) -> tuple[int, int]:
    """Under its everyday case, in the order of the samples."""
    names = list(SAMPLES)
    return names.index(".".join(name.split(".")[:2])), names.index(name)


def _email(name: str) -> Email:
    case = name.split(".")[2:]
    shown = [_shown(in_language(SAMPLES[name], language)) for language in LANGUAGES]
    return Email(name, case[0].replace("-", " ") if case else "", shown)


def _shown(notice: Notice) -> Shown:
    rendered = _RENDERER.render(notice)
    recipient = mailbox(notice.recipient.name, notice.recipient.email)
    made = invitation(notice, organizer=_SENDER, attendee=recipient, summary=rendered.summary, link=rendered.link)
    to = f"{recipient.name} <{recipient.address}>"
    return Shown(rendered.language, to, rendered, made.ics.decode().replace("\r\n", "\n") if made else None)
