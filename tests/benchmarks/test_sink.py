"""The mail server of the benchmarks, as a mail client sees it."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiosmtplib
import pytest

from benchmarks.stage import Sink


@pytest.fixture
async def sink(tmp_path: Path) -> AsyncIterator[Sink]:
    sink = Sink(tmp_path)
    await sink.start()
    yield sink
    await sink.process.stop()


def email(number: int, body: str = "Hello") -> bytes:
    return f"From: a@example.com\r\nMessage-ID: <{number}@localhost>\r\n\r\n{body}\r\n".encode()


async def test_it_tells_which_email_it_accepted_when_and_forgets_it_then(sink: Sink) -> None:
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=int(sink.url.rpartition(":")[2]), start_tls=False)
    await client.connect()
    begin = time.time()
    for number in range(3):
        await client.sendmail("a@example.com", "b@example.com", email(number))
    await client.quit()

    assert await sink.count() == 3
    accepted = await sink.take()
    assert [one.message_id for one in accepted] == [f"{number}@localhost" for number in range(3)]
    assert begin <= accepted[0].at <= accepted[1].at <= accepted[2].at <= time.time()
    assert await sink.count() == 0


async def test_an_email_may_come_in_pieces_and_begin_with_its_message_id(sink: Sink) -> None:
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=int(sink.url.rpartition(":")[2]), start_tls=False)
    await client.connect()
    long = b"Message-ID: <first@localhost>\r\n\r\n" + b"a line of text\r\n" * 20_000 + b".\r\n"
    await client.sendmail("a@example.com", "b@example.com", long)
    await client.sendmail("a@example.com", "b@example.com", email(2, "after it"))
    await client.quit()

    assert [one.message_id for one in await sink.take()] == ["first@localhost", "2@localhost"]
