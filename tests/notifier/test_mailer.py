"""What becomes of an email, for all that a mail server may do (email.md, "How it is sent")."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from services.notifier.mailer import (
    Accepted,
    Mailer,
    Outcome,
    Postponed,
    Refused,
    SenderRefused,
    SmtpServer,
    Unknown,
    parse_smtp_url,
)
from tests.notifier.scripted_smtp import DRIBBLE, GOOD, HANG_UP, SILENCE, ScriptedServer, scripted_server

EMAIL = b"Subject: Hello\r\n\r\nHello,\r\n.\r\n..dots\r\n"
CERTIFICATE = Path(__file__).parent / "certificate.pem"
PATIENCE_SECONDS = 5.0


def mailer_to(
    server: ScriptedServer, security: str = "smtp", user: str = "", limit_seconds: float = PATIENCE_SECONDS
) -> Mailer:
    url = f"{security}://{user}127.0.0.1:{server.port}"
    return Mailer(parse_smtp_url(url), hello_name="example.org", limit_seconds=limit_seconds)


async def send(mailer: Mailer, message: bytes = EMAIL) -> Outcome:
    return await mailer.send(sender="coaching@example.org", recipient="ana@example.com", message=message)


async def send_once(mailer: Mailer) -> Outcome:
    try:
        return await send(mailer)
    finally:
        await mailer.close()


@pytest.fixture(params=[False, True], ids=["one by one", "pipelined"], autouse=True)
def pipelined(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the server takes several commands at once. All that follows holds for both."""
    if request.param:
        monkeypatch.setitem(GOOD, "EHLO", "250-mail.example.com\r\n250 PIPELINING")
    return bool(request.param)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


async def test_an_accepted_email_arrives_as_it_was_and_is_for_one_reader(server: ScriptedServer) -> None:
    mailer = mailer_to(server)
    assert await send(mailer) == Accepted("250 2.0.0 Ok: queued as 4D7")
    await mailer.close()
    assert server.heard == [
        "EHLO example.org",
        "MAIL FROM:<coaching@example.org>",
        "RCPT TO:<ana@example.com>",
        "DATA",
        "QUIT",
    ]
    (content,) = server.contents
    assert content.replace(b"\r\n..", b"\r\n.") == EMAIL + b".\r\n"


async def test_the_connection_is_kept_from_email_to_email(server: ScriptedServer) -> None:
    mailer = mailer_to(server)
    outcomes = [await send(mailer) for _ in range(5)]
    await mailer.close()
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert (server.connections, len(server.contents)) == (1, 5)
    assert server.words().count("EHLO") == 1


# Who said no, and to what, decides. Each row: where, what the server says there, and what it means.
REPLIES = [
    # No word about any email: the server wants none from us, or none now.
    ("banner", "554 5.3.2 No", SenderRefused("554 5.3.2 No")),
    ("banner", "421 4.3.2 Busy", Postponed("421 4.3.2 Busy")),
    ("EHLO", "550 5.7.1 Go away", SenderRefused("550 5.7.1 Go away")),
    ("EHLO", "451 4.3.0 Later", Postponed("451 4.3.0 Later")),
    ("MAIL", "553 5.7.1 Not yours", SenderRefused("553 5.7.1 Not yours")),
    ("MAIL", "452 4.3.1 Disk full", Postponed("452 4.3.1 Disk full")),
    # About this email: it alone has failed, or waits.
    ("RCPT", "550 5.1.1 No such user", Refused("550 5.1.1 No such user")),
    ("RCPT", "450 4.2.0 Greylisted", Postponed("450 4.2.0 Greylisted")),
    ("RCPT", "421 4.3.2 Closing", Postponed("421 4.3.2 Closing")),
    ("DATA", "554 5.7.1 No", Refused("554 5.7.1 No")),
    ("DATA", "421 4.3.2 Closing", Postponed("421 4.3.2 Closing")),
    ("content", "552 5.3.4 Too big", Refused("552 5.3.4 Too big")),
    ("content", "451 4.3.0 Try again", Postponed("451 4.3.0 Try again")),
    ("content", "421 4.3.2 Closing", Postponed("421 4.3.2 Closing")),
    ("content", "250-2.0.0 Ok:\r\n250 queued", Accepted("250 2.0.0 Ok: queued")),
    # Answers are kept as text, whatever bytes they come in.
    ("RCPT", "550 5.1.1 caf\udce9\0 \t no", Refused("550 5.1.1 caf no")),
    ("RCPT", "550 " + 1000 * "x", Refused("550 " + 496 * "x")),
    # An answer that is none says nothing: before the content nothing is lost, after it nobody knows.
    ("RCPT", "pardon?", Postponed),
    ("content", "pardon?", Unknown),
    ("content", "999 What", Unknown),
    # The line breaks.
    ("banner", HANG_UP, Postponed),
    ("EHLO", HANG_UP, Postponed),
    ("MAIL", HANG_UP, Postponed),
    ("RCPT", HANG_UP, Postponed),
    ("DATA", HANG_UP, Postponed),
    ("content", HANG_UP, Unknown),
]


@pytest.mark.parametrize(("where", "reply", "expected"), REPLIES, ids=lambda value: str(value)[:24])
async def test_what_a_reply_means_depends_on_where_it_comes(
    where: str, reply: str, expected: Outcome | type[Outcome]
) -> None:
    async with scripted_server({where: [reply]}) as server:
        outcome = await send_once(mailer_to(server))
    assert outcome == expected if not isinstance(expected, type) else isinstance(outcome, expected)
    assert outcome.answer


@pytest.mark.parametrize(("where", "reply", "_expected"), REPLIES, ids=lambda value: str(value)[:24])
async def test_after_whatever_happened_the_next_email_goes_through(where: str, reply: str, _expected: object) -> None:
    async with scripted_server({where: [reply, GOOD[where]]}) as server:
        mailer = mailer_to(server)
        await send(mailer)
        second = await send(mailer, b"Subject: The second\r\n\r\nHello\r\n")
        await mailer.close()
    assert second == Accepted("250 2.0.0 Ok: queued as 4D7")
    assert server.contents[-1].startswith(b"Subject: The second")
    assert server.words()[-1] == "QUIT"


@pytest.mark.parametrize("fault", [SILENCE, DRIBBLE])
@pytest.mark.parametrize(
    ("where", "expected"),
    [("banner", Postponed), ("EHLO", Postponed), ("MAIL", Postponed), ("RCPT", Postponed), ("content", Unknown)],
)
async def test_a_server_that_does_not_answer_in_time_is_left(where: str, expected: type[Outcome], fault: str) -> None:
    async with scripted_server({where: [fault]}) as server:
        began = time.monotonic()
        outcome = await send_once(mailer_to(server, limit_seconds=0.2))
    assert isinstance(outcome, expected)
    assert time.monotonic() - began < PATIENCE_SECONDS


async def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one() -> None:
    async with scripted_server({"RCPT": [SILENCE, "250 2.1.5 Ok"]}) as server:
        mailer = mailer_to(server, limit_seconds=0.2)
        outcomes = [await send(mailer) for _ in range(2)]
        await mailer.close()
    assert [type(outcome) for outcome in outcomes] == [Postponed, Accepted]
    assert server.connections == 2


async def test_a_refused_email_costs_no_connection(pipelined: bool) -> None:
    async with scripted_server({"RCPT": ["550 5.1.1 No such user", "250 2.1.5 Ok"]}) as server:
        mailer = mailer_to(server)
        assert isinstance(await send(mailer), Refused)
        assert isinstance(await send(mailer), Accepted)
        await mailer.close()
    assert server.connections == 1
    in_vain = ["DATA"] if pipelined else []
    assert server.words() == ["EHLO", "MAIL", "RCPT", *in_vain, "RSET", "MAIL", "RCPT", "DATA", "QUIT"]


async def test_a_server_that_waits_for_the_content_of_a_refused_email_gets_none_of_it() -> None:
    script = {"RCPT": ["550 5.1.1 No such user", "250 2.1.5 Ok"], "DATA": ["354 Go on"]}
    async with scripted_server(script) as server:
        mailer = mailer_to(server)
        assert isinstance(await send(mailer), Refused)
        assert isinstance(await send(mailer, b"Subject: The second\r\n\r\nHello\r\n"), Accepted)
        await mailer.close()
    assert [content.partition(b"\r\n")[0] for content in server.contents] == [b"Subject: The second"]


async def test_what_is_left_to_be_heard_of_a_refused_email_is_not_held_against_the_next(pipelined: bool) -> None:
    no_reply = ["pardon?"] if pipelined else []
    script = {"RCPT": ["550 5.1.1 No such user", "250 2.1.5 Ok"], "DATA": [*no_reply, "354 Go on"]}
    async with scripted_server(script) as server:
        mailer = mailer_to(server)
        assert isinstance(await send(mailer), Refused)
        assert isinstance(await send(mailer), Accepted)
        await mailer.close()


async def test_a_mailer_that_was_refused_last_leaves_at_once() -> None:
    async with scripted_server({"RCPT": ["550 5.1.1 No such user"], "DATA": ["354 Go on"]}) as server:
        mailer = mailer_to(server)
        assert isinstance(await send(mailer), Refused)
        async with asyncio.timeout(PATIENCE_SECONDS / 2):
            await mailer.close()


async def test_all_that_is_said_before_the_content_goes_out_at_once_where_the_server_takes_that(
    pipelined: bool,
) -> None:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{GOOD['banner']}\r\n".encode())
        await reader.readline()
        writer.write(f"{GOOD['EHLO']}\r\n".encode())
        heard.append(await reader.read(1000))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        mailer = Mailer(SmtpServer("127.0.0.1", port, "plaintext"), hello_name="x", limit_seconds=PATIENCE_SECONDS)
        assert isinstance(await send(mailer), Postponed)
    mail, rest = b"MAIL FROM:<coaching@example.org>\r\n", b"RCPT TO:<ana@example.com>\r\nDATA\r\n"
    assert heard == [mail + rest if pipelined else mail]


@pytest.mark.parametrize("farewell", [HANG_UP, "421 4.4.2 Idle for too long"])
async def test_a_kept_connection_that_the_server_gave_up_is_replaced_at_once(farewell: str) -> None:
    async with scripted_server({"MAIL": ["250 Ok", farewell, "250 Ok"]}) as server:
        mailer = mailer_to(server)
        outcomes = [await send(mailer) for _ in range(2)]
        await mailer.close()
    assert outcomes == [Accepted("250 2.0.0 Ok: queued as 4D7")] * 2
    assert server.connections == 2


@pytest.mark.parametrize("where", ["RCPT", "DATA"])
async def test_a_server_that_says_it_closes_is_left_though_it_lingers(where: str) -> None:
    async with scripted_server({where: ["421 4.3.2 Closing", GOOD[where]]}) as server:
        server.lingers = True
        mailer = mailer_to(server)
        outcomes = [await send(mailer) for _ in range(2)]
        await mailer.close()
    assert [type(outcome) for outcome in outcomes] == [Postponed, Accepted]
    assert server.connections == 2


async def test_what_was_begun_on_a_kept_connection_is_not_begun_again_at_once() -> None:
    async with scripted_server({"RCPT": ["250 Ok", HANG_UP, "250 Ok"]}) as server:
        mailer = mailer_to(server)
        outcomes = [await send(mailer) for _ in range(2)]
        await mailer.close()
    assert [type(outcome) for outcome in outcomes] == [Accepted, Postponed]
    assert server.connections == 1


async def test_an_address_cannot_say_anything_by_itself(server: ScriptedServer) -> None:
    mailer = mailer_to(server)
    with pytest.raises(ValueError, match="line break"):
        await mailer.send(sender="coaching@example.org", recipient="a@b>\r\nDATA\r\n", message=EMAIL)
    assert "DATA" not in server.words()


async def test_where_nobody_listens_the_email_waits() -> None:
    silent = SmtpServer("127.0.0.1", unused_port(), "plaintext")
    mailer = Mailer(silent, hello_name="example.org", limit_seconds=PATIENCE_SECONDS)
    assert isinstance(await send(mailer), Postponed)
    assert isinstance(await mailer.connect(), Postponed)


def unused_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


async def test_whether_a_server_is_there_can_be_asked_without_an_email(server: ScriptedServer) -> None:
    mailer = mailer_to(server)
    assert await mailer.connect() is None
    assert await mailer.connect() is None
    assert isinstance(await send(mailer), Accepted)
    await mailer.close()
    assert server.connections == 1


async def test_an_interrupted_send_leaves_nothing_behind() -> None:
    async with scripted_server({"content": [SILENCE, "250 Ok"]}) as server:
        mailer = mailer_to(server)
        sending = asyncio.create_task(send(mailer))
        await server.content_came.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert await send(mailer) == Accepted("250 Ok")
        await mailer.close()
    assert server.connections == 2


async def test_two_emails_at_once_over_one_connection_are_a_mistake() -> None:
    async with scripted_server({"content": [SILENCE]}) as server:
        mailer = mailer_to(server, limit_seconds=0.2)
        first = asyncio.create_task(send(mailer))
        await server.content_came.wait()
        with pytest.raises(RuntimeError, match="one email at a time"):
            await send(mailer)
        assert isinstance(await first, Unknown)


# Who we are, and who they are -------------------------------------------------------------------------------------


async def test_a_user_and_password_are_given() -> None:
    async with scripted_server({"EHLO": ["250-mail.example.com\r\n250 AUTH PLAIN"]}) as server:
        assert isinstance(await send_once(mailer_to(server, user="ana%40x:p%3Aw@")), Accepted)
    assert "AUTH PLAIN AGFuYUB4AHA6dw==" in server.heard


@pytest.mark.parametrize(
    ("hello", "auth", "expected"),
    [
        ("250-x\r\n250 AUTH PLAIN", "535 5.7.8 Wrong password", SenderRefused),
        ("250-x\r\n250 AUTH PLAIN", "454 4.7.0 Try later", Postponed),
        ("250 x", "", SenderRefused),  # it knows no AUTH at all
    ],
)
async def test_a_server_that_does_not_know_us_stops_everything(hello: str, auth: str, expected: type[Outcome]) -> None:
    async with scripted_server({"EHLO": [hello], "AUTH": [auth]}) as server:
        assert isinstance(await send_once(mailer_to(server, user="ana:secret@")), expected)
    assert "MAIL" not in server.words()


def certificate() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    return context


WITH_STARTTLS = {"EHLO": ["250-mail.example.com\r\n250-PIPELINING\r\n250 STARTTLS"]}


@pytest.mark.parametrize("security", ["smtps", "smtp+starttls"])
async def test_a_server_with_a_trusted_certificate_gets_the_email(
    security: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    async with scripted_server(WITH_STARTTLS, certificate(), tls_from_the_start=security == "smtps") as server:
        assert isinstance(await send_once(mailer_to(server, security)), Accepted)
    assert ("STARTTLS" in server.words()) == (security == "smtp+starttls")


@pytest.mark.parametrize("security", ["smtp", "smtps", "smtp+starttls"])
async def test_on_the_loop_that_workers_have_it_is_the_same(security: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))

    async def send_twice() -> tuple[list[Outcome], int]:
        async with scripted_server(WITH_STARTTLS, certificate(), tls_from_the_start=security == "smtps") as server:
            mailer = mailer_to(server, security)
            outcomes = [await send(mailer) for _ in range(2)]
            await mailer.close()
            return outcomes, server.connections

    sent = await asyncio.to_thread(uvloop.run, send_twice())
    assert sent == ([Accepted("250 2.0.0 Ok: queued as 4D7")] * 2, 1)


@pytest.mark.parametrize("security", ["smtps", "smtp+starttls"])
async def test_a_server_with_another_certificate_gets_nothing(security: str) -> None:
    async with scripted_server(WITH_STARTTLS, certificate(), tls_from_the_start=security == "smtps") as server:
        outcome = await send_once(mailer_to(server, security))
    assert isinstance(outcome, SenderRefused)
    assert "certificate verify failed" in outcome.answer
    assert "MAIL" not in server.words()


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ({}, SenderRefused),  # it offers none
        (WITH_STARTTLS | {"STARTTLS": ["554 5.7.3 No"]}, SenderRefused),
        (WITH_STARTTLS | {"STARTTLS": ["454 4.7.0 Not now"]}, Postponed),
    ],
)
async def test_without_the_tls_that_was_asked_for_nothing_is_sent(
    script: dict[str, list[str]], expected: type[Outcome]
) -> None:
    async with scripted_server(dict(script)) as server:
        assert isinstance(await send_once(mailer_to(server, "smtp+starttls")), expected)
    assert "MAIL" not in server.words()


# SMTP_URL ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://127.0.0.1:1025", SmtpServer("127.0.0.1", 1025, "plaintext")),
        ("smtp+starttls://mail.example.com:587/", SmtpServer("mail.example.com", 587, "starttls")),
        ("SMTPS://[::1]:465", SmtpServer("::1", 465, "tls")),
        ("smtps://ana%40x:p%3A%2Fw@mail:465", SmtpServer("mail", 465, "tls", "ana@x", "p:/w")),
    ],
)
def test_a_url_names_the_server(url: str, expected: SmtpServer) -> None:
    assert parse_smtp_url(url) == expected


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "must start with smtp://"),
        ("mail.example.com:25", "must start with smtp://"),
        ("http://mail.example.com:25", "must start with smtp://"),
        ("smtp://mail.example.com", "must name a host and a port, as in smtp://mail.example.com:587"),
        ("smtp://:25", "must name a host and a port"),
        ("smtp://mail:port", "must name a host and a port"),
        ("smtp://mail:99999", "must name a host and a port"),
        ("smtp://mail:25/path", "must name a host and a port"),
        ("smtps://user:sec/ret@mail:465", "must name a host and a port"),
        ("smtps://user@mail:465", "must give both a user and a password"),
    ],
)
def test_a_url_that_cannot_be_used_is_said_in_one_sentence(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        parse_smtp_url(url)
    assert "sec" not in str(refused.value)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(parse_smtp_url("smtps://ana:secret@mail:465"))
