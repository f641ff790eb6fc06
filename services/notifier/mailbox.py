"""Email addresses, as headers, calendars and envelopes write them."""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.header import Header
from email.utils import formataddr, parseaddr

from services.notifier.plain_text import one_line

_LINE = 78  # octets without the line's end that a line of a header should have at most (RFC 5322, 2.1.1)
# Octets within an encoded word: with the longest header's name, at most 76 to a line (RFC 2047, 2).
_WORD = 39
# The addresses that HTML's own email field takes ("a willful violation of RFC 5322": no comments, no quoted names).
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9A-Fa-f:.]+\])")


class UnsendableAddressError(ValueError):
    """No mail server will ever be given this address: the email has failed for good. Its text names no person."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Who an email is from or to. `address` is ASCII, its domain in IDNA's form; made by `mailbox`."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]

    def header(self) -> str:
        """As in From and To, on as many lines as it takes (RFC 5322, 3.4; RFC 2047)."""
        if self.name.isascii() and "=?" not in self.name:
            return formataddr((self.name, self.address))
        return f"{encoded(self.name, 'To')}\r\n <{self.address}>"


def encoded(text: str, header_name: str) -> str:
    """An unstructured header's value; what only looks like an encoded word is encoded, too (RFC 2047)."""
    if not text.isascii() or "=?" in text:
        return "\r\n ".join(_encoded_words(text))
    if len(header_name) + 2 + len(text) <= _LINE:
        return text
    return Header(text, "us-ascii", header_name=header_name).encode(linesep="\r\n")


def _encoded_words(text: str) -> Iterator[str]:
    """In base64, no character in two of them. `Header` needs a tenth of a millisecond for that, ours a tenth of it."""
    word = b""
    for character in text:
        octets = character.encode()
        if len(word) + len(octets) > _WORD:
            yield f"=?utf-8?b?{binascii.b2a_base64(word, newline=False).decode()}?="
            word = b""
        word += octets
    yield f"=?utf-8?b?{binascii.b2a_base64(word, newline=False).decode()}?="


def mailbox(name: str, address: str) -> Mailbox:
    """Raises UnsendableAddressError."""
    local, _, domain = address.rpartition("@")
    try:
        ascii_address = address if address.isascii() else f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        raise UnsendableAddressError("the address has a domain that does not exist in ASCII form") from None
    if not local.isascii():
        raise UnsendableAddressError("the address has letters outside ASCII before its @, which few mail servers take")
    if not _ADDRESS.fullmatch(ascii_address):
        raise UnsendableAddressError("the address is not one that mail servers take")
    return Mailbox(one_line(name), ascii_address)


def parse_mailbox(text: str) -> Mailbox:
    """Reads `a@example.com` or `Coaching <a@example.com>`. Raises UnsendableAddressError."""
    name, address = parseaddr(" ".join(text.split()))
    return mailbox(name, address)
