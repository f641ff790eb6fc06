"""Reading the mails that the mail part received, from its folder or from MailDev's REST interface."""

import asyncio
import json
import urllib.request
from collections.abc import Collection
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, Protocol

_ANSWERS_WITHIN_SECONDS = 30


@dataclass(frozen=True)
class Mail:
    """One mail as the server got it: the SMTP envelope, and the message."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage

    @property
    def subject(self) -> str:
        return str(self.message["Subject"] or "")

    def body(self, subtype: str) -> str:
        r"""The text of the `plain` or `html` body, lines ending in \n; "" without one."""
        part = self.message.get_body((subtype,))
        return "" if part is None else str(part.get_content()).replace("\r\n", "\n")


class Mailbox(Protocol):
    @property
    def location(self) -> str:
        """A folder or a URL: what `mailbox_at` takes."""

    async def mails(self, to: Collection[str] | None = None) -> list[Mail]:
        """Everything that is kept, oldest first; with `to`, what went to any of these addresses."""


@dataclass(frozen=True)
class FolderMailbox:
    """The .eml files of `devstack.mail`."""

    folder: Path

    @property
    def location(self) -> str:
        return str(self.folder)

    async def mails(self, to: Collection[str] | None = None) -> list[Mail]:
        kept = [self._read(path) for path in sorted(self.folder.glob("*.eml"))]
        return [mail for mail in kept if to is None or not set(mail.recipients).isdisjoint(to)]

    def _read(self, path: Path) -> Mail:
        message = _parse(path.read_bytes())
        return Mail(
            sender=str(message["Return-Path"]).strip("<>"),
            recipients=tuple(str(recipient) for recipient in message.get_all("Delivered-To", [])),
            message=message,
        )


@dataclass(frozen=True)
class MailDevMailbox:
    """What MailDev keeps, by its REST interface (`api_url`: where its page is)."""

    api_url: str

    @property
    def location(self) -> str:
        return self.api_url

    async def mails(self, to: Collection[str] | None = None) -> list[Mail]:
        return await asyncio.to_thread(self._read_all, to)

    def _read_all(self, to: Collection[str] | None) -> list[Mail]:
        """Each mail takes a request: those that are not asked for are not fetched."""
        entries = json.loads(self._get("/email"))
        return [self._read(entry) for entry in entries if to is None or not set(_recipients(entry)).isdisjoint(to)]

    def _read(self, entry: dict[str, Any]) -> Mail:
        return Mail(
            sender=entry["envelope"]["from"]["address"],
            recipients=_recipients(entry),
            message=_parse(self._get(f"/email/{entry['id']}/source")),
        )

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.api_url.rstrip("/") + path, timeout=_ANSWERS_WITHIN_SECONDS) as response:
            body: bytes = response.read()
        return body


def _recipients(entry: dict[str, Any]) -> tuple[str, ...]:
    return tuple(recipient["address"] for recipient in entry["envelope"]["to"])


def mailbox_at(location: str) -> Mailbox:
    """The mailbox in that folder, or behind that URL of MailDev."""
    return MailDevMailbox(location) if location.startswith("http") else FolderMailbox(Path(location))


def _parse(source: bytes) -> EmailMessage:
    # The default policy makes EmailMessage; the typed signature only knows the older Message.
    message = message_from_bytes(source, policy=default)
    assert isinstance(message, EmailMessage)
    return message
