"""A mail server that keeps what it gets, one file a mail: `python -m devstack.mail --port 1025 --folder mails`."""

import argparse
import asyncio
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from aiosmtpd.smtp import SMTP, Envelope, Session

from devstack.mailbox import FolderMailbox
from devstack.parts import connected, free_port, shown
from devstack.processes import Process


class MailServer:
    """The mail part as a child process: plain SMTP on 127.0.0.1, the mails kept in `home/mail`."""

    name = "mail"

    def __init__(self, home: Path, *, port: int | None = None) -> None:
        """`port` is taken if it is free, else any free one."""
        port = free_port(port)
        folder = home / "mail"
        self.address = f"smtp://127.0.0.1:{port}"
        self.note = f"127.0.0.1:{port}    kept in {shown(folder)}"
        self.mailbox = FolderMailbox(folder)
        command = (sys.executable, "-m", "devstack.mail", "--port", str(port), "--folder", str(folder))
        self.process = Process("mail", command, home)

    async def start(self) -> None:
        mend = f"see the whole log with: less {shown(self.process.log)}"
        await self.process.launch(self.healthy, 10, mend=mend)

    async def healthy(self) -> bool:
        return await mail_answers(self.address)

    async def stop(self) -> None:
        await self.process.stop(grace_seconds=0.8)


async def mail_answers(smtp_url: str) -> bool:
    """Whether a mail server greets there; with `smtps://` whether it takes the connection."""
    url = urlsplit(smtp_url)
    try:
        async with connected(url.hostname or "", url.port or 0) as (reader, _):
            return url.scheme == "smtps" or (await reader.readline()).startswith(b"220")
    except OSError:
        return False


class KeepInFolder:
    """aiosmtpd's handler: answers 250 when the mail is on the disk, under the next number."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._last_number = max((int(path.stem) for path in folder.glob("*.eml")), default=0)

    # The name and the arguments are aiosmtpd's.
    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802, ARG002
        self._last_number += 1
        path = self._folder / f"{self._last_number:08}.eml"
        delivered_to = [f"Delivered-To: {recipient}\r\n" for recipient in envelope.rcpt_tos]
        trace = "".join([f"Return-Path: <{envelope.mail_from or ''}>\r\n", *delivered_to])
        await asyncio.to_thread(_write_durably, path, trace.encode() + (envelope.original_content or b""))
        return f"250 kept as {path.name}"


def _write_durably(path: Path, content: bytes) -> None:
    unfinished = path.with_suffix(".new")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)


async def serve(port: int, folder: Path) -> None:
    handler = KeepInFolder(folder)
    server = await asyncio.get_running_loop().create_server(
        # With its name given it need not ask the resolver for one.
        lambda: SMTP(handler, hostname="localhost", enable_SMTPUTF8=True),
        host="127.0.0.1",
        port=port,
    )
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m devstack.mail", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    asyncio.run(serve(given.port, given.folder))
