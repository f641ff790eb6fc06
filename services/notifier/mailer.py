"""Sends emails over one kept connection, and says what became of each (email.md, "How it is sent").

What to do about an outcome is the caller's business: a mailer tries once and remembers nothing but its connection.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeVar, cast
from urllib.parse import unquote, urlsplit

from aiosmtplib import SMTP, SMTPException, SMTPResponseException, SMTPServerDisconnected

from services.notifier.conversation import NO_REPLY, Conversation, Reply
from services.notifier.plain_text import one_line

Security = Literal["plaintext", "starttls", "tls"]
# How far an email has come: nothing said about it yet, its sender, its reader, its content announced, its content sent.
Stage = Literal["connect", "mail", "rcpt", "data", "sent"]

_SECURITY: dict[str, Security] = {"smtp": "plaintext", "smtp+starttls": "starttls", "smtps": "tls"}
_LONGEST_ANSWER = 500
_GO_ON = 354
_SERVICE_CLOSING = 421

T = TypeVar("T")


# Where to -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SmtpServer:
    host: str
    port: int
    security: Security
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def parse_smtp_url(url: str) -> SmtpServer:
    """Reads `smtp://`, `smtp+starttls://` or `smtps://` and `[user:password@]host:port`.

    Raises ValueError with one sentence, which does not repeat the password.
    """
    scheme, separator, rest = url.strip().partition("://")
    security = _SECURITY.get(scheme.lower())
    if not separator or security is None:
        raise ValueError("must start with smtp:// (plaintext), smtp+starttls:// or smtps://")
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(
            f"must name a host and a port, as in {scheme}://mail.example.com:587"
            " (and percent-encode what is special in a user or password)"
        )
    if (parts.username is None) != (parts.password is None):
        raise ValueError(
            f"must give both a user and a password, as in {scheme}://user:password@{host}:{port}, or neither"
        )
    if parts.username is None or parts.password is None:
        return SmtpServer(host, port, security)
    return SmtpServer(host, port, security, unquote(parts.username), unquote(parts.password))


# What became of it ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server has the email. `answer`, here and below: its code and text, or what went wrong, on one line."""

    answer: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The server will never take this email."""

    answer: str


@dataclass(frozen=True, slots=True)
class Postponed:
    """The server does not have the email, and may take it later."""

    answer: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The email went out whole, but no answer came: the server may have it."""

    answer: str


@dataclass(frozen=True, slots=True)
class SenderRefused:
    """The server wants no email from us at all: an operator must look."""

    answer: str


Outcome = Accepted | Refused | Postponed | Unknown | SenderRefused


def outcome_of_reply(stage: Stage, code: int, answer: str) -> Outcome:
    """What a reply other than the good one means at that stage (RFC 5321, 4.2.1). An unknown code is no answer."""
    if 500 <= code < 600:
        return SenderRefused(answer) if stage in ("connect", "mail") else Refused(answer)
    if 400 <= code < 500 or stage != "sent":
        return Postponed(answer)
    return Unknown(answer)


def outcome_of_error(stage: Stage, error: OSError | SMTPException) -> Outcome:
    """What a failure without a reply, or with a bad one, means at that stage."""
    if isinstance(error, SMTPResponseException):
        return outcome_of_reply(stage, error.code, _answer(error.code, error.message))
    answer = one_line(str(error))[:_LONGEST_ANSWER] or type(error).__name__
    if stage == "sent":
        return Unknown(answer)
    certificate_is_bad = isinstance(error.__cause__ or error, ssl.SSLCertVerificationError)
    if certificate_is_bad or not isinstance(error, OSError):
        # What is no trouble on the line is something that the server lacks: a certificate we trust, STARTTLS, AUTH.
        return SenderRefused(answer)
    return Postponed(answer)


def _answer(code: int, text: str) -> str:
    return one_line(f"{code} {text}")[:_LONGEST_ANSWER]


# Sending ----------------------------------------------------------------------------------------------------------


class _Step(NamedTuple):
    """What is said, and the replies by which it goes on."""

    stage: Stage
    word: bytes
    good: tuple[int, ...]


_START_ANEW: Final = _Step("mail", b"RSET", (250,))
_LEAVE: Final = _Step("mail", b"QUIT", (221,))


class Mailer:
    """One connection, opened when needed and kept; one email at a time.

    `hello_name` is what we call ourselves in EHLO. No call takes longer than `limit_seconds`.
    """

    def __init__(self, server: SmtpServer, *, hello_name: str, limit_seconds: float) -> None:
        self._server = server
        self._hello_name = hello_name
        self._limit_seconds = limit_seconds
        self._client: SMTP | None = None
        self._conversation: Conversation | None = None
        self._takes_several = False
        self._stage: Stage = "connect"
        # Replies to what was said of an email that an earlier reply had ended.
        self._unread: deque[asyncio.Future[Reply]] = deque()
        self._is_sending = False

    @property
    def is_connected(self) -> bool:
        """As far as we have heard."""
        return self._conversation is not None and self._conversation.is_open

    async def connect(self) -> Outcome | None:
        """None once the server talks to us, else why it does not. `send` connects by itself."""
        if self.is_connected:
            return None
        return await self._within_limit(self._connect())

    async def send(self, *, sender: str, recipient: str, message: bytes) -> Outcome:
        """Tries once. Addresses are ASCII, `message` has CRLF line ends. What a server does is never raised."""
        if self._is_sending:
            raise RuntimeError("a mailer sends one email at a time")
        self._is_sending = True
        try:
            return await self._within_limit(self._transaction(sender, recipient, message))
        finally:
            self._is_sending = False

    async def close(self) -> None:
        """Takes leave of the server, where one is connected and listens."""
        if self.is_connected and not self._unread:
            await self._within_limit(self._say(_LEAVE))
        self._drop()

    async def _within_limit(self, steps: Coroutine[Any, Any, T]) -> T | Outcome:
        try:
            async with asyncio.timeout(self._limit_seconds):
                return await steps
        except (OSError, SMTPException) as error:
            return self._failed(error)
        except BaseException:
            self._drop()  # interrupted between a command and its reply: the next email needs another connection
            raise

    def _failed(self, error: OSError | SMTPException) -> Outcome:
        result = outcome_of_error(self._stage, error)
        says_no_in_form = (
            isinstance(error, SMTPResponseException) and 400 <= error.code < 600 and error.code != _SERVICE_CLOSING
        )
        if not says_no_in_form or isinstance(result, SenderRefused) or self._stage == "connect":
            self._drop()
        return result

    async def _transaction(self, sender: str, recipient: str, message: bytes) -> Accepted:
        steps = (
            _Step("mail", f"MAIL FROM:<{sender}>".encode(), (250,)),
            _Step("rcpt", f"RCPT TO:<{recipient}>".encode(), (250, 251)),
            _Step("data", b"DATA", (_GO_ON,)),
        )
        if not await self._could_go_on(steps):
            await self._connect()
            await self._say(*steps)
        return await self._send_content(message)

    async def _could_go_on(self, steps: tuple[_Step, ...]) -> bool:
        """Whether all was said on the kept connection: servers close what was idle for long.

        False as long as no reply about this email was taken, and none of its content has gone out.
        """
        if not self.is_connected:
            return False
        try:
            if self._stage != "sent":
                await self._start_anew()
            await self._say(*steps)
        except SMTPServerDisconnected:
            if self._stage != "mail":
                raise
            return False
        except SMTPResponseException as error:
            if self._stage != "mail" or error.code not in (_SERVICE_CLOSING, NO_REPLY):
                raise
            return False
        return True

    async def _start_anew(self) -> None:
        """Once what is left to be heard of the email before has come."""
        self._stage = "mail"
        while self._unread:
            if (await self._unread.popleft()).code == _GO_ON:
                raise SMTPServerDisconnected("the server waits for the content of an email that it refused")
        await self._say(_START_ANEW)

    async def _connect(self) -> None:
        self._drop()
        server = self._server
        self._client = SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            local_hostname=self._hello_name,
            timeout=None,  # the whole call is bounded
        )
        await self._client.connect()
        if self._client.is_ehlo_or_helo_needed:
            await self._client.ehlo()
        self._takes_several = self._client.supports_extension("pipelining")
        self._conversation = Conversation(cast(asyncio.Transport, self._client.transport))

    async def _say(self, *steps: _Step) -> None:
        """All at once where the server takes that, else one after another (RFC 2920).

        Raises SMTPResponseException at the first reply that is not a good one.
        """
        replies = self._write(*steps) if self._takes_several else deque()
        for step in steps:
            self._stage = step.stage
            reply = await (replies or self._write(step)).popleft()
            if reply.code not in step.good:
                self._unread = replies
                raise SMTPResponseException(reply.code, reply.text)

    def _write(self, *steps: _Step) -> deque[asyncio.Future[Reply]]:
        words = [step.word for step in steps]
        if any(b"\r" in word or b"\n" in word for word in words):
            raise ValueError("an address has a line break")
        return self._talking().say(b"".join(word + b"\r\n" for word in words), replies=len(words))

    async def _send_content(self, message: bytes) -> Accepted:
        """The email and the final dot. Only from here on, the server may have it whatever happens."""
        (reply,) = self._talking().say(message.replace(b"\r\n.", b"\r\n..") + b".\r\n", replies=1)
        self._stage = "sent"
        code, text = await reply
        if not 200 <= code < 300:
            raise SMTPResponseException(code, text)
        return Accepted(_answer(code, text))

    def _talking(self) -> Conversation:
        if self._conversation is None:
            raise SMTPServerDisconnected("Connection lost")
        return self._conversation

    def _drop(self) -> None:
        """Ends the connection at once, so that nothing of an email still goes out after its outcome was told."""
        client, self._client, self._stage = self._client, None, "connect"
        self._conversation = None
        self._unread = deque()
        if client is not None and client.transport is not None:
            cast(asyncio.WriteTransport, client.transport).abort()
        if client is not None:
            client.close()
